package inventory

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
)

// World is what is known of non-human identities at an instant. The receiver's process reads it from the store.
type World struct {
	At        time.Time
	Policy    *policy.Policy
	Sightings []Sighting
	Entries   []Entry
	// Days are the days (2026-11-22) of which any sidecar has written its use, sorted: the census ran.
	Days []string
}

// State is a word for how an identity stands. It may have several.
type State string

// The states.
const (
	StateOwned      State = "owned"      // an Identity document names it
	StateUnowned    State = "unowned"    // none does
	StateActive     State = "active"     // seen within Recent
	StateStale      State = "stale"      // seen, but not within Recent
	StateNeverSeen  State = "never-seen" // no decision saw it
	StateGone       State = "gone"       // the systems that recorded it no longer list it
	StateUnrecorded State = "unrecorded" // no system that was imported lists it, and it was seen
	StateUnreviewed State = "unreviewed" // its date of review is over
	StateExcessive  State = "excessive"  // it may reach routes that it was not let in to within Recent
)

// States are all of them.
var States = []State{StateActive, StateExcessive, StateGone, StateNeverSeen, StateOwned, StateStale, StateUnowned, StateUnrecorded,
	StateUnreviewed}

// Recent is within which time of now an identity was seen lately.
const Recent = 30 * 24 * time.Hour

// Joined is one non-human identity with all that is known of it.
type Joined struct {
	Name     string `json:"name"`               // the document's; else the SPIFFE ID; else Entry.Place
	Document string `json:"document,omitempty"` // empty: none names it
	Owner    string `json:"owner,omitempty"`
	// SaidOwner is whom other systems name where no document does.
	SaidOwner   string        `json:"saidOwner,omitempty"`
	Type        string        `json:"type,omitempty"`
	Recorded    []string      `json:"recorded,omitempty"`  // SYSTEM/NAME of a document, Entry.Place of imports
	SPIFFEIDs   []string      `json:"spiffeIDs,omitempty"` // as the document writes them, patterns too; without one the one ID
	IDs         []string      `json:"ids,omitempty"`       // SPIFFE IDs that were written out, seen or imported
	TrustDomain []string      `json:"trustDomains,omitempty"`
	First       time.Time     `json:"first,omitzero"`
	Last        time.Time     `json:"last,omitzero"` // as decisions saw it
	Elsewhere   time.Time     `json:"lastElsewhere,omitzero"`
	Routes      []JoinedRoute `json:"routes,omitempty"`
	Places      []string      `json:"places,omitempty"`
	// CredentialFrom and CredentialUntil are those of the credential that was seen last; of imports the oldest since.
	CredentialFrom  time.Time `json:"credentialFrom,omitzero"`
	CredentialUntil time.Time `json:"credentialUntil,omitzero"`
	NeverExpires    bool      `json:"neverExpires,omitempty"`
	// CredentialMaxAge is how long one may be valid, or old, in seconds: as the document says or is usual for the type.
	// Monitors may want less.
	CredentialMaxAge int64       `json:"credentialMaxAgeSeconds,omitempty"`
	ReviewBy         policy.Date `json:"reviewBy,omitzero"`
	Grants           []string    `json:"grants,omitempty"` // elsewhere
	States           []State     `json:"states"`
	sightings        []*Sighting
	entries          []*Entry
}

// JoinedRoute is a route that an identity may reach, or that it asked for.
type JoinedRoute struct {
	Route     string   `json:"route"`
	Audiences []string `json:"audiences,omitempty"` // that grant it; none: it is not granted
	RouteUse
}

// Join brings documents, sightings and imports together, sorted by name. What a document names by its SPIFFE IDs, by recordedAs, or by
// name and recordedIn, belongs to it; what else is seen or imported stands for itself, joined by its SPIFFE ID.
func Join(w *World) []Joined {
	j := &joiner{w: w, grants: NewGrants(w.Policy), literal: map[string]*Joined{}, named: map[string]*Joined{}, others: map[string]*Joined{}}
	spec := w.Policy.Spec()
	for i := range spec.Identities {
		j.document(&spec.Identities[i])
	}
	for i := range spec.Identities { // what a document says is stronger than what another is called
		for _, as := range spec.Identities[i].RecordedAs {
			j.named[as] = j.all[i]
		}
	}
	for i := range w.Sightings {
		s := &w.Sightings[i]
		to := j.of(s.ID)
		to.sightings = append(to.sightings, s)
		to.IDs = append(to.IDs, s.ID)
	}
	for i := range w.Entries {
		e := &w.Entries[i]
		to := j.entry(e)
		to.entries = append(to.entries, e)
		if e.SPIFFEID != "" {
			to.IDs = append(to.IDs, e.SPIFFEID)
		}
	}
	out := make([]Joined, 0, len(j.all))
	for _, x := range j.all {
		j.finish(x)
		out = append(out, *x)
	}
	slices.SortFunc(out, func(a, b Joined) int { return strings.Compare(a.Name, b.Name) })
	return out
}

type joiner struct {
	w       *World
	grants  *Grants
	all     []*Joined
	literal map[string]*Joined // by SPIFFE ID
	wild    []wildDocument
	named   map[string]*Joined // by SYSTEM/NAME, and as documents say that they are recorded
	others  map[string]*Joined // by name
}

type wildDocument struct {
	pattern identity.SPIFFEPattern
	of      *Joined
}

func (j *joiner) document(d *policy.Identity) {
	x := &Joined{Name: d.Meta.Name, Document: d.Meta.Name, Owner: d.Meta.Owner, Type: string(d.Type), ReviewBy: d.ReviewBy,
		Recorded: append([]string{d.RecordedIn + "/" + d.Meta.Name}, d.RecordedAs...), SPIFFEIDs: slices.Clone(d.SPIFFEIDs),
		CredentialMaxAge: int64(d.CredentialMaxAge() / time.Second)}
	for _, text := range d.SPIFFEIDs {
		if !strings.Contains(text, "*") {
			j.literal[text] = x
			x.IDs = append(x.IDs, text)
		} else if pattern, err := identity.ParseSPIFFEPattern(text); err == nil { // a compiled policy has no other
			j.wild = append(j.wild, wildDocument{pattern, x})
		}
	}
	j.named[d.RecordedIn+"/"+d.Meta.Name] = x
	j.all = append(j.all, x)
}

// of is what stands for a SPIFFE ID.
func (j *joiner) of(id string) *Joined {
	if x := j.literal[id]; x != nil {
		return x
	}
	for _, w := range j.wild {
		if w.pattern.Match(identity.SPIFFEID(id)) {
			return w.of
		}
	}
	x := j.other(id)
	x.SPIFFEIDs = []string{id}
	return x
}

func (j *joiner) entry(e *Entry) *Joined {
	for _, as := range e.Names() {
		if x := j.named[as]; x != nil {
			return x
		}
	}
	if e.SPIFFEID != "" {
		return j.of(e.SPIFFEID)
	}
	return j.other(e.Place())
}

func (j *joiner) other(name string) *Joined {
	x := j.others[name]
	if x == nil {
		x = &Joined{Name: name}
		j.others[name] = x
		j.all = append(j.all, x)
	}
	return x
}

// finish fills in what sightings, imports and the policy say.
func (j *joiner) finish(x *Joined) {
	slices.Sort(x.IDs)
	x.IDs = slices.Compact(x.IDs)
	routes := map[string]JoinedRoute{}
	for _, id := range x.IDs {
		x.TrustDomain = append(x.TrustDomain, identity.SPIFFEID(id).TrustDomain())
		for _, g := range j.grants.Of(id) {
			r := routes[g.Route]
			r.Audiences = append(r.Audiences, g.Audiences...)
			routes[g.Route] = r
		}
	}
	seenCredential := time.Time{}
	for _, s := range x.sightings {
		x.First, x.Last = earlier(x.First, s.First), later(x.Last, s.Last)
		for name, use := range s.Routes {
			r := routes[name]
			r.RouteUse = r.plus(use)
			routes[name] = r
		}
		x.Places = append(x.Places, slices.Collect(maps.Keys(s.Places))...)
		if s.CredentialSeen.After(seenCredential) {
			seenCredential, x.CredentialFrom, x.CredentialUntil = s.CredentialSeen, s.CredentialFrom, s.CredentialUntil
		}
	}
	j.imported(x)
	for name, r := range routes {
		slices.Sort(r.Audiences)
		r.Route, r.Audiences = name, slices.Compact(r.Audiences)
		x.Routes = append(x.Routes, r)
	}
	slices.SortFunc(x.Routes, func(a, b JoinedRoute) int { return strings.Compare(a.Route, b.Route) })
	for _, list := range []*[]string{&x.TrustDomain, &x.Places, &x.Recorded, &x.Grants} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	x.States = j.states(x)
}

func (j *joiner) imported(x *Joined) {
	for _, e := range x.entries {
		x.Elsewhere = later(x.Elsewhere, e.LastUsed)
		if !e.Live() {
			continue
		}
		x.Recorded = append(x.Recorded, e.Place())
		x.Grants = append(x.Grants, e.Grants...)
		x.NeverExpires = x.NeverExpires || e.NeverExpires
		if x.CredentialUntil.IsZero() {
			x.CredentialFrom = earlier(x.CredentialFrom, e.CredentialFrom)
		}
		if x.Document == "" {
			x.Type, x.SaidOwner = max(x.Type, e.Type), max(x.SaidOwner, e.Owner) // the same whichever comes first
		}
	}
}

func (j *joiner) states(x *Joined) []State {
	recent := j.w.At.Add(-Recent)
	live := slices.ContainsFunc(x.entries, func(e *Entry) bool { return e.Live() })
	excessive := !x.First.IsZero() && !x.First.After(recent) && slices.ContainsFunc(x.Routes, func(r JoinedRoute) bool {
		return len(r.Audiences) > 0 && r.LastAllowed.Before(recent)
	})
	states := []State{}
	for _, s := range []struct {
		state State
		is    bool
	}{
		{StateOwned, x.Document != ""}, {StateUnowned, x.Document == ""},
		{StateActive, x.Last.After(recent)}, {StateStale, !x.Last.IsZero() && !x.Last.After(recent)}, {StateNeverSeen, x.Last.IsZero()},
		{StateGone, len(x.entries) > 0 && !live}, {StateUnrecorded, len(x.entries) == 0 && !x.Last.IsZero()},
		{StateUnreviewed, x.Document != "" && !j.w.At.Before(x.ReviewBy.AddDate(0, 0, 1))}, // the day itself still counts
		{StateExcessive, excessive},
	} {
		if s.is {
			states = append(states, s.state)
		}
	}
	return states
}

// UsedRoutes counts the routes that the identity may reach, and those of them that it was ever let in to.
func (x *Joined) UsedRoutes() (used, granted int) {
	for i := range x.Routes {
		if r := &x.Routes[i]; len(r.Audiences) > 0 {
			granted++
			if r.Allowed > 0 {
				used++
			}
		}
	}
	return used, granted
}

// Calls counts what decisions saw of the identity, let in or refused, whatever the route.
func (x *Joined) Calls() (calls uint64) {
	for i := range x.Routes {
		calls += x.Routes[i].Allowed + x.Routes[i].Refused
	}
	return calls
}

// Is tells whether the identity is in a state.
func (x *Joined) Is(s State) bool { return slices.Contains(x.States, s) }
