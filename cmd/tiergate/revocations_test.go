package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/follow"
	"github.com/tiergate/tiergate/signals/revocation"
)

// TestEndingsGrowStale: no login is believed from when the changes were not followed for long enough, and again only when what
// was read anew has been published; a table that is published meanwhile waits for that.
func TestEndingsGrowStale(t *testing.T) {
	t.Parallel()
	var obeyed *revocation.Table
	var told []bool
	e := &endings{stale: time.Minute, set: func(table *revocation.Table) { obeyed = table }, told: func(_ time.Time, ok bool) { told = append(told, ok) }}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	first, second := &revocation.Table{}, &revocation.Table{}
	e.look(time.Time{}, false, at.Add(time.Hour)) // never in sync: nothing was believed anyway
	e.publish(first)
	for _, step := range []struct {
		what  string
		since time.Duration
		ok    bool
		at    time.Duration
		want  *revocation.Table
	}{
		{"in sync", 0, true, 0, first},
		{"just lost", time.Second, false, time.Second, first},
		{"lost for less than it may be", time.Second, false, time.Minute, first},
		{"lost for so long", time.Second, false, 61 * time.Second, nil},
		{"still lost", time.Second, false, time.Hour, nil},
		{"read again, just now", time.Hour, true, time.Hour, nil},
		{"read again, and lost again", time.Hour + time.Second, false, time.Hour + time.Second, nil},
		{"read again, and published", 2 * time.Hour, true, 2*time.Hour + revocationsLook, second},
		{"lost anew", 3 * time.Hour, false, 3*time.Hour + time.Second, second},
		{"the clock goes back", 3 * time.Hour, false, time.Hour, second},
	} {
		if step.want == second && obeyed == nil {
			e.publish(second)
			if obeyed != nil {
				t.Error("what is published while too much may be missing is obeyed")
			}
		}
		e.look(at.Add(step.since), step.ok, at.Add(step.at))
		if obeyed != step.want {
			t.Errorf("%s: %p is obeyed, want %p", step.what, obeyed, step.want)
		}
	}
	if len(told) != 2 || told[0] || !told[1] {
		t.Errorf("told %v", told)
	}
}

// TestEndingsSayWhy: /readyz says since when nothing is known, and by which setting that is too long.
func TestEndingsSayWhy(t *testing.T) {
	t.Parallel()
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	e := &endings{stale: time.Minute, set: func(*revocation.Table) {}, told: func(time.Time, bool) {}}
	e.follower = follow.New(store, follow.Options{Kinds: []string{revocation.Kind}, OnChange: func([]signals.Record) { e.publish(&revocation.Table{}) }})
	if err := e.known(); err == nil || !strings.Contains(err.Error(), "not loaded yet") {
		t.Errorf("before: %v", err)
	}
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() { ended <- e.run(ctx) }()
	defer func() { stop(); <-ended }()
	<-e.follower.Loaded()
	if err := e.known(); err != nil {
		t.Error(err)
	}
	soon(t, "too old", func() bool { // until the next look, which may come at once
		e.look(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), false, time.Date(2026, 3, 1, 12, 1, 0, 0, time.UTC))
		err := e.known()
		return err != nil && strings.Contains(err.Error(), "2026-03-01T12:00:00Z") &&
			strings.Contains(err.Error(), "identity.revocationsStale is 1m0s")
	})
	soon(t, "it is known again", func() bool { return e.known() == nil }) // it is in sync, which the next look finds
}
