package boltstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// schema is the version of the values below; each value carries its own, so that a file may hold old and new ones.
const schema = 1

type storedPosture struct {
	Schema  int              `json:"schema"`
	Posture *signals.Posture `json:"posture"`
}

type storedRecord struct {
	Schema   int              `json:"schema"`
	Revision signals.Revision `json:"revision"`
	Expires  time.Time        `json:"expires,omitzero"`
	Value    []byte           `json:"value"`
	// Sum is that of the rest and the record's name. A value of before there were sums has none.
	Sum string `json:"sum,omitempty"`
}

// sum names the content: the first 16 hex digits of its SHA-256. A disk that flips a bit must not move an expiry.
func (r storedRecord) sum(kind, key string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %d %d %s %s ", len(kind), len(key), r.Revision, r.Expires.UnixNano(), kind, key)
	_, _ = h.Write(r.Value)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func (r storedRecord) expired(at time.Time) bool { return !r.Expires.IsZero() && !at.Before(r.Expires) }

func corrupt(what, key, why string) error {
	return fmt.Errorf("%s %q: %s: %w", what, key, why, signals.ErrCorrupt)
}

// unknownSchema says why a version is not ours; it is empty for our own.
func unknownSchema(version int) string {
	switch {
	case version > schema:
		return fmt.Sprintf("it was written by a newer tiergate (schema %d, this one reads %d)", version, schema)
	case version < 1:
		return "it has no schema version"
	}
	return ""
}

func encodePosture(p signals.Posture) ([]byte, error) {
	return json.Marshal(storedPosture{Schema: schema, Posture: &p})
}

// decodePosture reads a stored posture. One that is stored under another device's key is corrupt: it says nothing
// of this device.
func decodePosture(device signals.DeviceID, raw []byte) (signals.Posture, error) {
	var stored storedPosture
	if err := json.Unmarshal(raw, &stored); err != nil {
		return signals.Posture{}, corrupt("posture", string(device), err.Error())
	}
	switch why := unknownSchema(stored.Schema); {
	case why != "":
		return signals.Posture{}, corrupt("posture", string(device), why)
	case stored.Posture == nil || stored.Posture.Revision < 1:
		return signals.Posture{}, corrupt("posture", string(device), "it has no posture or no revision")
	case stored.Posture.Device != device:
		return signals.Posture{}, corrupt("posture", string(device), fmt.Sprintf("it is that of %q", stored.Posture.Device))
	}
	return *stored.Posture, nil
}

func decodeRecord(kind, key string, raw []byte) (storedRecord, error) {
	name := kind + "/" + key
	var stored storedRecord
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields() // a sum under another name is no sum
	if err := decoder.Decode(&stored); err != nil {
		return storedRecord{}, corrupt("record", name, err.Error())
	}
	switch why := unknownSchema(stored.Schema); {
	case why != "":
		return storedRecord{}, corrupt("record", name, why)
	case stored.Revision < 1:
		return storedRecord{}, corrupt("record", name, "it has no revision")
	case stored.Sum != "" && stored.Sum != stored.sum(kind, key):
		return storedRecord{}, corrupt("record", name, "it is not what was written: its sum is another")
	}
	return stored, nil
}
