package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// Kept is the value of a record of findings.RecordKind: a case, and what is still to be told of it.
type Kept struct {
	findings.Case
	Untold []findings.Notice `json:"untold,omitempty"`
}

// Cases are what people see of cases and do about them, in any of several processes.
type Cases struct {
	Records signals.Records       // sealed where the store is shared
	Policy  func() *policy.Policy // in force now; nil: none is known
	Now     func() time.Time
	// Tell takes notices over for good, or fails; being told the same again must do no harm. Nil: nobody is told.
	Tell func(context.Context, []findings.Notice) error
}

// Errors of Cases, beside those of findings.Assign and findings.Accept.
var (
	ErrNoCase   = errors.New("there is no such finding; see tiergate finding list")
	ErrNoPolicy = errors.New("no policy is known here, and nobody is named but by a policy")
	ErrBusy     = errors.New("others are changing this finding at the same time; nothing was written, try again")
)

// tries is how often a step that meets another is begun again.
const tries = 8

// List lists the cases that can be read, those that want attention first: standing ones by severity and deadline, then what
// is pending or over, the newest first.
func (c *Cases) List(ctx context.Context) ([]findings.Case, error) {
	all := []findings.Case{}
	_, err := c.Records.EachRecord(ctx, findings.RecordKind, func(r signals.Record) error {
		if kept, err := readCase(r); err == nil {
			all = append(all, kept.Case)
		}
		return nil
	})
	if err != nil && !errors.Is(err, signals.ErrCorrupt) { // those that cannot be read are written anew by whoever looks
		return nil, fmt.Errorf("the findings cannot be read: %w", err)
	}
	slices.SortFunc(all, func(a, b findings.Case) int { return compareCases(&a, &b) })
	return all, nil
}

func compareCases(a, b *findings.Case) int {
	if x, y := a.State.Stands(), b.State.Stands(); x != y {
		if x {
			return -1
		}
		return 1
	}
	if a.State.Stands() {
		return cmp.Or(cmp.Compare(weight(b.Severity), weight(a.Severity)), a.Deadline.Compare(b.Deadline), cmp.Compare(a.ID, b.ID))
	}
	return cmp.Or(b.Closed.Compare(a.Closed), b.First.Compare(a.First), cmp.Compare(a.ID, b.ID))
}

// weight orders severities.
func weight(s policy.Severity) int {
	return slices.Index([]policy.Severity{policy.SeverityLow, policy.SeverityMedium, policy.SeverityHigh, policy.SeverityCritical}, s)
}

// Overdue tells whether a case should have been closed by now.
func Overdue(c *findings.Case, at time.Time) bool {
	return c.State.Stands() && c.State != findings.Accepted && at.After(c.Deadline)
}

// readCase reads a record; a case under another's key is none.
func readCase(r signals.Record) (Kept, error) {
	var kept Kept
	if len(r.Value) == 0 {
		return kept, fmt.Errorf("nobody of ours has signed it: %w", signals.ErrCorrupt)
	}
	if err := json.Unmarshal(r.Value, &kept); err != nil {
		return kept, fmt.Errorf("%w: %w", err, signals.ErrCorrupt)
	}
	if kept.ID != r.Key || kept.ID != findings.IDOf(kept.Finding.Key()) {
		return kept, fmt.Errorf("the record %q holds case %q: %w", r.Key, kept.ID, signals.ErrCorrupt)
	}
	return kept, nil
}

// Get returns one case. Errors: ErrNoCase, or why it cannot be read.
func (c *Cases) Get(ctx context.Context, id string) (findings.Case, error) {
	kept, _, err := c.read(ctx, id)
	return kept.Case, err
}

func (c *Cases) read(ctx context.Context, id string) (Kept, signals.Revision, error) {
	if signals.CheckKey("name of a finding", id) != nil {
		return Kept{}, 0, ErrNoCase
	}
	r, err := c.Records.Record(ctx, findings.RecordKind, id)
	switch {
	case errors.Is(err, signals.ErrNotFound):
		return Kept{}, 0, ErrNoCase
	case err != nil:
		return Kept{}, 0, fmt.Errorf("finding %s cannot be read: %w", id, err)
	}
	kept, err := readCase(r)
	if err != nil {
		return Kept{}, 0, fmt.Errorf("finding %s cannot be read: %w", id, err)
	}
	return kept, r.Revision, nil
}

// Assign is findings.Assign of a case in the store. Further errors: ErrNoCase, ErrNoPolicy, ErrBusy.
func (c *Cases) Assign(ctx context.Context, id, team, person string, by approvals.Person) (findings.Case, error) {
	return c.change(ctx, id, func(old findings.Case, at time.Time, p *policy.Policy) (findings.Case, findings.Notice, error) {
		return findings.Assign(old, cmp.Or(team, old.Team), person, by, at, p)
	})
}

// Accept is findings.Accept of a case in the store, until an instant, or for so long where lasts is more than 0. Further
// errors: ErrNoCase, ErrNoPolicy, ErrBusy.
func (c *Cases) Accept(
	ctx context.Context, id string, until time.Time, lasts time.Duration, reason string, by approvals.Caller,
) (findings.Case, error) {
	return c.change(ctx, id, func(old findings.Case, at time.Time, p *policy.Policy) (findings.Case, findings.Notice, error) {
		if lasts > 0 {
			until = at.Add(lasts)
		}
		return findings.Accept(old, until, reason, by, at, p)
	})
}

type step func(old findings.Case, at time.Time, p *policy.Policy) (findings.Case, findings.Notice, error)

// change makes one step on a case by compare-and-set, from its start if somebody else changed it meanwhile.
func (c *Cases) change(ctx context.Context, id string, do step) (findings.Case, error) {
	p := c.Policy()
	if p == nil {
		return findings.Case{}, ErrNoPolicy
	}
	for range tries {
		kept, revision, err := c.read(ctx, id)
		if err != nil {
			return findings.Case{}, err
		}
		changed, notice, err := do(kept.Case, c.Now(), p)
		if err != nil {
			return findings.Case{}, err
		}
		kept.Case, kept.Untold = changed, append(kept.Untold, notice)
		revision, err = c.put(ctx, &kept, revision)
		if errors.Is(err, signals.ErrConflict) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return findings.Case{}, fmt.Errorf("finding %s could not be stored: %w; see how it stands before you repeat it", id, err)
		}
		_, _ = c.deliver(ctx, &kept, revision) // whoever looks next delivers what this could not
		return kept.Case, nil
	}
	return findings.Case{}, ErrBusy
}

// put stores a case that was read at a revision (0: there was none), and returns the new one.
func (c *Cases) put(ctx context.Context, kept *Kept, read signals.Revision) (signals.Revision, error) {
	raw, err := json.Marshal(kept)
	if err != nil {
		return read, fmt.Errorf("finding %s cannot be written: %w", kept.ID, err)
	}
	next := signals.NextRevision(read, c.Now())
	err = c.Records.PutRecord(ctx, signals.Record{Kind: findings.RecordKind, Key: kept.ID, Revision: next, Expires: kept.Expires(),
		Value: raw}, read)
	if err != nil {
		return read, err
	}
	return next, nil
}

// deliver hands over what is untold of a case that is stored at a revision, and notes that. An error means that it is, or
// may be, still untold.
func (c *Cases) deliver(ctx context.Context, kept *Kept, revision signals.Revision) (signals.Revision, error) {
	if len(kept.Untold) == 0 {
		return revision, nil
	}
	if c.Tell != nil {
		if err := c.Tell(ctx, kept.Untold); err != nil {
			return revision, fmt.Errorf("what is to be told of finding %s waits: %w", kept.ID, err)
		}
	}
	kept.Untold = nil
	return c.put(ctx, kept, revision)
}

// sameBytes spares decoding what was decoded.
func sameBytes(a, b signals.Record) bool {
	return a.Revision == b.Revision && bytes.Equal(a.Value, b.Value)
}
