package findings

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
)

// What tells sorts of misconfiguration apart (Finding.Detail).
const (
	detailWildcard    = "wildcard"
	detailPlaces      = "many-places"
	detailTrustDomain = "trust-domain"
	detailNoEnd       = "never-expires"
)

// lately is how long after it was seen last an identity is still about.
const lately = 30 * days

// entry is an Identity document, or an identity without one, with all that was seen and imported of it.
type entry struct {
	subject   string
	document  *policy.Identity // nil: there is none
	owner     string
	kind      policy.IdentityType
	audiences []string
	ids       []identity.SPIFFEID // seen, or written without a wildcard
	sightings []*inventory.Sighting
	imported  []*inventory.Entry
	gone      []*inventory.Entry // that a document says is recorded, and its system no longer lists
	under     string             // the finding that nobody owns it
}

// identities tells what is wrong with the non-human identities: those of documents, those that decisions saw, and those that
// other systems record.
func (f *finder) identities() {
	for _, e := range f.entries() {
		f.unowned(e)
		f.unreviewed(e)
		f.wildcard(e)
		f.unseen(e)
		f.excessive(e)
		f.places(e)
		f.credentials(e)
	}
	f.trustDomains()
}

// joining joins documents, sightings and imports.
type joining struct {
	f        *finder
	all      []*entry
	covering *patterns[*entry]
	named    map[string]*entry // documents by RECORDED-IN/NAME, and as they say that they are recorded
	others   map[string]*entry // by subject
}

// entries are all of them. Two documents never cover one SPIFFE ID.
func (f *finder) entries() []*entry {
	j := &joining{f: f, covering: &patterns[*entry]{}, named: map[string]*entry{}, others: map[string]*entry{}}
	for i := range f.spec.Identities {
		j.document(&f.spec.Identities[i])
	}
	for i := range f.spec.Identities { // what a document says is stronger than what another is called
		for _, as := range f.spec.Identities[i].RecordedAs {
			j.named[as] = j.all[i]
		}
	}
	for i := range f.v.Sightings {
		s := &f.v.Sightings[i]
		e := j.find(s.ID)
		if e == nil {
			e = j.without(s.ID, f.ownerOfUse(s), "")
		}
		e.sightings = append(e.sightings, s)
		e.ids = append(e.ids, identity.SPIFFEID(s.ID))
	}
	for i := range f.v.Imported {
		x := &f.v.Imported[i]
		if !x.Live() { // its system lists it no more; what decisions still see of it is found as any other
			if e := j.recorded(x); e != nil {
				e.gone = append(e.gone, x)
			}
			continue
		}
		e := j.imported(x)
		e.imported = append(e.imported, x)
	}
	for _, e := range j.all {
		for _, id := range e.ids {
			e.audiences = append(e.audiences, f.who.ofWorkload(id)...)
		}
		e.audiences = sortedSet(e.audiences)
	}
	return j.all
}

func (j *joining) document(d *policy.Identity) {
	e := &entry{subject: "identity " + d.Meta.Name, document: d, owner: d.Meta.Owner, kind: d.Type}
	for _, text := range d.SPIFFEIDs {
		j.covering.add(text, e)
		if !isWild(text) {
			e.ids = append(e.ids, identity.SPIFFEID(text))
		}
	}
	j.named[d.RecordedIn+"/"+d.Meta.Name] = e
	j.all = append(j.all, e)
}

// find is the document that covers a SPIFFE ID.
func (j *joining) find(id string) *entry {
	if of := j.covering.of(identity.SPIFFEID(id)); len(of) > 0 {
		return of[0]
	}
	return nil
}

// recorded is the document that says that it is recorded so, or that has its name; nil: there is none.
func (j *joining) recorded(x *inventory.Entry) *entry {
	for _, as := range x.Names() {
		if e := j.named[as]; e != nil {
			return e
		}
	}
	return nil
}

// imported is the document of what another system records: the one that says so, that is recorded in that system under that
// name, or that covers its SPIFFE ID.
func (j *joining) imported(x *inventory.Entry) *entry {
	e := j.recorded(x)
	if e == nil && x.SPIFFEID != "" {
		if e = j.find(x.SPIFFEID); e == nil {
			e = j.without(x.SPIFFEID, x.Owner, policy.IdentityType(x.Type))
		}
	}
	if e == nil {
		e = j.without("import "+x.Place(), x.Owner, policy.IdentityType(x.Type))
	}
	return e
}

// without is the entry of what no document names.
func (j *joining) without(subject, owner string, kind policy.IdentityType) *entry {
	e := j.others[subject]
	if e == nil {
		e = &entry{subject: subject}
		j.others[subject] = e
		j.all = append(j.all, e)
	}
	e.kind = max(e.kind, kind) // whichever comes first
	if _, team := j.f.who.teams[owner]; team && (e.owner == "" || owner < e.owner) {
		e.owner = owner
	}
	return e
}

func isWild(pattern string) bool { return strings.Contains(pattern, "*") }

// ownerOfUse is the owner of the route that an identity was let in to last: who to ask first about one that nobody owns.
func (f *finder) ownerOfUse(s *inventory.Sighting) string {
	owner, last := "", time.Time{}
	for i := range f.spec.Routes {
		r := &f.spec.Routes[i]
		if use := s.Routes[r.Meta.Name]; use.LastAllowed.After(last) {
			owner, last = r.Meta.Owner, use.LastAllowed
		}
	}
	return owner
}

// seen tells when any of an entry's identities was seen first and last; zero: never.
func (e *entry) seen() (first, last time.Time) {
	for _, s := range e.sightings {
		if first.IsZero() || s.First.Before(first) {
			first = s.First
		}
		if s.Last.After(last) {
			last = s.Last
		}
	}
	return first, last
}

// finding is one about the entry.
func (e *entry) finding(kind Kind, detail string, since time.Time, wait time.Duration, summary, fix string, evidence ...string) Finding {
	return Finding{Kind: kind, Subject: e.subject, Detail: detail, Since: since, Wait: wait, Summary: summary, Evidence: few(evidence),
		Owner: e.owner, Audiences: e.audiences, Fix: policy.Fix{Text: fix}, Under: e.under}
}

// unowned tells of an identity that is about, or that another system records, and that no document names.
func (f *finder) unowned(e *entry) {
	first, last := e.seen()
	if e.document != nil || len(e.imported) == 0 && f.lasted(last, lately) {
		return
	}
	var evidence []string
	if !last.IsZero() {
		evidence = append(evidence, "seen first at "+stamp(first)+", from "+placesOf(e.sightings))
	}
	for _, x := range e.imported {
		line := "recorded in " + inventory.Origin(x.System, x.Part) + " as " + x.ID
		if x.Owner != "" {
			line += ", owner there: " + x.Owner
			if _, team := f.who.teams[x.Owner]; !team {
				line += ", which is no team of the policy"
			}
		}
		evidence = append(evidence, line)
		if !x.Created.IsZero() && (first.IsZero() || x.Created.Before(first)) {
			first = x.Created
		}
	}
	slices.Sort(evidence)
	fix := "Write an Identity document for it with an owner, or remove it where it is recorded."
	if place, is := strings.CutPrefix(e.subject, "import "); is {
		fix = "List " + place + " in recordedAs of an Identity document with an owner, or remove it where it is recorded."
	}
	x := e.finding(IdentityUnowned, "", first, f.wait(IdentityUnowned, e.audiences, 0), "nobody owns "+e.subject, fix, evidence...)
	if domain := f.strange(e); domain != "" {
		x.Under = (&Finding{Kind: IdentityMisconfigured, Subject: "trust domain " + domain, Detail: detailTrustDomain}).Key()
	}
	f.add(x)
	e.under = x.Key()
}

func placesOf(sightings []*inventory.Sighting) string {
	var all []string
	for _, s := range sightings {
		for place := range s.Places {
			all = append(all, place)
		}
	}
	if len(all) == 0 {
		return "no known place"
	}
	return list(few(sortedSet(all)))
}

func (f *finder) unreviewed(e *entry) {
	if e.document == nil {
		return
	}
	over := e.document.ReviewBy.Add(days) // the day itself still counts
	wait := f.wait(IdentityUnreviewed, e.audiences, 0)
	if f.lasted(over, wait) {
		f.add(e.finding(IdentityUnreviewed, "", over, wait, "nobody has reviewed "+e.subject+" in time",
			"Review what it may do and whether it is needed, and write the next date into its document.",
			"it was to be reviewed by "+e.document.ReviewBy.Format(time.DateOnly)))
	}
}

// wildcard tells of a document whose patterns cover identities that nobody has written down.
func (f *finder) wildcard(e *entry) {
	if e.document == nil {
		return
	}
	var wide []string
	for _, text := range e.document.SPIFFEIDs {
		if isWild(text) {
			wide = append(wide, text)
		}
	}
	if len(wide) > 0 {
		slices.Sort(wide)
		f.add(e.finding(IdentityMisconfigured, detailWildcard, time.Time{}, f.wait(IdentityMisconfigured, e.audiences, 0),
			e.subject+" stands for whatever fits a pattern", "Write out the SPIFFE IDs that are meant.", wide...))
	}
}

// unseen tells of an identity that no decision has seen, and no other system has used, for longer than is usual for its type.
func (f *finder) unseen(e *entry) {
	_, last := e.seen()
	watched := len(e.ids) > 0 && f.v.Sightings != nil || e.document != nil && len(e.document.SPIFFEIDs) > 0 && f.v.Sightings != nil
	for _, x := range e.imported {
		if x.LastUsed.After(last) {
			last = x.LastUsed
		}
		watched = watched || !x.LastUsed.IsZero()
	}
	if f.vanished(e) {
		return
	}
	wait := f.wait(IdentityStale, e.audiences, habitsOf(e.kind).unseen)
	if !watched || f.v.Imported == nil || e.document == nil && len(e.imported) == 0 || !last.IsZero() && !f.lasted(last, wait) {
		return
	}
	evidence := "it was never seen"
	if !last.IsZero() {
		evidence = "it was seen last at " + stamp(last)
	}
	f.add(e.finding(IdentityStale, "", last, wait, "nobody uses "+e.subject+" any more",
		"Remove it where it is recorded, and its document with it.", evidence))
}

// vanished tells of a document of which decisions can see nothing, for it has no SPIFFE ID, and which no system lists any more
// that did.
func (f *finder) vanished(e *entry) bool {
	if f.v.Imported == nil || e.document == nil || len(e.document.SPIFFEIDs) > 0 || len(e.gone) == 0 || len(e.imported) > 0 {
		return false
	}
	since, evidence := time.Time{}, []string{}
	for _, x := range e.gone {
		evidence = append(evidence, inventory.Origin(x.System, x.Part)+" lists "+x.ID+" no more since "+stamp(x.Gone))
		if x.Gone.After(since) {
			since = x.Gone
		}
	}
	slices.Sort(evidence)
	f.add(e.finding(IdentityStale, "", since, f.wait(IdentityStale, e.audiences, 0), "no system lists "+e.subject+" any more",
		"Remove its document, or correct its recordedAs.", evidence...))
	return true
}

// places tells of one identity that calls from more places in a day than is usual for its type: a credential that is shared, or
// copied.
func (f *finder) places(e *entry) {
	most := f.count(IdentityMisconfigured, e.audiences, habitsOf(e.kind).places)
	for _, s := range e.sightings {
		var now []string
		for place, last := range s.Places {
			if !f.lasted(last, days) {
				now = append(now, place)
			}
		}
		if len(now) <= most {
			continue
		}
		slices.Sort(now)
		x := e.finding(IdentityMisconfigured, detailPlaces, time.Time{}, f.wait(IdentityMisconfigured, e.audiences, 0),
			s.ID+" calls from more places than one identity should",
			"Give each place an identity of its own; if none was to be there, revoke the credential.", now...)
		x.Subject = s.ID
		f.add(x)
	}
}

// oldest is how long a credential may be valid, or old: as the document says or is usual for the type, and no longer than the
// monitors say where they do.
func (f *finder) oldest(e *entry) time.Duration {
	if e.document == nil || e.document.Credentials == nil {
		return f.wait(CredentialAge, e.audiences, e.kind.CredentialMaxAge())
	}
	said := e.document.CredentialMaxAge()
	return min(said, f.wait(CredentialAge, e.audiences, said))
}

// credentials tells of credentials that live, or have lived, for too long.
func (f *finder) credentials(e *entry) {
	most := f.oldest(e)
	for _, s := range e.sightings {
		lives := s.CredentialUntil.Sub(s.CredentialFrom)
		if s.CredentialFrom.IsZero() || s.CredentialUntil.IsZero() || lives <= most || f.lasted(s.Last, lately) {
			continue
		}
		x := e.finding(CredentialAge, "", s.CredentialFrom, 0, "the credential of "+s.ID+" is valid for too long",
			"Issue one that is valid for a shorter time.", fmt.Sprintf("valid from %s until %s; at most %s", stamp(s.CredentialFrom),
				stamp(s.CredentialUntil), most))
		x.Subject = s.ID
		f.add(x)
	}
	for _, i := range e.imported {
		name := "import " + i.Place()
		switch {
		case i.NeverExpires:
			x := e.finding(CredentialAge, detailNoEnd, i.CredentialFrom, 0, "a credential of "+name+" never expires", "Issue one that ends.",
				"recorded in "+inventory.Origin(i.System, i.Part))
			x.Subject = name
			f.add(x)
		case !i.CredentialFrom.IsZero() && f.lasted(i.CredentialFrom, most):
			x := e.finding(CredentialAge, "", i.CredentialFrom, most, "a credential of "+name+" is too old", "Rotate it.",
				"it counts since "+stamp(i.CredentialFrom))
			x.Subject = name
			f.add(x)
		}
	}
}
