package jwks

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// held is what Run knows of the last good answer.
type held struct {
	set   *jose.JSONWebKeySet
	etag  string
	fresh time.Duration
	until time.Time // no longer, even if every fetch fails
}

// Run fetches the keys, again before they cease to be fresh, when somebody asked, and with growing distance while it
// fails. One goroutine does it all: there is never more than one fetch in flight. It returns nil when ctx ends.
func (r *Remote) Run(ctx context.Context) error {
	var h held
	for failures := 0; ; {
		began := time.Now()
		answer, err := r.fetch(ctx, h.etag)
		if ctx.Err() != nil {
			return nil
		}
		var next time.Duration
		if err == nil {
			h, failures = r.take(h, answer, began), 0
			next = jitter(h.fresh, 0.75, 0.9)
		} else {
			failures++
			next = backoff(failures)
			h = r.keep(h, err, next)
		}
		if h = r.wait(ctx, h, began, next); ctx.Err() != nil {
			return nil
		}
	}
}

// take puts a good answer into force. The set that is held stays the same pointer if its keys are the same, so that what
// verified by it need not be verified again.
func (r *Remote) take(h held, a answer, began time.Time) held {
	changed := a.set != nil && (h.set == nil || !sameSet(h.set, a.set))
	if changed {
		h.set = a.set
	}
	if a.set != nil {
		h.etag, h.fresh = a.etag, DefaultFresh
	}
	if a.fresh > 0 { // "not modified" may leave it out; what was said with the set then still holds (RFC 9111, 4.3.4)
		h.fresh = a.fresh
	}
	h.until = began.Add(h.fresh + r.stale)
	r.state.Store(&state{set: h.set, until: h.until, why: "no newer answer came"})
	r.events.Fetched(len(h.set.Keys), changed, h.until)
	return h
}

// keep goes on with what is held after a fetch that failed, unless the issuer gave its private key away.
func (r *Remote) keep(h held, err error, next time.Duration) held {
	exposed := errors.Is(err, ErrPrivate)
	if exposed {
		r.events.Exposed(err)
	}
	r.state.Store(&state{set: h.set, until: h.until, why: err.Error()})
	left := max(0, time.Until(h.until))
	gone := exposed || left == 0
	if gone {
		left = 0
	}
	r.events.Failed(err, left, next)
	if gone {
		return r.drop(h)
	}
	return h
}

// drop ends what is held. The next fetch asks for all of it, not for what is newer.
func (r *Remote) drop(h held) held {
	s := *r.state.Load()
	s.set = nil
	r.state.Store(&s)
	if h.set != nil {
		r.events.Expired()
	}
	return held{}
}

// wait lasts until the next fetch is due: when it was planned, or sooner if somebody asks, but not within MinInterval.
func (r *Remote) wait(ctx context.Context, h held, began time.Time, next time.Duration) held {
	planned := time.NewTimer(next) // which is more than MinInterval: see backoff, and MinFresh
	defer planned.Stop()
	var end <-chan time.Time
	if h.set != nil {
		expiry := time.NewTimer(time.Until(h.until))
		defer expiry.Stop()
		end = expiry.C
	}
	for asked := r.asked; ; {
		select {
		case <-ctx.Done():
			return h
		case <-planned.C:
			return h
		case <-asked:
			asked = nil
			planned.Reset(MinInterval - time.Since(began))
		case <-end:
			end = nil
			h = r.drop(h)
		}
	}
}

// backoff is MinInterval, doubled with each failure up to maxBackoff, so that many who wait for one issuer do not come
// back at one instant.
func backoff(failures int) time.Duration {
	d := MinInterval
	for range failures - 1 {
		if d *= 2; d >= maxBackoff {
			d = maxBackoff
			break
		}
	}
	return jitter(d, 1, 1.2)
}

func jitter(d time.Duration, low, high float64) time.Duration {
	return time.Duration(float64(d) * (low + (high-low)*rand.Float64())) //nolint:gosec // it keeps no secret
}
