package svid

import (
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// MaxStale is for how long JWT keys count after the agent was last heard: nothing else would ever end them.
const MaxStale = 6 * time.Hour

// maxSocketPath is what a Unix socket address holds (sun_path of 108 bytes, its terminating zero included).
const maxSocketPath = 107

// Options say where the Workload API is and who wants to know what it says.
type Options struct {
	Socket string // the absolute path of its Unix socket; it need not be there yet
	// JWT follows the JWT bundles too.
	JWT bool
	// Changed is called by Run after the X.509 bundles or the own SVID are others than before. It must not block.
	Changed func()
	Events  Events
}

// Events are told by Run, one at a time, each of them where it is set.
type Events struct {
	// Updated: a good X.509 answer came, first or anew. The own SVID ends at expires; domains are those with a bundle.
	Updated func(id string, expires time.Time, domains []string)
	// KeysUpdated: a good answer with JWT bundles came; domains are those with keys.
	KeysUpdated func(domains []string)
	// Refused: the agent sent something that cannot be used, so that this part stays as it was. domain is "" where it is
	// not about one domain.
	Refused func(stream Stream, domain string, err error)
	// Failed: the agent is out of reach, or has no identity for this process: errors.Is(err, ErrNoIdentity).
	Failed func(stream Stream, err error, retryIn time.Duration)
}

// Stream is one of the two things that are followed.
type Stream string

// The streams.
const (
	StreamX509 Stream = "x509"
	StreamJWT  Stream = "jwt"
)

// ErrNoIdentity says that the agent is there and knows no registration entry that fits this process (PermissionDenied,
// SPIFFE_Workload_API.md, section 4.4).
var ErrNoIdentity = errors.New("the agent has no identity for this process: " +
	"create a registration entry whose selectors fit it")

// errNotYet is why there is nothing before the first answer.
var errNotYet = errors.New("it was not reached yet")

// Source is what the Workload API said last, as its Run heard it. It is safe for concurrent use.
type Source struct {
	options Options
	x509    atomic.Pointer[x509State]
	jwt     atomic.Pointer[jwtState]
	telling sync.Mutex // Events and Changed are told one at a time
}

// x509State is what the X.509 stream said last, as one.
type x509State struct {
	certificate *tls.Certificate // nil: none came yet
	id          string
	domain      string
	bundles     map[string][]byte // by trust domain, PEM
	why         error             // what stands in the way of something newer; nil: nothing
}

// New checks the options; it connects to nothing.
func New(o Options) (*Source, error) {
	if !filepath.IsAbs(o.Socket) || len(o.Socket) > maxSocketPath {
		return nil, fmt.Errorf("%q is no absolute path of a Unix socket of at most %d bytes", o.Socket, maxSocketPath)
	}
	o.Events = o.Events.filled()
	if o.Changed == nil {
		o.Changed = func() {}
	}
	s := &Source{options: o}
	s.x509.Store(&x509State{why: errNotYet})
	s.jwt.Store(&jwtState{why: errNotYet})
	return s, nil
}

// Certificate is the own X.509-SVID with its chain and key, for a tls.Config. The error says why there is none, or none
// that is still valid.
func (s *Source) Certificate() (*tls.Certificate, error) {
	state := s.x509.Load()
	switch {
	case state.certificate == nil:
		return nil, fmt.Errorf("there is no SVID of our own: the Workload API at %s: %w", s.options.Socket, state.reason())
	case time.Now().After(state.certificate.Leaf.NotAfter):
		return nil, fmt.Errorf("our own SVID %s ran out at %s: the Workload API at %s: %w", state.id,
			state.certificate.Leaf.NotAfter.UTC().Format(time.RFC3339), s.options.Socket, state.reason())
	}
	return state.certificate, nil
}

// Domain is the trust domain of the own SVID; "" until one came.
func (s *Source) Domain() string { return s.x509.Load().domain }

// X509 returns the CA certificates of a trust domain, PEM, which must not be modified. The error says why there are
// none.
func (s *Source) X509(domain string) ([]byte, error) {
	state := s.x509.Load()
	bundle, there := state.bundles[domain]
	switch {
	case there:
		return bundle, nil
	case state.certificate == nil:
		return nil, fmt.Errorf("the Workload API at %s: %w", s.options.Socket, state.reason())
	}
	return nil, fmt.Errorf("the Workload API at %s delivers no bundle of trust domain %s: "+
		"federate with it in the entry of this process", s.options.Socket, domain)
}

func (s *x509State) reason() error {
	if s.why == nil {
		return errors.New("it sent nothing newer")
	}
	return s.why
}

func (e Events) filled() Events {
	if e.Updated == nil {
		e.Updated = func(string, time.Time, []string) {}
	}
	if e.KeysUpdated == nil {
		e.KeysUpdated = func([]string) {}
	}
	if e.Refused == nil {
		e.Refused = func(Stream, string, error) {}
	}
	if e.Failed == nil {
		e.Failed = func(Stream, error, time.Duration) {}
	}
	return e
}
