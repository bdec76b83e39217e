package checkpoint

import (
	"context"
	"errors"
	"testing"

	"github.com/tiergate/tiergate/signals"
)

// exchanging counts the steps of which the store below can do two at once.
type exchanging struct {
	signals.Store
	steps int
}

func (e *exchanging) Exchange(context.Context, signals.Record, string, signals.Revision) error {
	e.steps++
	return nil
}

// TestAGuardHidesNoStep: what the store can do in one step is done in one by a receiver under a guard too.
func TestAGuardHidesNoStep(t *testing.T) {
	t.Parallel()
	store, _ := open(t)
	ask := func(below signals.Store) error {
		guarded, ok := New(below, Options{Name: "one"}).Guard().(signals.Exchanger)
		if !ok {
			t.Fatal("the guard is no Exchanger")
		}
		return guarded.Exchange(t.Context(), signals.Record{Kind: "done", Key: "a", Revision: 1}, "inbox", 1)
	}
	can := &exchanging{Store: store}
	if err := ask(can); err != nil || can.steps != 1 {
		t.Errorf("%d steps, %v", can.steps, err)
	}
	if err := ask(struct{ signals.Store }{store}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a store that cannot: %v", err)
	}
}
