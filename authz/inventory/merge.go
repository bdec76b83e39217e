package inventory

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
)

// How long the records of what decisions saw are kept after the last of it.
const Keep = 400 * 24 * time.Hour

// Merge adds what another Sighting of the same identity says: the earlier first, the later last, the sums of counts, the
// credential that was seen later. In whatever order Sightings are merged the result is the same, as long as MaxRoutes and
// MaxPlaces are not exceeded; beyond them the longest unseen go. Batches are left alone.
func (s *Sighting) Merge(other *Sighting) {
	s.ID, s.TrustDomain = other.ID, other.TrustDomain
	s.First, s.Last = earlier(s.First, other.First), later(s.Last, other.Last)
	if len(other.Routes) > 0 && s.Routes == nil {
		s.Routes = make(map[string]RouteUse, len(other.Routes))
	}
	for route, use := range other.Routes {
		s.Routes[route] = s.Routes[route].plus(use)
	}
	forget(s.Routes, MaxRoutes, func(u RouteUse) time.Time { return u.Last })
	if len(other.Places) > 0 && s.Places == nil {
		s.Places = make(map[string]time.Time, len(other.Places))
	}
	for place, last := range other.Places {
		s.Places[place] = later(s.Places[place], last)
	}
	forget(s.Places, MaxPlaces, func(at time.Time) time.Time { return at })
	if c := other.CredentialSeen.Compare(s.CredentialSeen); c > 0 || c == 0 && newerCredential(other, s) {
		s.CredentialFrom, s.CredentialUntil, s.CredentialSeen = other.CredentialFrom, other.CredentialUntil, other.CredentialSeen
	}
}

// newerCredential breaks a tie the same way on both sides.
func newerCredential(a, b *Sighting) bool {
	if c := a.CredentialUntil.Compare(b.CredentialUntil); c != 0 {
		return c > 0
	}
	return a.CredentialFrom.After(b.CredentialFrom)
}

func (u RouteUse) plus(other RouteUse) RouteUse {
	return RouteUse{First: earlier(u.First, other.First), Last: later(u.Last, other.Last), Allowed: u.Allowed + other.Allowed,
		Refused: u.Refused + other.Refused, LastAllowed: later(u.LastAllowed, other.LastAllowed)}
}

// Merge adds what was counted elsewhere of the same day and sidecar. Batches are left alone.
func (u *Use) Merge(other *Use) {
	u.Day, u.Sidecar = other.Day, other.Sidecar
	if u.Tiers == nil {
		u.Tiers = make(map[string]TierUse, len(other.Tiers))
	}
	for name, b := range other.Tiers {
		a := u.Tiers[name]
		u.Tiers[name] = TierUse{Allowed: a.Allowed + b.Allowed, Refused: a.Refused + b.Refused, ByException: a.ByException + b.ByException,
			ByGrace: a.ByGrace + b.ByGrace, ByLastKnown: a.ByLastKnown + b.ByLastKnown}
	}
	if len(other.Exceptions) > 0 && u.Exceptions == nil {
		u.Exceptions = make(map[string]ExceptionUse, len(other.Exceptions))
	}
	for name, b := range other.Exceptions {
		a := u.Exceptions[name]
		u.Exceptions[name] = ExceptionUse{Count: a.Count + b.Count, Last: later(a.Last, b.Last)}
	}
}

// Take notes that a writer adds its batch n. False: it was added before, and must not be added again. Writers that have been
// silent for longest are forgotten, beyond 64.
func (b *Batches) Take(writer string, n uint64, at time.Time) bool {
	if (*b)[writer].N >= n {
		return false
	}
	if *b == nil {
		*b = Batches{}
	}
	(*b)[writer] = Batch{N: n, At: at}
	forget(*b, maxBatches, func(x Batch) time.Time { return x.At })
	return true
}

// forget removes what is oldest until no more than most are left; of equals that of the greater key.
func forget[V any](all map[string]V, most int, when func(V) time.Time) {
	if len(all) <= most {
		return
	}
	keys := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		if c := when(all[b]).Compare(when(all[a])); c != 0 {
			return c
		}
		return map[bool]int{true: -1, false: 1}[a < b]
	})
	for _, key := range keys[most:] {
		delete(all, key)
	}
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// JSON is the value of the sighting's record.
func (s *Sighting) JSON() []byte { return mustJSON(s) }

// JSON is the value of the record.
func (u *Use) JSON() []byte { return mustJSON(u) }

// ParseSighting reads the value of a record of RecordKind. The error says why it is none: these records are not signed, and
// whoever can write the store can write anything there.
func ParseSighting(key string, value []byte) (Sighting, error) {
	var s Sighting
	fault := func(format string, args ...any) (Sighting, error) {
		return Sighting{}, fmt.Errorf("sighting %q: %w", key, fmt.Errorf(format, args...))
	}
	if err := json.Unmarshal(value, &s); err != nil {
		return fault("%w", err)
	}
	id, err := identity.ParseSPIFFEID(key)
	switch {
	case err != nil:
		return fault("%w", err)
	case s.ID != key || s.TrustDomain != id.TrustDomain():
		return fault("it is that of %.200q in %.200q", s.ID, s.TrustDomain)
	case s.First.IsZero() || s.Last.Before(s.First):
		return fault("it was seen first at %s and last at %s", s.First, s.Last)
	case len(s.Routes) > MaxRoutes || len(s.Places) > MaxPlaces || len(s.Batches) > maxBatches:
		return fault("it has %d routes, %d places and %d batches", len(s.Routes), len(s.Places), len(s.Batches))
	}
	return s, nil
}

// ParseUse reads the value of a record of UseKind. The error says why it is none.
func ParseUse(key string, value []byte) (Use, error) {
	var u Use
	if err := json.Unmarshal(value, &u); err != nil {
		return Use{}, fmt.Errorf("use %q: %w", key, err)
	}
	if u.Key() != key {
		return Use{}, fmt.Errorf("use %q: it is that of %.200q", key, u.Key())
	}
	if _, err := time.Parse(time.DateOnly, u.Day); err != nil {
		return Use{}, fmt.Errorf("use %q: %w", key, err)
	}
	return u, nil
}
