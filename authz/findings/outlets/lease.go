package outlets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Of several receivers one sends to an outlet: who holds its record, which says until when. A lease that cannot be read is
// taken: twice is allowed, never is not. A clock that is off makes a lease too short or too long, and so an event told twice
// or late.
const (
	leaseFor   = 30 * time.Second
	aloneFor   = 10 * time.Minute // where there is nobody else
	renewEvery = 10 * time.Second
)

// state is the value of a KindOutlet record.
type state struct {
	Owner string    `json:"owner"`
	Until time.Time `json:"until"`
	// Disabled is why nothing is sent, and Target where it would have gone: another place is tried again.
	Disabled string    `json:"disabled,omitempty"`
	Target   string    `json:"target,omitempty"`
	Failures int       `json:"failures,omitempty"` // in a row
	Since    time.Time `json:"since,omitzero"`     // of the first of them
	Error    string    `json:"error,omitempty"`
	Sent     time.Time `json:"sent,omitzero"` // the last
}

// saysWhat tells whether another state says the same of the outlet.
func (s *state) saysWhat(other *state) bool {
	return s.Owner == other.Owner && s.Disabled == other.Disabled && s.Target == other.Target && (s.Failures > 0) == (other.Failures > 0)
}

func (q *Queue) readState(ctx context.Context, outlet string) (s state, revision signals.Revision, err error) {
	r, err := q.records.Record(ctx, KindOutlet, outlet)
	if errors.Is(err, signals.ErrNotFound) {
		return state{}, 0, nil
	}
	if err != nil {
		return state{}, 0, err
	}
	if err := json.Unmarshal(r.Value, &s); err != nil {
		return state{}, r.Revision, fmt.Errorf("the state of outlet %s: %w: %w", outlet, err, signals.ErrCorrupt)
	}
	return s, r.Revision, nil
}

func (q *Queue) writeState(ctx context.Context, outlet string, s *state, was signals.Revision) error {
	return q.records.PutRecord(ctx, signals.Record{Kind: KindOutlet, Key: outlet,
		Revision: signals.NextRevision(was, q.options.Now()), Value: spell(s)}, was)
}

// hold takes or renews the lease of an outlet; mine tells whether it is ours until line.held.
func (q *Queue) hold(ctx context.Context, l *line) (mine bool) {
	now := q.options.Now()
	s, revision, err := q.readState(ctx, l.Name)
	switch {
	case errors.Is(err, signals.ErrCorrupt):
		q.distrust(KindOutlet, l.Name, revision, err)
		if revision == 0 { // it cannot be written over, since nobody knows its revision
			return l.keep(now.Add(leaseFor))
		}
	case err != nil:
		q.failed(ctx, err)
		return false
	case s.Owner != q.options.Name && !q.options.Alone && now.Before(s.Until):
		q.learn(l, &s, false)
		return false
	}
	others := s.Owner != "" && s.Owner != q.options.Name
	if others { // what it put last may not have reached us
		if err := q.reload(ctx); err != nil {
			q.failed(ctx, err)
			return false
		}
	}
	was := s
	q.learn(l, &s, others)
	if s.Disabled != "" && s.Target != l.Outlet.Target() {
		q.enable(l, &s)
	}
	l.mu.Lock()
	s.Owner, s.Until, s.Target = q.options.Name, now.Add(leaseFor).UTC(), l.Outlet.Target()
	s.Failures, s.Since, s.Error, s.Sent = l.failures, l.since.UTC(), l.lastErr, l.lastSent.UTC()
	if l.disabled != "" {
		s.Disabled = l.disabled
	}
	said := q.options.Alone && revision != 0 && s.saysWhat(&was)
	l.mu.Unlock()
	if said { // nobody else has to be kept away: a write each 10 s would be for nothing
		return l.keep(now.Add(aloneFor))
	}
	if err := q.writeState(ctx, l.Name, &s, revision); err != nil {
		if !errors.Is(err, signals.ErrConflict) { // else somebody was faster
			q.failed(ctx, err)
		}
		return false
	}
	return l.keep(now.Add(leaseFor))
}

// keep notes until when the line is ours, which it is.
func (l *line) keep(until time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = until
	return true
}

// learn takes over what the record says: whether the outlet is disabled, and, where another had it, how it fared.
func (q *Queue) learn(l *line, s *state, others bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.disabled != s.Disabled && (s.Disabled != "" || !l.disabling) {
		l.disabled = s.Disabled
		l.nudge()
	}
	if others {
		l.failures, l.since, l.lastErr, l.lastSent = s.Failures, s.Since, s.Error, s.Sent
	}
}

// enable has an outlet send again, and at once.
func (q *Queue) enable(l *line, s *state) {
	l.mu.Lock()
	l.disabled, s.Disabled = "", ""
	for _, it := range l.items {
		it.After = time.Time{}
	}
	l.trouble = trouble{lastSent: l.lastSent}
	l.mu.Unlock()
	q.options.Events.Disabled(l.Name, "")
	l.nudge()
}

// disable ends sending to an outlet until somebody says otherwise.
func (q *Queue) disable(ctx context.Context, l *line, reason string) {
	l.mu.Lock()
	l.disabled, l.disabling = reason, true // until the store knows
	l.mu.Unlock()
	q.options.Events.Disabled(l.Name, reason)
	for ctx.Err() == nil {
		if q.hold(ctx, l) {
			break
		}
		pause(ctx, time.Second)
	}
	l.mu.Lock()
	l.disabling = false
	l.mu.Unlock()
}

// release lets another receiver go on at once.
func (q *Queue) release(ctx context.Context, l *line) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	s, revision, err := q.readState(ctx, l.Name)
	if err != nil || s.Owner != q.options.Name {
		return
	}
	s.Until = time.Time{}
	_ = q.writeState(ctx, l.Name, &s, revision) // it runs out by itself
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
