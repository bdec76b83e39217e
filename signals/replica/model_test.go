package replica

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/signals"
)

// step is something that happens to a store.
type step struct {
	What    string
	Posture signals.Posture
	Pause   time.Duration
}

var aliases = []string{"S", "T", "U", "V", "W"}

func drawHistory(t *rapid.T) (history []step) {
	for n := range rapid.IntRange(1, 25).Draw(t, "steps") {
		what := rapid.SampledFrom([]string{"put", "put", "put", "put", "out", "gap", "back", "spoil"}).Draw(t, "what")
		device := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "device")
		carried := rapid.SliceOfN(rapid.SampledFrom(aliases), 0, 3).Draw(t, "aliases")
		pause := time.Duration(rapid.IntRange(0, 300).Draw(t, "ms")) * time.Millisecond
		history = append(history, step{what, posture(device, signals.Revision(n+2), carried...), pause})
	}
	return history
}

// TestReplicaEqualsModel: after any history that ends in quiet, each alias answers what the store says by itself.
func TestReplicaEqualsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		history, wrong := drawHistory(rt), ""
		synctest.Test(t, func(*testing.T) { wrong = play(history) })
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

func play(history []step) (wrong string) {
	f := newFake()
	f.put(posture("a", 1, "S"))
	r := New(f, Options{})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { _ = r.Run(ctx); close(ended) }()
	defer func() { stop(); <-ended }()
	<-r.Loaded()
	for _, s := range history {
		switch s.What {
		case "out":
			f.fail(true, false)
		case "gap":
			f.fail(false, true)
		case "back":
			f.fail(false, false)
		case "spoil": // the aliases of a value that breaks are known only to who has seen it before
			f.fail(false, false)
			time.Sleep(5 * time.Second)
			f.spoil(s.Posture.Device)
			time.Sleep(5 * time.Second)
		default:
			f.put(s.Posture)
		}
		time.Sleep(s.Pause)
	}
	f.fail(false, false)
	time.Sleep(10 * time.Second)
	for _, alias := range aliases {
		wrong += compare(f, r, alias)
	}
	return wrong
}

// compare asks the store's own contents, alias by alias, what Lookup must say. The fake keeps the last readable
// posture of a corrupt device.
func compare(f *fake, r *Replica, alias string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var holders []signals.Posture
	for _, p := range f.postures {
		for _, a := range p.Aliases {
			if a.Value == alias {
				holders = append(holders, p)
				break
			}
		}
	}
	reading, err := r.Lookup(serial(alias))
	var want error
	switch {
	case len(holders) == 0:
		want = signals.ErrNotFound
	case len(holders) > 1:
		want = ErrContested
	case f.corrupt[holders[0].Device]:
		want = signals.ErrCorrupt
	case err != nil || reading.Posture.Revision != holders[0].Revision:
		return fmt.Sprintf("%s: got %v and %v, want %v\n", alias, reading.Posture, err, holders[0])
	}
	if want != nil && !errors.Is(err, want) {
		return fmt.Sprintf("%s: got %v, want %v of %v\n", alias, err, want, holders)
	}
	return ""
}
