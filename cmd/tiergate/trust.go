package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/svid"
	"github.com/tiergate/tiergate/config"
)

// trust judges peers by the CA certificates that count now: those in files, which are followed (takeDomain, takeDevices),
// and those of the trust domains that follow the Workload API, as they rotate. What else the Workload API delivers counts for nothing.
// It is an authz.Peers.
type trust struct {
	live   []string     // the trust domains that follow it, as the settings list them
	source *svid.Source // nil: none does
	told   trustEvents

	authority atomic.Pointer[identity.Authority]

	mu      sync.Mutex
	fixed   identity.AuthorityOptions // all but what follows the Workload API
	held    map[string][]byte         // the bundles of live that are in force, PEM
	seen    map[string]bool           // the domains of live that had a bundle once
	changed []func()                  // called after every change
}

// trustEvents are told by trust.
type trustEvents struct {
	// InForce: other CA certificates count than before; missing are the domains without any.
	InForce func(missing []string)
	// Refused: a domain's new bundle is not taken, and its last one stays.
	Refused func(domain string, err error)
}

// newTrust takes the files as they count. source delivers the bundles of the trust domains without a file.
func newTrust(s *config.Settings, held *fileSet, source *svid.Source, told trustEvents) (*trust, error) {
	options, err := authorityOptions(s, held)
	if err != nil {
		return nil, err
	}
	t := &trust{fixed: options, live: liveDomains(s), source: source, told: told, held: map[string][]byte{},
		seen: map[string]bool{}}
	authority, err := t.with(nil)
	if err != nil {
		return nil, err
	}
	t.authority.Store(authority)
	return t, nil
}

// liveDomains are the trust domains whose bundle is in no file.
func liveDomains(s *config.Settings) []string {
	var live []string
	for _, d := range s.Identity.TrustDomains {
		if d.BundleFile == "" {
			live = append(live, d.Name)
		}
	}
	return live
}

// Peer judges by what counts now.
func (t *trust) Peer(encodedPEM, principal string, at time.Time) identity.Peer {
	return t.authority.Load().Peer(encodedPEM, principal, at)
}

// Behind judges by what counts now.
func (t *trust) Behind(peer identity.Peer, forwarded []string, at time.Time) identity.Peer {
	return t.authority.Load().Behind(peer, forwarded, at)
}

// with makes an authority of the fixed bundles and these.
func (t *trust) with(live map[string][]byte) (*identity.Authority, error) {
	options := t.fixed
	options.TrustDomains = maps.Clone(t.fixed.TrustDomains)
	maps.Copy(options.TrustDomains, live)
	options.Awaited = without(t.live, live)
	return identity.NewAuthority(options)
}

// update takes over what the Workload API delivers now, domain by domain: a bundle that is refused, because it holds no
// CA or the CA of another domain, leaves its own domain as it was and stands in nobody else's way. Our own domain is
// first: what a federated one sends cannot keep us from following it.
func (t *trust) update() {
	t.mu.Lock()
	defer t.mu.Unlock()
	order := slices.Clone(t.live)
	if i := slices.Index(order, t.source.Domain()); i > 0 {
		order = slices.Insert(slices.Delete(order, i, i+1), 0, t.source.Domain())
	}
	next := map[string][]byte{}
	for _, domain := range order {
		bundle, err := t.source.X509(domain)
		if err != nil { // it is delivered no more, so it counts no more
			continue
		}
		for _, choice := range [][]byte{bundle, t.held[domain]} {
			if err := t.fits(next, domain, choice); err == nil {
				next[domain] = choice
				break
			} else if choice != nil {
				t.told.Refused(domain, err)
			}
		}
	}
	if maps.EqualFunc(t.held, next, bytes.Equal) {
		return
	}
	authority, err := t.with(next)
	if err != nil { // every step of it was tried
		t.told.Refused("", err)
		return
	}
	t.held = next
	t.authority.Store(authority)
	t.told.InForce(without(t.live, next))
	for domain := range next {
		t.seen[domain] = true
	}
	for _, f := range t.changed {
		f()
	}
}

// fits reports whether a bundle can stand beside others.
func (t *trust) fits(others map[string][]byte, domain string, bundle []byte) error {
	candidate := maps.Clone(others)
	candidate[domain] = bundle
	_, err := t.with(candidate)
	return err
}

// bundle is the CA certificates of a trust domain that follows the Workload API; nil: none are in force.
func (t *trust) bundle(domain string) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held[domain]
}

// onChange has f called after every change; it must not block, nor ask for a bundle.
func (t *trust) onChange(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed = append(t.changed, f)
}

// ready reports the domains whose first bundle has not come yet. One that came and was withdrawn since is no reason to
// take the whole process out of service.
func (t *trust) ready() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var missing []string
	for _, domain := range t.live {
		if !t.seen[domain] {
			missing = append(missing, domain)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err := t.source.X509(missing[0])
	return fmt.Errorf("there are no CA certificates of trust domain %s yet: %w", strings.Join(missing, ", "), err)
}

func without(all []string, some map[string][]byte) []string {
	var left []string
	for _, name := range all {
		if _, there := some[name]; !there {
			left = append(left, name)
		}
	}
	return left
}
