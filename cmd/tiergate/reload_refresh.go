package main

import "context"

// refreshSoon has Envoy's configuration built anew, because something beside the policy changed that is part of it: the
// CA certificates of clients. It never waits.
func (r *reloader) refreshSoon() {
	select {
	case r.again <- struct{}{}:
	default: // it has been said
	}
}

// refresh builds Envoy's configuration of the policy in force anew. Decisions stay as they are. It is called by run
// alone, so that it never mixes with a change of the policy; what fails is told once and tried again.
func (r *reloader) refresh(ctx context.Context) {
	if r.inForce == nil {
		return
	}
	snapshot, err := r.build(r.inForce)
	if err == nil {
		err = r.asked(ctx, snapshot)
	}
	if err == nil {
		err = r.republish(ctx, snapshot)
	}
	before := r.unfresh
	r.unfresh = ""
	if err != nil {
		r.unfresh = err.Error()
		if r.unfresh != before {
			r.refreshFailed(err)
		}
	}
	r.mu.Lock()
	r.status.EnvoyFault = r.unfresh
	r.mu.Unlock()
}
