package follow

import (
	"context"
	"time"
)

// look is the longest that an end is waited for in one piece: a machine that slept has another clock than it waited by.
const look = time.Minute

// touch notes that there is something to tell.
func (f *Follower) touch() {
	select {
	case f.dirty <- struct{}{}:
	default:
	}
}

// publish tells the listener of changes, in batches, and of ends as they come.
func (f *Follower) publish(ctx context.Context) {
	told, next := false, time.Time{}
	for {
		wait := look
		if !next.IsZero() {
			wait = min(look, time.Until(next))
		}
		select {
		case <-ctx.Done():
			return
		case <-f.dirty:
		case <-time.After(wait):
			if next.IsZero() || time.Now().Before(next) {
				continue
			}
		}
		whole := f.complete()
		all, end := f.sweep(time.Now())
		next = end
		if f.opts.OnChange != nil {
			f.opts.OnChange(all)
		}
		if whole && !told {
			told = true
			close(f.loaded)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(f.opts.Batch):
		}
	}
}

// complete tells whether every kind was read once.
func (f *Follower) complete() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, k := range f.kinds {
		if !k.complete {
			return false
		}
	}
	return true
}
