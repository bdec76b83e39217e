package inventory_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
)

// TestPostures: each identity counts once in its type, and once in each of its states.
func TestPostures(t *testing.T) {
	t.Parallel()
	p, at := company(t), noon
	w := &inventory.World{At: at, Policy: p, Sightings: []inventory.Sighting{
		{ID: "spiffe://other.example/x", TrustDomain: "other.example", First: at.AddDate(0, 0, -2), Last: at},
	}, Entries: []inventory.Entry{
		{System: "secret-manager", ID: "a", Type: "key", NeverExpires: true}, {System: "secret-manager", Part: "eu", ID: "a", Type: "key"},
		{System: "secret-manager", ID: "b", Type: "key", Gone: at},
	}}
	documents := map[string]int{}
	for _, d := range p.Spec().Identities {
		documents[string(d.Type)]++
	}
	seen, total := map[string]bool{}, 0
	for _, x := range inventory.Postures(inventory.Join(w)) {
		seen[x.Type] = true
		total += x.Identities
		if x.States[inventory.StateOwned] != documents[x.Type] || x.States[inventory.StateOwned]+x.States[inventory.StateUnowned] != x.Identities ||
			len(x.States) != len(inventory.States) {
			t.Errorf("%+v; the documents are %v", x, documents)
		}
		switch x.Type {
		case inventory.UnknownType:
			if x.Identities != 1 || x.States[inventory.StateActive] != 1 || x.States[inventory.StateUnrecorded] != 1 {
				t.Errorf("%+v", x)
			}
		case "key":
			if x.Identities != documents["key"]+2 || x.NoEnd != 1 || x.States[inventory.StateGone] != 0 {
				t.Errorf("%+v", x)
			}
		}
	}
	if !seen["key"] || !seen[inventory.UnknownType] || total != len(p.Spec().Identities)+3 {
		t.Errorf("%v, %d", seen, total)
	}
	if diff := cmp.Diff([]inventory.Posture{}, inventory.Postures(nil)); diff != "" {
		t.Error(diff)
	}
}

// TestRecordedAs: a document owns what systems call as it says, in the part that it names or in whichever.
func TestRecordedAs(t *testing.T) {
	t.Parallel()
	spec := company(t).Spec()
	spec.Identities = append(spec.Identities, policy.Identity{Meta: meta("backup"), Type: policy.IdentityOfKey, RecordedIn: "cloud-iam",
		RecordedAs: []string{"cloud-iam@aws/arn:aws:iam::1:user/backup", "secret-manager/backup/s3", "spire/alpha"},
		ReviewBy:   policy.Date{Time: noon}})
	p, faults := policy.New(spec, policy.World{})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	entry := func(system, part, id string) inventory.Entry {
		return inventory.Entry{System: system, Part: part, ID: id, Type: "key"}
	}
	w := &inventory.World{At: noon, Policy: p, Entries: []inventory.Entry{entry("cloud-iam", "aws", "arn:aws:iam::1:user/backup"),
		entry("cloud-iam", "gcp", "arn:aws:iam::1:user/backup"), entry("secret-manager", "eu", "backup/s3"), entry("spire", "", "alpha")}}
	owned := map[string]string{}
	for _, x := range inventory.Join(w) {
		for _, place := range x.Recorded {
			owned[place] = x.Document
		}
	}
	for place, want := range map[string]string{"cloud-iam@aws/arn:aws:iam::1:user/backup": "backup", "secret-manager@eu/backup/s3": "backup",
		"cloud-iam@gcp/arn:aws:iam::1:user/backup": "", "spire/alpha": "backup"} { // though another document is called alpha
		if got, listed := owned[place]; !listed || got != want {
			t.Errorf("%s is owned by %q, want %q", place, got, want)
		}
	}
}
