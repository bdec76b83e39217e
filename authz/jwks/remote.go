package jwks

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The times of a Remote.
const (
	// MinInterval lies between the starts of two fetches at least, whatever is the reason of the second.
	MinInterval = 10 * time.Second
	// MinFresh and MaxFresh bound for how long an issuer may say that its keys are fresh (RFC 9111, section 5.2.2.1).
	MinFresh = time.Minute
	MaxFresh = 24 * time.Hour
	// DefaultFresh is for answers that do not say.
	DefaultFresh = 5 * time.Minute
	// MaxStale bounds Options.Stale.
	MaxStale = 24 * time.Hour
	// maxBackoff is the longest between two fetches while they fail.
	maxBackoff = 5 * time.Minute
)

// Options say where the keys are and for how long they count.
type Options struct {
	URL   string         // https, or http on a loopback host; no user, no fragment
	Roots *x509.CertPool // who may sign the server's certificate; nil: whom the system trusts
	// Stale is for how long keys count that could not be fetched anew after they ceased to be fresh: 0 to MaxStale
	// (stale-if-error, RFC 5861, section 4).
	Stale  time.Duration
	Events Events
}

// Events are told by Run, one at a time, each of them where it is set.
type Events struct {
	// Fetched: an answer with a good set came, or word that it is still the same. changed tells whether keys came or went.
	// The keys count until that instant if no fetch succeeds before.
	Fetched func(keys int, changed bool, until time.Time)
	// Failed: there was no such answer. left is for how long the keys that are held still count; 0: none are held.
	Failed func(err error, left, retryIn time.Duration)
	// Expired: the keys that were held count no more, and no token of this issuer verifies until the next Fetched.
	Expired func()
	// Exposed: the issuer publishes a private key. Whoever read it can sign, so no key of it counts any more until it
	// publishes a set without; Failed and, if keys were held, Expired follow.
	Exposed func(err error)
}

// Remote is the key set that an issuer publishes. Its Keys are what its Run fetched last. It is safe for concurrent use.
type Remote struct {
	url    string
	client *http.Client
	stale  time.Duration
	within time.Duration // for all of a fetch
	events Events
	state  atomic.Pointer[state]
	asked  chan struct{} // holds one: that somebody asked, not who
}

// state is what Keys tells, as one.
type state struct {
	set   *jose.JSONWebKeySet // nil: none is held
	until time.Time
	why   string // what stands in the way, for the operator
}

// errNone are the words for no keys.
var errNone = errors.New("none are held")

// New checks the options; it fetches nothing.
func New(o Options) (*Remote, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%q is no https URL of a key set", o.URL)
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, fmt.Errorf("%q is not https: whoever is on the way could put in keys of his own; use https", o.URL)
	}
	if o.Stale < 0 || o.Stale > MaxStale {
		return nil, fmt.Errorf("keys cannot count for %s after they are stale; write 0s to %s", o.Stale, MaxStale)
	}
	r := &Remote{url: o.URL, client: newClient(o.Roots, u.Scheme == "http"), stale: o.Stale, within: fetchWithin, events: o.Events.filled(),
		asked: make(chan struct{}, 1)}
	r.state.Store(&state{why: "they were not fetched yet"})
	return r, nil
}

// Keys returns the keys that count at an instant, which must not be modified. The pointer stays the same as long as the
// keys do. The error says why there are none. It never waits.
func (r *Remote) Keys(at time.Time) (*jose.JSONWebKeySet, error) {
	s := r.state.Load()
	switch {
	case s.set == nil:
		return nil, fmt.Errorf("%w: %s", errNone, s.why)
	case !at.Before(s.until):
		return nil, fmt.Errorf("%w: those of %s count until %s: %s", errNone, r.url, s.until.UTC().Format(time.RFC3339), s.why)
	}
	return s.set, nil
}

// Ask asks for newer keys, because none of those that are held fits. They are fetched in the background as soon as
// MinInterval allows; who asked is not told. It never waits.
func (r *Remote) Ask() {
	select {
	case r.asked <- struct{}{}:
	default: // it has been said
	}
}

func (e Events) filled() Events {
	if e.Fetched == nil {
		e.Fetched = func(int, bool, time.Time) {}
	}
	if e.Failed == nil {
		e.Failed = func(error, time.Duration, time.Duration) {}
	}
	if e.Expired == nil {
		e.Expired = func() {}
	}
	if e.Exposed == nil {
		e.Exposed = func(error) {}
	}
	return e
}
