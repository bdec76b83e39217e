package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// wholeSpec is a policy that uses the whole language, for the tables of faults; it has none.
func wholeSpec() Spec {
	s := sampleSpec()
	s.Governance[0].Teams["secops"] = Team{Contact: "secops@acme.example"}
	s.Tiers[0] = Tier{
		Meta: Meta{Name: "internal", Owner: "iam"}, Identify: IdentifyUserDevice,
		Require:    []Demand{{Signal: "edr-healthy"}, {Signal: "disk-encrypted", MaxAge: 25 * time.Hour}},
		DenyUnless: []DenyUnless{{Signal: "not-compromised", OnUnknown: OnUnknownNote}},
		StepUp: &StepUpDemand{When: StepUpSignals, ACR: []string{"phr"}, MaxAge: 15 * time.Minute,
			Signals: demandsOf("firewall-on")},
		Grace:      &GraceBound{Offline: 8 * time.Hour, Renewals: 1},
		OnGap:      OnGap{LastKnown: &LastKnown{For: 10 * time.Minute}},
		Exceptions: &ExceptionBound{MaxDuration: 14 * day, MaxRenewals: 1},
		Stricter: []Stricter{{Audience: "executives", Require: demandsOf("firewall-on"),
			DenyUnless: []DenyUnless{{Signal: "not-compromised"}},
			StepUp:     &StepUpDemand{AMR: []string{"hwk"}}, Grace: &GraceBound{Offline: time.Hour},
			Exceptions: &ExceptionBound{MaxDuration: day}}},
		RecheckEvery: 5 * time.Minute, Mode: ModeMonitor, Evidence: EvidenceRequired,
	}
	s.Audiences = append(s.Audiences, Audience{Meta: Meta{Name: "executives", Owner: "iam"},
		Members: []Member{{Issuer: "corp", Group: "board"}, {DeviceOwnership: "byod", Issuer: "corp"}}})
	s.Identities = []Identity{
		{Meta: Meta{Name: "deployer", Owner: "iam"}, Type: IdentityOfWorkload,
			SPIFFEIDs:  []string{"spiffe://acme.example/ns/ci/sa/*"},
			RecordedIn: "ci-cd", ReviewBy: Date{noon}},
		{Meta: Meta{Name: "signing-key", Owner: "iam"}, Type: IdentityOfKey, RecordedIn: "secret-manager",
			RecordedAs: []string{"secret-manager/payroll/signing-key", "cloud-iam@aws-prod/arn:aws:iam::1:user/signer"}, ReviewBy: Date{noon}},
	}
	s.Exceptions = []Exception{loaner("disk-encrypted", "firewall-on")}
	s.Monitors = []Monitor{{Meta: Meta{Name: "drift", Owner: "secops"}, Watch: []string{"drift", "conflict"},
		Severity: SeverityHigh,
		Assign:   "endpoint", CloseWithin: 7 * day, Audiences: []string{"executives"}}}
	return s
}

// wholeWorld records decisions and says how often its sources report: the MDM daily, the EDR hourly.
func wholeWorld() World {
	w, recorded := sampleWorld(), true
	mdm, edr := w.Sources["mdm"], w.Sources["edr"]
	mdm.Every, edr.Every = day, time.Hour
	w.Sources, w.Evidence = map[string]Source{"mdm": mdm, "edr": edr}, &recorded
	return w
}

// broken is one thing that is wrong with a policy: who must be told, where, and what.
type broken struct {
	at      string // "Kind/name field"
	message string // part of what is said, or of what to do
	change  func(*Spec)
}

// refuse breaks one thing at a time. It must be the only fault, at its place, with something to do: no other fault
// follows.
func refuse(t *testing.T, all []broken) {
	t.Helper()
	if _, faults := New(wholeSpec(), wholeWorld()); faults != nil {
		t.Fatalf("the whole policy has faults: %+v", faults)
	}
	for _, c := range all {
		spec := wholeSpec()
		c.change(&spec)
		p, faults := New(spec, wholeWorld())
		var at []string
		for _, f := range faults {
			at = append(at, f.Kind+"/"+f.Name+" "+f.Field+": "+f.Message)
			if f.Help == "" || f.Message == "" {
				t.Errorf("%s: a fault without help: %+v", c.at, f)
			}
		}
		if p != nil || len(faults) != 1 || faults[0].Kind+"/"+faults[0].Name+" "+faults[0].Field != c.at ||
			!strings.Contains(faults[0].Message+"; "+faults[0].Help, c.message) {
			t.Errorf("%s, %q: the faults are\n\t%s", c.at, c.message, strings.Join(at, "\n\t"))
		}
	}
}

// TestTheWholePolicyIsUsed: breaking is only proof where what is broken matters.
func TestTheWholePolicyIsUsed(t *testing.T) {
	t.Parallel()
	p, faults := New(wholeSpec(), wholeWorld())
	if p == nil {
		t.Fatal(faults)
	}
	r, _ := p.table.lookup("app.acme.example", "/reports", "GET")
	if len(r.exceptions) != 1 || len(p.tiers[r.tier].stricter) != 1 || !p.tiers[r.tier].monitor {
		t.Errorf("the route has %d exceptions", len(r.exceptions))
	}
	spec := wholeSpec()
	slices.Reverse(spec.Tiers)
	slices.Reverse(spec.Identities)
	if other, _ := New(spec, wholeWorld()); other == nil || other.Digest() != p.Digest() {
		t.Error("the order of documents matters")
	}
}
