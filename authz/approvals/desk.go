package approvals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// Desk is where people ask and approve. Every step is one compare-and-set on one record, after everything was judged anew by
// the policy of that moment: a step is made as a whole or not at all, and of two at once the second is judged by what the
// first left. It is safe for concurrent use, by several processes too.
type Desk struct {
	Records  signals.Records            // sealed where the store is shared
	Postures signals.Postures           // of the devices whose grace is renewed
	Policy   func() *policy.Policy      // in force now; nil: none is known
	Now      func() time.Time           //
	Done     func(context.Context, Act) // told of every step that was made; may be nil
	// Random gives the rest of a name that nobody has: of a-z and 0-9, at most 32, another each time.
	Random func() string
	// Missing says what to do where Policy returns nil; may be nil.
	Missing func() string
}

// Act is a step that was made, for a log or a record.
type Act struct {
	At     time.Time `json:"at"`
	By     Person    `json:"by"`
	Kind   string    `json:"kind"` // of the record: KindException, KindGrace, KindClearance
	Name   string    `json:"name"` // its key
	Step   Step      `json:"step"`
	Reason string    `json:"reason,omitempty"`
	Ticket string    `json:"ticket,omitempty"`
	Policy string    `json:"policy,omitempty"` // digest of the policy that it was judged by
}

const (
	tries = 8 // of a step that meets others
	// maxOpen bounds the requests that wait for an approver: more than anybody reads are an attack on the store.
	maxOpen  = 1000
	maxWords = 2000 // bytes of a reason or ticket
)

func (d *Desk) policy() (*policy.Policy, error) {
	if p := d.Policy(); p != nil {
		return p, nil
	}
	help := "have this process follow the policy directory"
	if d.Missing != nil {
		help = d.Missing()
	}
	return nil, refuse(RuleNoPolicy, help, "no policy is known here, and nothing is granted that no policy bounds")
}

func (d *Desk) told(ctx context.Context, kind, name string, e *Event, p *policy.Policy) {
	if d.Done == nil {
		return
	}
	act := Act{At: e.At, By: e.By, Kind: kind, Name: name, Step: e.Step, Reason: e.Reason, Ticket: e.Ticket}
	if p != nil {
		act.Policy = p.Digest()
	}
	d.Done(ctx, act)
}

// words refuses a step that does not say why.
func words(reason, ticket string) error {
	for what, text := range map[string]string{"reason": reason, "ticket": ticket} {
		switch {
		case strings.TrimSpace(text) == "":
			return refuse(RuleMissing, "say it: --"+what, "the %s is missing", what)
		case len(text) > maxWords:
			return refuse(RuleMissing, "write a shorter one", "the %s has %d bytes, more than %d", what, len(text), maxWords)
		}
	}
	return nil
}

// read reads a record's value into into; revision 0: there is none.
func (d *Desk) read(ctx context.Context, kind, key string, into any) (signals.Revision, error) {
	r, err := d.Records.Record(ctx, kind, key)
	switch {
	case errors.Is(err, signals.ErrNotFound):
		return 0, nil
	case errors.Is(err, signals.ErrCorrupt):
		return 0, fmt.Errorf("%s %q counts for nothing, and is not built upon; find out who wrote it, and remove it or use another name: %w",
			kind, key, err)
	case err != nil:
		return 0, fmt.Errorf("the store cannot be asked for %s %q: %w; nothing was written", kind, key, err)
	}
	if err := json.Unmarshal(r.Value, into); err != nil {
		return 0, fmt.Errorf("%s %q cannot be read: %w: %w", kind, key, err, signals.ErrCorrupt)
	}
	return r.Revision, nil
}

// write stores a record that was read at a revision.
func (d *Desk) write(ctx context.Context, kind, key string, value any, read signals.Revision, at, ends time.Time) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("%s %q cannot be written: %w", kind, key, err)
	}
	err = d.Records.PutRecord(ctx, signals.Record{Kind: kind, Key: key, Revision: signals.NextRevision(read, at),
		Expires: ends.Add(Retention), Value: raw}, read)
	if err != nil && !errors.Is(err, signals.ErrConflict) {
		return fmt.Errorf("%s %q could not be stored: %w; see whether it was with the verb list before you repeat it", kind, key, err)
	}
	return err
}

// again makes a step, from its start if somebody else changed the record meanwhile.
func again(ctx context.Context, step func() error) error {
	for range tries {
		if err := step(); !errors.Is(err, signals.ErrConflict) || ctx.Err() != nil {
			return err
		}
	}
	return ErrBusy
}

// each yields every record of a kind that can be read and was written by one of ours; the others count for nothing.
func each[T any](ctx context.Context, records signals.Records, kind string, yield func(key string, value T)) error {
	_, err := records.EachRecord(ctx, kind, func(r signals.Record) error {
		var value T
		if len(r.Value) > 0 && json.Unmarshal(r.Value, &value) == nil {
			yield(r.Key, value)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("the store cannot be read: %w", err)
	}
	return nil
}
