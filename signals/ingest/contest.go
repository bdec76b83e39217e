package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// KindContested is the kind of the records that say which names contradict each other. Their value is a Contest.
const KindContested = "contested"

// Contest is a delivery's word that devices which we hold apart are one. It joined nothing, and the delivery lies among
// the dead letters.
type Contest struct {
	Claims   []ContestedName `json:"claims"`   // sorted by name
	Source   string          `json:"source"`   // who says so
	Delivery string          `json:"delivery"` // the id of its newest delivery that does
	At       time.Time       `json:"at"`       // when that was received
}

// ContestedName is one of the names, and the device that has it.
type ContestedName struct {
	Alias  signals.Alias    `json:"alias"`
	Device signals.DeviceID `json:"device"`
}

// ReadContest reads a record of KindContested. The error wraps signals.ErrCorrupt.
func ReadContest(record signals.Record) (Contest, error) {
	var c Contest
	if err := json.Unmarshal(record.Value, &c); err != nil {
		return Contest{}, fmt.Errorf("contest %s: %w: %w", record.Key, signals.ErrCorrupt, err)
	}
	return c, nil
}

// report notes a contest for rememberFor: one that nobody repeats is over. Of a source and the same names there is one
// note, so that a sender that insists does not fill the store.
func (r *Receiver) report(ctx context.Context, contested contestedError, by testimony) error {
	c := Contest{Source: by.source, Delivery: by.delivery, At: by.received.Round(0).UTC()}
	names := []string{by.source}
	for _, claim := range contested.claims {
		c.Claims = append(c.Claims, ContestedName{claim.alias, claim.owner})
		names = append(names, claim.alias.String())
	}
	value, err := json.Marshal(c)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
	key := hex.EncodeToString(sum[:16])
	before, err := r.store.Record(ctx, KindContested, key)
	if err != nil && !errors.Is(err, signals.ErrNotFound) {
		return err
	}
	now := r.now()
	err = r.store.PutRecord(ctx, signals.Record{
		Kind: KindContested, Key: key, Revision: signals.NextRevision(before.Revision, now),
		Expires: now.Add(rememberFor), Value: value,
	}, before.Revision)
	if errors.Is(err, signals.ErrConflict) {
		return nil // another receiver has said the same just now
	}
	return err
}
