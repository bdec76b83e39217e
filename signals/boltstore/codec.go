package boltstore

import (
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

func decodeRecord(key string, raw []byte) (storedRecord, error) {
	var stored storedRecord
	if err := json.Unmarshal(raw, &stored); err != nil {
		return storedRecord{}, corrupt("record", key, err.Error())
	}
	switch why := unknownSchema(stored.Schema); {
	case why != "":
		return storedRecord{}, corrupt("record", key, why)
	case stored.Revision < 1:
		return storedRecord{}, corrupt("record", key, "it has no revision")
	}
	return stored, nil
}
