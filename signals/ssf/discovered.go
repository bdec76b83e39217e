package ssf

import (
	"context"
	"crypto/x509"
	"errors"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/jwks"
)

// Discovered are the keys that a transmitter's metadata point to (jwks_uri). Until a Manager has read the metadata there are
// none. It is safe for concurrent use.
type Discovered struct {
	roots  *x509.CertPool
	stale  time.Duration
	events jwks.Events
	remote atomic.Pointer[jwks.Remote]
	url    string // of the manager's goroutine
	stop   func()
}

// NewDiscovered makes them; see jwks.Options for what roots, stale and events are.
func NewDiscovered(roots *x509.CertPool, stale time.Duration, events jwks.Events) *Discovered {
	return &Discovered{roots: roots, stale: stale, events: events, stop: func() {}}
}

// Keys implements Keys.
func (d *Discovered) Keys(at time.Time) (*jose.JSONWebKeySet, error) {
	if remote := d.remote.Load(); remote != nil {
		return remote.Keys(at)
	}
	return nil, errors.New("the transmitter's metadata, which say where its keys are, were not read yet")
}

// Ask implements Keys.
func (d *Discovered) Ask() {
	if remote := d.remote.Load(); remote != nil {
		remote.Ask()
	}
}

// follow has the keys at a URL fetched until ctx ends or another is followed.
func (d *Discovered) follow(ctx context.Context, url string) error {
	if url == d.url {
		return nil
	}
	remote, err := jwks.New(jwks.Options{URL: url, Roots: d.roots, Stale: d.stale, Events: d.events})
	if err != nil {
		return err
	}
	d.stop()
	run, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = remote.Run(run) // it returns nil, when run ends
	}()
	d.stop = func() { cancel(); <-done }
	d.url = url
	d.remote.Store(remote)
	return nil
}

// end waits for what follow has started.
func (d *Discovered) end() {
	d.stop()
	d.stop, d.url = func() {}, ""
}
