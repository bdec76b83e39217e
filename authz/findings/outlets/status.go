package outlets

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Status is how an outlet stands.
type Status struct {
	Name    string `json:"name"`
	Type    string `json:"type,omitempty"` // empty: it is not in the settings of the process that was asked
	Where   string `json:"where,omitempty"`
	Default bool   `json:"default,omitempty"`
	Details bool   `json:"details,omitempty"`
	State   string `json:"state"` // ok, failing, disabled, unknown (not in the settings)
	Queued  int    `json:"queued"`
	Dead    int    `json:"dead"`
	// Oldest is when what waits for longest was queued.
	Oldest   time.Time `json:"oldest,omitzero"`
	Failures int       `json:"failures,omitempty"` // in a row
	Since    time.Time `json:"since,omitzero"`     // of the first of them
	Error    string    `json:"error,omitempty"`    // the last, or why it is disabled
	Sent     time.Time `json:"sent,omitzero"`      // the last event that was taken
	Owner    string    `json:"owner,omitempty"`    // the receiver that sends to it
}

// The states of an outlet.
const (
	StateOK       = "ok"
	StateFailing  = "failing"
	StateDisabled = "disabled"
	StateUnknown  = "unknown"
)

// Here are the outlets as this process knows them, without asking the store: for metrics. Where another receiver sends, State
// is what its lease last said.
func (q *Queue) Here() []Status {
	out := make([]Status, 0, len(q.names))
	for _, name := range q.names {
		l := q.lines[name]
		l.mu.Lock()
		s := Status{Name: name, Type: l.Type, Where: l.Outlet.Where(), Default: l.Default, Details: l.Details, Queued: len(l.items),
			Dead: l.dead, Failures: l.failures, Since: l.since, Error: l.lastErr, Sent: l.lastSent}
		for _, it := range l.items {
			if s.Oldest.IsZero() || it.Queued.Before(s.Oldest) {
				s.Oldest = it.Queued
			}
		}
		s.judge(l.disabled)
		l.mu.Unlock()
		out = append(out, s)
	}
	return out
}

func (s *Status) judge(disabled string) {
	switch {
	case disabled != "":
		s.State, s.Error = StateDisabled, disabled
	case s.Failures > 0:
		s.State = StateFailing
	default:
		s.State, s.Error = StateOK, ""
	}
}

// Statuses are the outlets as the store has them, those of the settings first, then others of which something is left.
func (q *Queue) Statuses(ctx context.Context) ([]Status, error) {
	all := map[string]*Status{}
	names := append([]string(nil), q.names...)
	for _, s := range q.Here() {
		s.Queued, s.Dead, s.Oldest = 0, 0, time.Time{}
		all[s.Name] = &s
	}
	of := func(key string) *Status {
		name := outletOf(key)
		if all[name] == nil {
			all[name] = &Status{Name: name, State: StateUnknown}
			names = append(names, name)
		}
		return all[name]
	}
	for _, kind := range []string{KindQueue, KindDead} {
		_, err := q.records.EachRecord(ctx, kind, func(r signals.Record) error {
			s := of(r.Key)
			if kind == KindDead {
				s.Dead++
				return nil
			}
			s.Queued++
			if it := q.read(&r, nil); it != nil && (s.Oldest.IsZero() || it.Queued.Before(s.Oldest)) {
				s.Oldest = it.Queued
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	out := make([]Status, 0, len(names))
	for _, name := range names {
		s := all[name]
		if l := q.lines[name]; l != nil {
			kept, _, err := q.readState(ctx, name)
			if err != nil {
				return nil, err
			}
			s.Owner = kept.Owner
			if kept.Owner != q.options.Name {
				s.Failures, s.Since, s.Error, s.Sent = kept.Failures, kept.Since, kept.Error, kept.Sent
				s.judge(kept.Disabled)
			}
		}
		out = append(out, *s)
	}
	return out, nil
}

// Test sends one event to an outlet now, past the queue, and says what came of it. Errors: ErrUnknown, else why the outlet
// did not take it.
func (q *Queue) Test(ctx context.Context, outlet string) (took time.Duration, err error) {
	l := q.lines[outlet]
	if l == nil {
		return 0, q.unknown(outlet)
	}
	e := testEvent(outlet, q.options.Now(), rand.Text())
	began := time.Now()
	err = l.send(ctx, &e)
	return time.Since(began), err
}
