package policy

import (
	"fmt"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// largeSpec is a policy of so many routes, ten tiers and eight signals; every tier but the last looks at all signals.
func largeSpec(routes int) Spec {
	spec := sampleSpec()
	attributes := []string{"disk_encryption", "edr_healthy", "firewall", "screen_lock", "secure_boot", "mdm_managed", "edr_present", "supervised"}
	spec.Baselines[0].Signals = map[string]Signal{}
	names := make([]string, 0, len(attributes))
	for i, a := range attributes {
		name := fmt.Sprintf("signal-%d", i)
		names = append(names, name)
		spec.Baselines[0].Signals[name] = Signal{Expr: "device." + a, MaxAge: 26 * time.Hour, Fix: Fix{Text: "Mend it."}}
	}
	spec.Tiers, spec.Routes = nil, nil
	for i := range 10 {
		t := Tier{Meta: Meta{Name: fmt.Sprintf("tier-%d", i), Owner: "iam"}, Identify: IdentifyUserDevice, Require: demandsOf(names[:4]...)}
		for _, name := range names[4:] {
			t.DenyUnless = append(t.DenyUnless, DenyUnless{Signal: name})
		}
		spec.Tiers = append(spec.Tiers, t)
	}
	for i := range routes {
		spec.Routes = append(spec.Routes, Route{
			Meta: Meta{Name: fmt.Sprintf("route-%d", i), Owner: "iam"}, Hosts: []string{fmt.Sprintf("host-%d.example", i/20)},
			Path: fmt.Sprintf("/api/v1/team-%d/{id}/items/**", i), Methods: []string{"GET", "POST"}, Tier: fmt.Sprintf("tier-%d", i%10),
			Audiences: []string{"employees"}, Upstream: "app",
		})
	}
	contractor := sampleSpec().Routes[3]
	contractor.Tier = "tier-0"
	spec.Routes = append(spec.Routes, contractor)
	spec.Audiences = spec.Audiences[:2]
	return spec
}

func largePolicy(tb testing.TB, routes int) *Policy {
	tb.Helper()
	p, faults := New(largeSpec(routes), World{})
	if faults != nil {
		tb.Fatal(faults)
	}
	return p
}

// largeInput asks for the last route with a laptop that meets all demands, its facts from two sources.
func largeInput(p *Policy, routes int) Input {
	in := employee()
	in.Request = Request{Method: "GET", Host: fmt.Sprintf("host-%d.example", (routes-1)/20),
		Path: fmt.Sprintf("/api/v1/team-%d/abc-123/items/x/y?page=3", routes-1)}
	in.Subject.User.Groups = []string{"all", "berlin", "payroll", "engineering", "staff"}
	facts := []signals.Fact{report("mdm", "platform", signals.Text("macos"), time.Hour)}
	for _, s := range p.Spec().Baselines[0].Signals {
		facts = append(facts, report("mdm", s.Expr[len("device."):], signals.Bool(true), time.Hour),
			report("edr", s.Expr[len("device."):], signals.Bool(true), time.Minute))
	}
	in.Device.Posture = postureOf(facts...)
	in.Device.Assessment = p.Assess(in.Device.Posture)
	in.Request.Chosen = &Chosen{Route: fmt.Sprintf("route-%d", routes-1)}
	return in
}

// TestAnAdmissionAllocatesNothing at 10 tiers × 200 routes × 8 signals.
func TestAnAdmissionAllocatesNothing(t *testing.T) {
	p := largePolicy(t, 200)
	in := largeInput(p, 200)
	if v := p.Evaluate(&in); v.Outcome != Allow {
		t.Fatalf("%+v", v)
	}
	if n := testing.AllocsPerRun(100, func() { p.Evaluate(&in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEvaluateLarge(b *testing.B) {
	for _, routes := range []int{200, 10_000} {
		b.Run(fmt.Sprint(routes), func(b *testing.B) {
			p := largePolicy(b, routes)
			in := largeInput(p, routes)
			b.ReportAllocs()
			for b.Loop() {
				if v := p.Evaluate(&in); v.Outcome != Allow {
					b.Fatal(v)
				}
			}
		})
	}
}

// BenchmarkReload is what a policy change costs before it is in force, besides the devices that are assessed for it.
func BenchmarkReload(b *testing.B) {
	for _, routes := range []int{200, 10_000} {
		b.Run(fmt.Sprint(routes), func(b *testing.B) {
			spec := largeSpec(routes)
			b.ReportAllocs()
			for b.Loop() {
				if _, faults := New(spec, World{}); faults != nil {
					b.Fatal(faults)
				}
			}
		})
	}
}
