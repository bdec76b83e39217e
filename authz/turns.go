package authz

import (
	"context"
	"sync"
)

// turns let one at a time work on what has a name. The zero value is ready.
type turns struct {
	mu    sync.Mutex
	named map[string]*turn
}

type turn struct {
	free  chan struct{} // holds one while nobody works
	takes int           // who works, and who waits
}

// take waits for the turn of a name. done gives it to the next; it must be called. The error is that of ctx, which ended
// first.
func (t *turns) take(ctx context.Context, name string) (done func(), err error) {
	t.mu.Lock()
	one := t.named[name]
	if one == nil {
		one = &turn{free: make(chan struct{}, 1)}
		one.free <- struct{}{}
		if t.named == nil {
			t.named = map[string]*turn{}
		}
		t.named[name] = one
	}
	one.takes++
	t.mu.Unlock()
	select {
	case <-one.free:
		return func() { one.free <- struct{}{}; t.leave(name, one) }, nil
	case <-ctx.Done():
		t.leave(name, one)
		return nil, ctx.Err()
	}
}

func (t *turns) leave(name string, one *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.takes--; one.takes == 0 {
		delete(t.named, name)
	}
}
