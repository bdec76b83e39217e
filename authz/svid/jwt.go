package svid

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/tiergate/tiergate/authz/jwks"
)

// jwtState is what the JWT stream said last, as one.
type jwtState struct {
	came  bool
	sets  map[string]keySet
	until time.Time // zero: the stream stands, and nothing ends
	why   error     // what stands in the way of something newer; nil: nothing
}

// keySet is a domain's keys, and the text that they were read from: equal texts, the same pointer.
type keySet struct {
	text []byte
	keys *jose.JSONWebKeySet
}

// Keys are the JWT keys of one trust domain, as they change.
type Keys struct {
	source *Source
	domain string
}

// Keys returns the view on one domain's JWT keys. It fetches nothing.
func (s *Source) Keys(domain string) *Keys { return &Keys{source: s, domain: domain} }

// Keys returns the keys that count at an instant, which must not be modified. The pointer stays the same as long as the
// keys do. The error says why there are none. It never waits.
func (k *Keys) Keys(at time.Time) (*jose.JSONWebKeySet, error) {
	state, socket := k.source.jwt.Load(), k.source.options.Socket
	set, there := state.sets[k.domain]
	switch {
	case !state.came:
		return nil, fmt.Errorf("the Workload API at %s: %w", socket, state.why)
	case !there:
		return nil, fmt.Errorf("the Workload API at %s delivers no JWT keys of trust domain %s", socket, k.domain)
	case !state.until.IsZero() && !at.Before(state.until):
		return nil, fmt.Errorf("the keys of trust domain %s count until %s: the Workload API at %s: %w", k.domain,
			state.until.UTC().Format(time.RFC3339), socket, state.why)
	}
	return set.keys, nil
}

// Ask does nothing: the Workload API tells of every new key by itself.
func (k *Keys) Ask() {}

// takeJWT puts an answer into force, domain by domain.
func (s *Source) takeJWT(answer *workload.JWTBundlesResponse) {
	before := s.jwt.Load()
	next := &jwtState{came: true, sets: map[string]keySet{}}
	for of, text := range answer.GetBundles() {
		domain, err := spiffeid.TrustDomainFromString(of)
		if err != nil {
			s.options.Events.Refused(StreamJWT, "", fmt.Errorf("JWT keys of %.200q, which is no trust domain: %w", of, err))
			continue
		}
		name := domain.Name()
		held, there := before.sets[name]
		if there && bytes.Equal(held.text, text) {
			next.sets[name] = held
			continue
		}
		keys, err := readKeys(text)
		switch {
		case err == nil && len(keys.Keys) > 0:
			next.sets[name] = keySet{text: slices.Clone(text), keys: keys}
		case err != nil:
			s.options.Events.Refused(StreamJWT, name, fmt.Errorf("the JWT keys of trust domain %s: %w", name, err))
			if there && !errors.Is(err, jwks.ErrPrivate) {
				next.sets[name] = held
			}
		}
	}
	s.jwt.Store(next)
	s.options.Events.KeysUpdated(slices.Sorted(maps.Keys(next.sets)))
}

// lostJWT lets the keys count for a while, from the first failure on.
func (s *Source) lostJWT(err error) {
	next := *s.jwt.Load()
	next.why = err
	if next.until.IsZero() {
		next.until = time.Now().Add(MaxStale)
	}
	s.jwt.Store(&next)
}

// readKeys reads the keys that sign JWT-SVIDs (SPIFFE_Trust_Domain_and_Bundle.md, section 4.2.2: use is jwt-svid; an
// agent may leave it out). A domain may have none.
func readKeys(text []byte) (*jose.JSONWebKeySet, error) {
	keys := &jose.JSONWebKeySet{}
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &raw); err == nil && raw.Keys != nil && len(raw.Keys) == 0 {
		return keys, nil
	}
	set, err := jwks.Parse(text)
	if err != nil {
		return nil, err
	}
	for _, key := range set.Keys {
		switch key.Use {
		case "", "jwt-svid":
			keys.Keys = append(keys.Keys, key)
		}
	}
	return keys, nil
}
