package main

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/findings/engine"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

func aReport() *engine.Report {
	return &engine.Report{At: time.Unix(1_800_000_000, 0), Took: time.Second, Devices: 3, Unread: 1,
		Coverage: map[string]engine.Share{"disk": {Of: 3, Have: 2}}, Identities: &engine.Share{Of: 2, Have: 1},
		Exceptions: map[string]engine.Standing{"policy": {Number: 1, Oldest: time.Hour}},
		Traffic:    map[string]inventory.TierUse{"internal": {Allowed: 10, ByException: 2, ByGrace: 1}},
		Cases: map[engine.CaseLabels]int{{Kind: "drift", Severity: "high", Team: "endpoint", State: "open", Overdue: true}: 2,
			{Kind: "conflict", Severity: "low", Team: "endpoint", State: "accepted"}: 1},
		Postures:  inventory.Postures([]inventory.Joined{{Name: "ghost", Type: "agent", States: []inventory.State{inventory.StateUnowned}}}),
		Unwatched: map[findings.Kind]int{"drift": 4}, Blind: map[string]string{"Envoys": "away"}}
}

// gathered are the values of gauges and counters, and the counts of histograms, by name and labels.
func gathered(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, one := range family.GetMetric() {
			series := family.GetName()
			for _, pair := range one.GetLabel() {
				series += " " + pair.GetName() + "=" + pair.GetValue()
			}
			values[series] = one.GetGauge().GetValue() + one.GetCounter().GetValue() + float64(one.GetHistogram().GetSampleCount())
		}
	}
	return values
}

// TestFindingMetrics: what is over is not exported any more, what is not known is not exported at all, and who stands by
// exports nothing that another does.
func TestFindingMetrics(t *testing.T) {
	t.Parallel()
	o, err := newObserver(config.Log{Level: "fatal", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	m := newFindingMetrics(o.registry)
	events := o.findings(m)
	events.Leads(true)
	events.Looked(aReport())
	for want, value := range map[string]float64{
		"tiergate_findings kind=drift overdue=true severity=high state=open team=endpoint": 2,
		"tiergate_known_devices": 3, "tiergate_week_admissions on=all tier=internal": 10, "tiergate_findings_leader": 1,
		"tiergate_exceptions_oldest_age_seconds origin=policy": 3600, "tiergate_findings_unwatched kind=drift": 4,
		"tiergate_identity_states state=unowned type=agent": 1, "tiergate_identity_states state=owned type=agent": 0,
		"tiergate_identity_states state=any type=agent": 1, "tiergate_identity_states state=never-expires type=agent": 0,
		// A series that begins at 0 when a case opens: increase() sees the first closure.
		"tiergate_findings_remediation_seconds kind=drift team=endpoint": 0,
	} {
		if got, ok := gathered(t, o.registry)[want]; !ok || got != value {
			t.Errorf("%s is %v, want %v", want, got, value)
		}
	}
	gone := func() {
		t.Helper()
		for series := range gathered(t, o.registry) {
			for _, name := range []string{"tiergate_findings ", "tiergate_identities ", "tiergate_identity_", "tiergate_week_", "tiergate_signal_", "tiergate_exceptions_s"} {
				if strings.HasPrefix(series, name) {
					t.Errorf("%s is exported", series)
				}
			}
		}
	}
	events.Looked(&engine.Report{At: time.Unix(1_800_000_060, 0)})
	gone()
	events.Looked(aReport())
	events.Leads(false)
	gone()
	if now := gathered(t, o.registry); now["tiergate_findings_leader"] != 0 || now["tiergate_known_devices"] != 0 {
		t.Error("who stands by exports what another does")
	}
	events.Closed(&findings.Case{Team: "endpoint", Finding: findings.Finding{Kind: findings.Drift}, Opened: time.Unix(0, 0),
		Closed: time.Unix(7200, 0)})
	if n := gathered(t, o.registry)["tiergate_findings_remediation_seconds kind=drift team=endpoint"]; n != 1 {
		t.Errorf("%v", n)
	}
}

// TestEnforced: a posture that changes after the first load is measured, from the newest fact.
func TestEnforced(t *testing.T) {
	t.Parallel()
	o, err := newObserver(config.Log{Level: "fatal", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	loaded, now := make(chan struct{}), time.Now()
	enforced := o.enforced(loaded)
	p := &signals.Posture{Facts: []signals.Fact{{Observed: now.Add(-time.Hour), Received: now.Add(-time.Minute)},
		{Observed: now.Add(-30 * time.Hour), Received: now.Add(-29 * time.Hour)}}}
	enforced(p)
	count := func(since string) (n uint64, sum float64) {
		gathered, err := o.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range gathered {
			for _, one := range family.GetMetric() {
				if family.GetName() == "tiergate_enforce_seconds" && one.GetLabel()[0].GetValue() == since {
					return one.GetHistogram().GetSampleCount(), one.GetHistogram().GetSampleSum()
				}
			}
		}
		return 0, 0
	}
	if n, _ := count("received"); n != 0 {
		t.Error("what a process finds at its start is counted")
	}
	close(loaded)
	enforced(p)
	enforced(&signals.Posture{})
	if n, sum := count("received"); n != 1 || sum < 60 || sum > 70 {
		t.Errorf("received: %d, %v", n, sum)
	}
	if n, sum := count("observed"); n != 1 || sum < 3600 || sum > 3610 {
		t.Errorf("observed: %d, %v", n, sum)
	}
}
