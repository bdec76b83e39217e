package findings_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
)

// TestFindIdentities: what is wrong with non-human identities, each with what is still right.
func TestFindIdentities(t *testing.T) {
	t.Parallel()
	ghost := func(change func(*inventory.Sighting)) func(*policy.Spec, *findings.View) {
		return func(_ *policy.Spec, v *findings.View) {
			s := sorter(noon)
			s.ID = "spiffe://acme.example/ns/robots/ghost"
			if change != nil {
				change(&s)
			}
			v.Sightings = append(v.Sightings, s)
		}
	}
	own := func(change func(*inventory.Sighting)) func(*policy.Spec, *findings.View) {
		return func(_ *policy.Spec, v *findings.View) { change(&v.Sightings[0]) }
	}
	imported := func(e inventory.Entry) func(*policy.Spec, *findings.View) {
		return func(_ *policy.Spec, v *findings.View) { v.Imported = append(v.Imported, e) }
	}
	places := func(n int) func(*inventory.Sighting) {
		return func(s *inventory.Sighting) {
			s.Places = map[string]time.Time{}
			for i := range n {
				s.Places[fmt.Sprintf("10.0.%d.0/24", i)] = noon.Add(-time.Hour)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*policy.Spec, *findings.View)
		want   []string
	}{
		{"all is well", func(*policy.Spec, *findings.View) {}, nil},
		{"nobody owns it", ghost(nil), []string{"identity-unowned|spiffe://acme.example/ns/robots/ghost| @secops"}},
		{"nobody owned it", ghost(func(s *inventory.Sighting) { s.Last = noon.Add(-31 * day) }), nil},
		{"of another trust domain", ghost(func(s *inventory.Sighting) { s.ID = "spiffe://other.example/x" }),
			[]string{"identity-misconfigured|trust domain other.example|trust-domain @iam"}},
		{"imported, and nobody owns it", imported(inventory.Entry{System: "ci-cd", ID: "build", Owner: "secops"}),
			[]string{"identity-unowned|import ci-cd/build| @secops"}},
		{"imported of two clusters, and nobody owns it in either", func(_ *policy.Spec, v *findings.View) {
			v.Imported = append(v.Imported, inventory.Entry{System: "ci-cd", ID: "build"}, inventory.Entry{System: "ci-cd", Part: "eu", ID: "build"})
		}, []string{"identity-unowned|import ci-cd/build| @iam", "identity-unowned|import ci-cd@eu/build| @iam"}},
		{"imported of a part by name", imported(inventory.Entry{System: "kubernetes", Part: "eu", ID: "sorter"}), nil},
		{"imported, and recorded by a document", func(s *policy.Spec, v *findings.View) {
			s.Identities[0].RecordedAs = []string{"cloud-iam@eu/arn:aws:iam::1:user/a", "ci-cd/acme/x#1"}
			v.Imported = []inventory.Entry{{System: "cloud-iam", Part: "eu", ID: "arn:aws:iam::1:user/a"}, {System: "ci-cd", Part: "gh", ID: "acme/x#1"},
				{System: "cloud-iam", Part: "us", ID: "arn:aws:iam::1:user/a"}}
		}, []string{"identity-unowned|import cloud-iam@us/arn:aws:iam::1:user/a| @iam"}},
		{"a document is recorded as another is called", func(s *policy.Spec, v *findings.View) {
			other := s.Identities[0]
			other.Meta.Name, other.Meta.Owner, other.SPIFFEIDs, other.Type = "other", "iam", nil, policy.IdentityOfKey
			other.RecordedAs = []string{"kubernetes/sorter"}
			s.Identities = append(s.Identities, other)
			v.Imported = []inventory.Entry{{System: "kubernetes", ID: "sorter", NeverExpires: true}}
		}, []string{"credential-age|import kubernetes/sorter|never-expires @iam"}},
		{"its system lists it no more", func(s *policy.Spec, v *findings.View) {
			other := s.Identities[0]
			other.Meta.Name, other.SPIFFEIDs, other.Type, other.RecordedAs = "other", nil, policy.IdentityOfKey, []string{"ci-cd/acme/x#1"}
			s.Identities = append(s.Identities, other)
			v.Imported = []inventory.Entry{{System: "ci-cd", ID: "acme/x#1", Gone: noon.Add(-time.Minute)}}
		}, []string{"identity-stale|identity other| @secops"}},
		{"one of its systems lists it no more", func(s *policy.Spec, v *findings.View) {
			other := s.Identities[0]
			other.Meta.Name, other.SPIFFEIDs, other.Type = "other", nil, policy.IdentityOfKey
			other.RecordedAs = []string{"ci-cd/acme/x#1", "cloud-iam/x"}
			s.Identities = append(s.Identities, other)
			v.Imported = []inventory.Entry{{System: "ci-cd", ID: "acme/x#1", Gone: noon.Add(-time.Minute)}, {System: "cloud-iam", ID: "x"}}
		}, nil},
		{"imported, its owner is no team", imported(inventory.Entry{System: "ci-cd", ID: "build", Owner: "gone"}),
			[]string{"identity-unowned|import ci-cd/build| @iam"}},
		{"imported by name", imported(inventory.Entry{System: "kubernetes", ID: "sorter"}), nil},
		{"imported by SPIFFE ID", imported(inventory.Entry{System: "spire", ID: "9", SPIFFEID: "spiffe://acme.example/ns/robots/sorter"}), nil},
		{"a key that never expires", imported(inventory.Entry{System: "kubernetes", ID: "sorter", NeverExpires: true}),
			[]string{"credential-age|import kubernetes/sorter|never-expires @secops"}},
		{"a key too old", imported(inventory.Entry{System: "kubernetes", ID: "sorter", CredentialFrom: noon.Add(-8 * day)}),
			[]string{"credential-age|import kubernetes/sorter| @secops"}},
		{"a key of the right age", imported(inventory.Entry{System: "kubernetes", ID: "sorter", CredentialFrom: noon.Add(-6 * day)}), nil},
		{"a certificate for too long", own(func(s *inventory.Sighting) { s.CredentialUntil = s.CredentialFrom.Add(8 * day) }),
			[]string{"credential-age|spiffe://acme.example/ns/robots/sorter| @secops"}},
		{"a certificate for as long as its document lets it", func(s *policy.Spec, v *findings.View) {
			s.Identities[0].Credentials = &policy.CredentialBound{MaxAge: 30 * day}
			v.Sightings[0].CredentialUntil = v.Sightings[0].CredentialFrom.Add(30 * day)
		}, nil},
		{"a certificate for longer than its document lets it", func(s *policy.Spec, v *findings.View) {
			s.Identities[0].Credentials = &policy.CredentialBound{MaxAge: time.Hour}
			v.Sightings[0].CredentialUntil = v.Sightings[0].CredentialFrom.Add(2 * time.Hour)
		}, []string{"credential-age|spiffe://acme.example/ns/robots/sorter| @secops"}},
		{"a key as old as its document lets it be", func(s *policy.Spec, v *findings.View) {
			s.Identities[0].Credentials = &policy.CredentialBound{MaxAge: 30 * day}
			v.Imported = append(v.Imported, inventory.Entry{System: "kubernetes", ID: "sorter", CredentialFrom: noon.Add(-29 * day)})
		}, nil},
		{"a document cannot loosen what a monitor says", func(s *policy.Spec, v *findings.View) {
			s.Monitors[0].After = 40 * day
			s.Identities[0].Credentials = &policy.CredentialBound{MaxAge: 300 * day}
			v.Sightings[0].CredentialUntil = v.Sightings[0].CredentialFrom.Add(41 * day)
		}, []string{"credential-age|spiffe://acme.example/ns/robots/sorter| @secops"}},
		{"a monitor cannot loosen what a document says", func(s *policy.Spec, v *findings.View) {
			s.Monitors[0].After = 40 * day
			s.Identities[0].Credentials = &policy.CredentialBound{MaxAge: 30 * day}
			v.Sightings[0].CredentialUntil = v.Sightings[0].CredentialFrom.Add(31 * day)
		}, []string{"credential-age|spiffe://acme.example/ns/robots/sorter| @secops"}},
		{"from 50 places", own(places(50)), nil},
		{"from 51 places", own(places(51)), []string{"identity-misconfigured|spiffe://acme.example/ns/robots/sorter|many-places @secops"}},
		{"not seen for 29 days", own(func(s *inventory.Sighting) { s.Last = noon.Add(-29 * day) }), nil},
		{"not seen for 31 days", own(func(s *inventory.Sighting) { s.Last = noon.Add(-31 * day) }), []string{"identity-stale|identity sorter| @secops"}},
		{"not seen here, and used elsewhere", func(_ *policy.Spec, v *findings.View) {
			v.Sightings[0].Last = noon.Add(-31 * day)
			v.Imported = []inventory.Entry{{System: "kubernetes", ID: "sorter", LastUsed: noon.Add(-day)}}
		}, nil},
		{"never seen", func(_ *policy.Spec, v *findings.View) { v.Sightings = []inventory.Sighting{} }, []string{"identity-stale|identity sorter| @secops"}},
		{"nobody knows what was seen", func(_ *policy.Spec, v *findings.View) { v.Sightings = nil }, nil},
		{"a route unused for 91 days", own(func(s *inventory.Sighting) {
			s.Routes["write"] = inventory.RouteUse{First: noon.Add(-200 * day), Last: noon.Add(-91 * day), Allowed: 3, LastAllowed: noon.Add(-91 * day)}
		}), []string{"identity-excessive|identity sorter| @secops"}},
		{"a route unused for 89 days", own(func(s *inventory.Sighting) {
			s.Routes["write"] = inventory.RouteUse{First: noon.Add(-200 * day), Last: noon.Add(-89 * day), Allowed: 3, LastAllowed: noon.Add(-89 * day)}
		}), nil},
		{"a route that let it in 91 days ago, and has refused it since", own(func(s *inventory.Sighting) {
			s.Routes["write"] = inventory.RouteUse{First: noon.Add(-200 * day), Last: noon, Allowed: 3, Refused: 9, LastAllowed: noon.Add(-91 * day)}
		}), []string{"identity-excessive|identity sorter| @secops"}},
		{"a route only ever refused", own(func(s *inventory.Sighting) {
			s.Routes["write"] = inventory.RouteUse{First: noon.Add(-200 * day), Last: noon, Refused: 3}
		}), []string{"identity-excessive|identity sorter| @secops"}},
		{"watched for too short a time", own(func(s *inventory.Sighting) { s.First = noon.Add(-80 * day); delete(s.Routes, "write") }), nil},
		{"reviewed today", func(s *policy.Spec, _ *findings.View) {
			s.Identities[0].ReviewBy = policy.Date{Time: noon.Truncate(day)}
		}, nil},
		{"unreviewed", func(s *policy.Spec, _ *findings.View) {
			s.Identities[0].ReviewBy = policy.Date{Time: noon.Add(-day).Truncate(day)}
		},
			[]string{"identity-unreviewed|identity sorter| @secops"}},
		{"a wildcard", func(s *policy.Spec, _ *findings.View) {
			s.Identities[0].SPIFFEIDs = []string{"spiffe://acme.example/ns/robots/*"}
		}, []string{"identity-misconfigured|identity sorter|wildcard @secops"}},
		{"an agent is looked at sooner", func(s *policy.Spec, v *findings.View) {
			s.Identities[0].Type = policy.IdentityOfAgent
			v.Sightings[0].Last = noon.Add(-15 * day)
		}, []string{"identity-stale|identity sorter| @secops"}},
		{"a monitor says otherwise", func(s *policy.Spec, v *findings.View) {
			s.Monitors[0].After = 5 * day
			v.Sightings[0].Last, v.Sightings[0].CredentialUntil = noon.Add(-6*day), v.Sightings[0].CredentialFrom
		}, []string{"identity-excessive|identity sorter| @secops", "identity-stale|identity sorter| @secops"}},
	} {
		s := spec()
		v := viewOf(compile(t, s), noon)
		tt.change(&s, v)
		v.Policy = compile(t, s)
		if tt.name == "a monitor says otherwise" {
			v.Sightings[0].Routes = nil
		}
		if diff := cmp.Diff(append([]string{}, tt.want...), keys(findings.Find(v))); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

// TestFindingSaysAllThatIsNeeded: what whoever is told of it reads.
func TestFindingSaysAllThatIsNeeded(t *testing.T) {
	t.Parallel()
	v := viewOf(compile(t, spec()), noon)
	s := sorter(noon)
	s.ID = "spiffe://acme.example/ns/robots/ghost"
	v.Sightings = append(v.Sightings, s)
	v.Imported = []inventory.Entry{{System: "spire", ID: "7", SPIFFEID: s.ID, Owner: "gone"}}
	want := []findings.Finding{{Kind: findings.IdentityUnowned, Subject: s.ID, Since: s.First, Summary: "nobody owns " + s.ID,
		Evidence: []string{"recorded in spire as 7, owner there: gone, which is no team of the policy",
			"seen first at 2026-05-06T12:00:00Z, from 10.0.0.0/24"},
		Owner: "secops", Audiences: []string{"robots"},
		Fix: policy.Fix{Text: "Write an Identity document for it with an owner, or remove it where it is recorded."}}}
	if diff := cmp.Diff(want, findings.Find(v)); diff != "" {
		t.Error(diff)
	}
}
