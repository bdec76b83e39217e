package policy

import (
	"strings"
	"testing"
)

const ofIdentity, ofMonitor = "Identity/deployer spec.", "Monitor/drift spec."

func TestFaultsOfIdentities(t *testing.T) {
	t.Parallel()
	identity := func(change func(*Identity)) func(*Spec) { return func(s *Spec) { change(&s.Identities[0]) } }
	second := func(ids ...string) func(*Spec) {
		return func(s *Spec) { s.Identities[1].SPIFFEIDs = ids }
	}
	refuse(t, []broken{
		{"Identity/deployer metadata.owner", "is no team", identity(func(d *Identity) { d.Meta.Owner = "ci" })},
		{"Identity/signing-key metadata.owner", "has no owner", func(s *Spec) { s.Identities[1].Meta.Owner = "" }},
		{ofIdentity + "type", `type is "robot"`, identity(func(d *Identity) { d.Type = "robot" })},
		{ofIdentity + "recordedIn", "write one of ci-cd", identity(func(d *Identity) { d.RecordedIn = "a spreadsheet" })},
		{ofIdentity + "reviewBy", "no date of review", identity(func(d *Identity) { d.ReviewBy = Date{} })},
		{ofIdentity + "spiffeIDs", "known by its SPIFFE IDs", identity(func(d *Identity) { d.SPIFFEIDs = nil })},
		{ofIdentity + "spiffeIDs[0]", "whole segment",
			identity(func(d *Identity) { d.SPIFFEIDs[0] = "spiffe://acme.example/ns/ci-*" })},
		{ofIdentity + "spiffeIDs[1]", "spiffe:// in lower case",
			identity(func(d *Identity) { d.SPIFFEIDs = append(d.SPIFFEIDs, "SPIFFE://a/b") })},
		{"Identity/signing-key spec.spiffeIDs[0]", `"deployer" already stands for`,
			second("spiffe://acme.example/ns/ci/sa/*")},
		{"Identity/signing-key spec.spiffeIDs[0]", `"deployer" already stands for`,
			second("spiffe://acme.example/ns/ci/sa/x")},
		{"Identity/signing-key spec.spiffeIDs[1]", `"deployer" already stands for`, second("spiffe://acme.example/x",
			"spiffe://acme.example/ns/**")},
		{"Identity/signing-key spec.spiffeIDs[0]", `"deployer" already stands for`,
			second("spiffe://acme.example/*/ci/*/web")},
		{ofIdentity + "spiffeIDs[1]", `"deployer" already stands for`, identity(func(d *Identity) {
			d.SPIFFEIDs = append(d.SPIFFEIDs, "spiffe://acme.example/ns/ci/sa/web")
		})},
	})
	recorded := func(as ...string) func(*Spec) {
		return func(s *Spec) { s.Identities[0].RecordedAs, s.Identities[1].RecordedAs = as[:1], as[1:] }
	}
	const first, other = ofIdentity + "recordedAs[0]", "Identity/signing-key spec.recordedAs[0]"
	refuse(t, []broken{
		{first, "it is not SYSTEM/ID", recorded("cloud-iam")}, {first, "it is not SYSTEM/ID", recorded("cloud-iam/")},
		{first, `"mdm" is none of the systems`, recorded("mdm/x")}, {first, `"EU" is no part`, recorded("spire@EU/x")},
		{first, `"" is no part`, recorded("spire@/x")}, {first, "no text of one line", recorded("spire/x\ny")},
		{first, "longer than 1024", recorded("spire/" + strings.Repeat("x", 1025))},
		{other, `"deployer" already stands for`, recorded("spire/x", "spire/x")},
		{other, `"deployer" already stands for`, recorded("spire/x", "spire@eu/x")},
		{other, `"deployer" already stands for`, recorded("spire@eu/x", "spire/x")},
		{"Identity/signing-key spec.recordedAs[1]", `"signing-key" already stands for`, recorded("spire/x", "spire@eu/y", "spire@eu/y")},
	})
	for _, as := range [][]string{{"spire@eu/x", "spire@us/x"}, {"spire/x", "kubernetes/x"}, {"spire/x", "spire/y"},
		{"cloud-iam/arn:aws:iam::1:user/a", "cloud-iam/a@b.example#1"}} {
		spec := wholeSpec()
		recorded(as...)(&spec)
		if _, faults := New(spec, wholeWorld()); faults != nil {
			t.Errorf("%q: %v", as, faults)
		}
	}
	for _, id := range []string{"spiffe://acme.example/ns/ci/sa", "spiffe://acme.example/ns/ci/sa/a/b",
		"spiffe://acme.example/ns/web/sa/**"} {
		spec := wholeSpec()
		second(id)(&spec)
		if _, faults := New(spec, wholeWorld()); faults != nil {
			t.Errorf("%s overlaps nothing: %+v", id, faults)
		}
	}
}

func TestFaultsOfMonitors(t *testing.T) {
	t.Parallel()
	monitor := func(change func(*Monitor)) func(*Spec) { return func(s *Spec) { change(&s.Monitors[0]) } }
	refuse(t, []broken{
		{"Monitor/drift metadata.owner", "has no owner", monitor(func(m *Monitor) { m.Meta.Owner = "" })},
		{ofMonitor + "watch", "watches nothing", monitor(func(m *Monitor) { m.Watch = nil })},
		{ofMonitor + "watch[1]", "nothing that can be watched", monitor(func(m *Monitor) { m.Watch[1] = "conflicts" })},
		{ofMonitor + "watch[1]", "listed twice", monitor(func(m *Monitor) { m.Watch[1] = "drift" })},
		{ofMonitor + "severity", "write one of low", monitor(func(m *Monitor) { m.Severity = "urgent" })},
		{ofMonitor + "severity", "write one of low", monitor(func(m *Monitor) { m.Severity = "" })},
		{ofMonitor + "closeWithin", "how fast", monitor(func(m *Monitor) { m.CloseWithin = 0 })},
		{ofMonitor + "assign", `"endpoints" is no team`, monitor(func(m *Monitor) { m.Assign = "endpoints" })},
		{ofMonitor + "audiences[0]", "no Audience", monitor(func(m *Monitor) { m.Audiences[0] = "executive" })},
	})
}
