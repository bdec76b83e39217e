package agent

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// minTTL: a certificate ends with a whole second, so it may live up to a second less than it was given.
const minTTL = 2 * time.Second

// state is what an agent knows, and what it has issued. It outlives Stop.
type state struct {
	events Events

	mu      sync.Mutex
	domains map[spiffeid.TrustDomain]*domain
	ttl     time.Duration
	epoch   time.Time // all renewals are whole halves of ttl after it
	issued  map[spiffeid.ID]*issued
	changed chan struct{} // closed at every change; then there is another
}

// issued is the X.509-SVID that an identity has now.
type issued struct {
	id    spiffeid.ID
	pair  *devca.Pair
	renew time.Time // from then on it is replaced
}

// view is what one caller is told: consistent, and true until renew or until changed is closed.
type view struct {
	svids   []*issued // the default one first
	anchors map[spiffeid.TrustDomain][]*anchor
	renew   time.Time
	changed <-chan struct{}
}

func newState(domains map[string]*devca.CA, ttl time.Duration, events Events) (*state, error) {
	s := &state{events: events, domains: map[spiffeid.TrustDomain]*domain{}, changed: make(chan struct{})}
	for name, ca := range domains {
		id, err := spiffeid.TrustDomainFromString(name)
		if err != nil {
			return nil, fmt.Errorf("%q is no trust domain: %w", name, err)
		}
		first, err := newAnchor(id, ca)
		if err != nil {
			return nil, err
		}
		s.domains[id] = &domain{name: id, published: []*anchor{first}, signer: first}
	}
	return s, s.setTTL(ttl)
}

func (s *state) setTTL(ttl time.Duration) error {
	if ttl < minTTL {
		return fmt.Errorf("SVIDs of %s would end before they are used; give them %s or more", ttl, minTTL)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ttl, s.epoch, s.issued = ttl, time.Now(), map[spiffeid.ID]*issued{}
	s.announce()
	return nil
}

// announce wakes everybody who follows. The caller holds s.mu.
func (s *state) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// view issues what is missing or due.
func (s *state) view(names []string) (view, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	v := view{anchors: map[spiffeid.TrustDomain][]*anchor{}, changed: s.changed, renew: s.nextRenewal(now)}
	for name, d := range s.domains {
		v.anchors[name] = slices.Clone(d.published)
	}
	for _, name := range names {
		id, err := spiffeid.FromString(name)
		if err != nil {
			return view{}, fmt.Errorf("%q is registered and is no SPIFFE ID: %w", name, err)
		}
		svid := s.issued[id]
		if svid == nil || !now.Before(svid.renew) {
			if svid, err = s.issue(id, v.renew); err != nil {
				return view{}, err
			}
		}
		v.svids = append(v.svids, svid)
	}
	return v, nil
}

// issue signs an X.509-SVID. The caller holds s.mu.
func (s *state) issue(id spiffeid.ID, renew time.Time) (*issued, error) {
	d, known := s.domains[id.TrustDomain()]
	if !known {
		return nil, fmt.Errorf("%q is registered, and this agent does not sign for %s", id, id.TrustDomain())
	}
	pair, err := d.signer.ca.SVID(id.String(), s.ttl)
	if err != nil {
		return nil, err
	}
	d.signer.vouchesUntil(pair.Certificate.NotAfter)
	svid := &issued{id: id, pair: pair, renew: renew}
	s.issued[id] = svid
	if s.events.Issued != nil {
		s.events.Issued(id.String(), pair.Certificate.NotAfter)
	}
	return svid, nil
}

// nextRenewal is the next whole half of ttl. The caller holds s.mu.
func (s *state) nextRenewal(now time.Time) time.Time {
	period := s.ttl / 2
	return now.Add(period - now.Sub(s.epoch)%period)
}

// SetTTL gives X.509-SVIDs another time to live, at least 2s, and renews all of them at once.
func (a *Agent) SetTTL(ttl time.Duration) error { return a.state.setTTL(ttl) }

// NextRenewal is when all X.509-SVIDs will be renewed next.
func (a *Agent) NextRenewal() time.Time {
	a.state.mu.Lock()
	defer a.state.mu.Unlock()
	return a.state.nextRenewal(time.Now())
}

// domainNames are those of a view, in one order.
func (v view) domainNames() []spiffeid.TrustDomain {
	return slices.SortedFunc(maps.Keys(v.anchors), spiffeid.TrustDomain.Compare)
}

// authorities are the CA certificates of a trust domain, the oldest first.
func (v view) authorities(name spiffeid.TrustDomain) []*x509.Certificate {
	var list []*x509.Certificate
	for _, a := range v.anchors[name] {
		list = append(list, a.ca.Certificate())
	}
	return list
}
