package policy_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// largeDocuments is a policy of 10,000 routes on 500 hosts, 100 tiers and 1,000 exceptions.
func largeDocuments() policy.Spec {
	spec := policy.Spec{Governance: governance(), Upstreams: upstreams()[:1], Audiences: []policy.Audience{
		{Meta: meta("staff"), Members: []policy.Member{{Issuer: "corp", Group: "staff"}}},
	}}
	laptops := policy.Baseline{Meta: meta("laptops"), Platforms: []string{"macos", "windows"},
		Signals: map[string]policy.Signal{}}
	for expr := range formulas {
		laptops.Signals[fmt.Sprintf("signal-%d", len(laptops.Signals))] = policy.Signal{Expr: expr, MaxAge: 26 * time.Hour,
			Fix: policy.Fix{Text: "Mend it."}}
	}
	spec.Baselines = []policy.Baseline{laptops}
	for i := range 100 {
		spec.Tiers = append(spec.Tiers, policy.Tier{
			Meta: meta(fmt.Sprintf("tier-%d", i)), Identify: policy.IdentifyUserDevice,
			Require:    []policy.Demand{{Signal: "signal-0"}, {Signal: "signal-1", MaxAge: time.Hour}},
			DenyUnless: []policy.DenyUnless{{Signal: "signal-2"}},
			StepUp:     &policy.StepUpDemand{ACR: []string{"phr"}, Signals: []policy.Demand{{Signal: "signal-3"}}},
			Grace:      &policy.GraceBound{Offline: time.Hour},
			Exceptions: &policy.ExceptionBound{MaxDuration: 14 * 24 * time.Hour, MaxRenewals: 1},
		})
	}
	for i := range 10_000 {
		spec.Routes = append(spec.Routes, policy.Route{
			Meta: meta(fmt.Sprintf("route-%d", i)), Hosts: []string{fmt.Sprintf("host-%d.example", i/20)},
			Path: fmt.Sprintf("/api/v1/team-%d/{id}/items/**", i), Methods: []string{"GET", "POST"},
			Tier: fmt.Sprintf("tier-%d", i%100), Audiences: []string{"staff"}, Upstream: "app",
		})
	}
	for i := range 1_000 {
		spec.Exceptions = append(spec.Exceptions, policy.Exception{
			Meta: meta(fmt.Sprintf("exception-%d", i)), Reason: "loaner", Approver: "cho", Ticket: "IT-4711",
			Subjects: []policy.ExceptionSubject{{Issuer: "corp", User: fmt.Sprintf("user-%d", i)}},
			Devices:  []string{fmt.Sprintf("C02LOANER%d", i)}, Routes: []string{fmt.Sprintf("route-%d", i*7)},
			Signals: []string{"signal-0"}, From: base, Until: base.Add(7 * 24 * time.Hour),
		})
	}
	return spec
}

// TestALargePolicyFitsItsBounds: 10,000 routes, 100 tiers and 1,000 exceptions take less than 200 MB of allocations to
// compile, the garbage included, and what stays is a fraction of that. Its time is BenchmarkCompileLarge's to tell.
func TestALargePolicyFitsItsBounds(t *testing.T) {
	const limit, held = 200 << 20, 60 << 20
	spec := largeDocuments()
	var before, after, kept runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p, faults := policy.New(spec, policy.World{})
	runtime.ReadMemStats(&after)
	runtime.GC()
	runtime.ReadMemStats(&kept)
	if faults != nil {
		t.Fatalf("%d faults, the first %+v", len(faults), faults[0])
	}
	allocated, stays := after.TotalAlloc-before.TotalAlloc, int64(kept.HeapAlloc)-int64(before.HeapAlloc)
	t.Logf("%d MB allocated, %d MB held", allocated>>20, stays>>20)
	if allocated > limit || stays > held {
		t.Errorf("compiling allocated %d bytes (limit %d) and holds %d (limit %d)", allocated, limit, stays, held)
	}
	last := policy.Input{At: base, Request: policy.Request{Method: "GET", Host: "host-499.example",
		Path: "/api/v1/team-9999/x/items/y"}}
	if v := p.Evaluate(&last); v.Route != "route-9999" || v.Reason != policy.ReasonIdentityMissing {
		t.Errorf("the last route: %+v", v)
	}
}

func BenchmarkCompileLarge(b *testing.B) {
	spec := largeDocuments()
	b.ReportAllocs()
	for b.Loop() {
		if _, faults := policy.New(spec, policy.World{}); faults != nil {
			b.Fatal(faults[0])
		}
	}
}
