package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/signals"
)

// KindEnvoy is the kind of the records in which sidecars say how their Envoy differs from what it was given; the key is the
// node's id. They are unsigned observations: nothing is ever admitted by them.
const KindEnvoy = "envoy-drift"

// envoyKept is how long an observation counts; envoyAgain how often one that stays the same is written.
const (
	envoyKept  = time.Hour
	envoyAgain = 10 * time.Minute
)

// EnvoySeen is the value of such a record.
type EnvoySeen struct {
	ID          string    `json:"id"`
	Since       time.Time `json:"since,omitzero"` // when a difference was seen first; zero: there is none
	At          time.Time `json:"at"`             // of this observation
	Differences []string  `json:"differences,omitempty"`
}

// maxDifferences is the most lines that an observation carries.
const maxDifferences = 20

// Envoys writes what a sidecar sees of its Envoys. It is not safe for concurrent use.
type Envoys struct {
	Records signals.Records // the store itself: observations are not signed
	Now     func() time.Time
	last    map[string]EnvoySeen
}

// Seen writes an observation, if it is another than the last or that is old. What cannot be compared now is no observation:
// Seen with known=false keeps the last one alive, since nobody has seen it gone.
func (e *Envoys) Seen(ctx context.Context, id string, differences []string, known bool) error {
	if signals.CheckKey("id of an Envoy", id) != nil {
		return nil // it has not told its name yet
	}
	if e.last == nil {
		e.last = map[string]EnvoySeen{}
	}
	at := e.Now().UTC()
	r, old, err := e.read(ctx, id)
	if err != nil {
		return err
	}
	next := EnvoySeen{ID: id, Since: old.Since, At: at, Differences: differences}
	if len(next.Differences) > maxDifferences {
		next.Differences = append(slices.Clip(next.Differences[:maxDifferences-1]), "and more")
	}
	switch {
	case !known:
		next.Differences = old.Differences
	case len(differences) == 0:
		next.Since = time.Time{}
	case old.Since.IsZero():
		next.Since = at
	}
	if last, ok := e.last[id]; ok && slices.Equal(last.Differences, next.Differences) && at.Before(last.At.Add(envoyAgain)) {
		return nil
	}
	raw, err := json.Marshal(next)
	if err != nil {
		return err
	}
	err = e.Records.PutRecord(ctx, signals.Record{Kind: KindEnvoy, Key: id, Revision: signals.NextRevision(r.Revision, at),
		Expires: at.Add(envoyKept), Value: raw}, r.Revision)
	if err != nil {
		return fmt.Errorf("how Envoy %s differs from what it was given could not be stored for findings: %w", id, err)
	}
	e.last[id] = next
	return nil
}

// read asks the store, which knows what was seen before this process began.
func (e *Envoys) read(ctx context.Context, id string) (signals.Record, EnvoySeen, error) {
	var old EnvoySeen
	r, err := e.Records.Record(ctx, KindEnvoy, id)
	switch {
	case errors.Is(err, signals.ErrNotFound):
		return signals.Record{}, old, nil
	case err != nil:
		return r, old, fmt.Errorf("what was seen of Envoy %s cannot be read: %w", id, err)
	}
	if json.Unmarshal(r.Value, &old) != nil {
		old = EnvoySeen{}
	}
	return r, old, nil
}

// view is the observation as findings look at it.
func (s *EnvoySeen) view() findings.EnvoyView {
	return findings.EnvoyView{ID: s.ID, Since: s.Since, Differences: s.Differences}
}
