package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/xds"
	"github.com/tiergate/tiergate/xds/drift"
	"github.com/tiergate/tiergate/xds/lint"
)

var drifted = drift.Report{Envoy: "1.40.0", Node: "edge-1",
	Differences: []drift.Difference{
		{Kind: drift.Listener, Name: "back\x1b[2Jdoor", Change: drift.Unexpected, What: "Envoy holds it and was not given it"},
		{Kind: drift.Listener, Name: "ingress", Change: drift.Different, Where: "address", What: "is 1, meant is 2"},
	},
	Findings:  []lint.Finding{{Code: "admin-tcp", Severity: lint.Weak, Where: "admin.address", What: "it is open"}},
	NotLinted: "a part was too long",
}

// TestTableOfDrift: one line for each difference, and nothing that somebody else wrote moves the cursor.
func TestTableOfDrift(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		report drift.Report
		want   string
	}{
		{drifted, "KIND      NAME          CHANGE      WHERE    WHAT\n" +
			"listener  back?[2Jdoor  unexpected  -        Envoy holds it and was not given it\n" +
			"listener  ingress       different   address  is 1, meant is 2\n" +
			"weak admin-tcp: admin.address: it is open\nnot linted: a part was too long\n"},
		{drift.Report{Fault: "there is no x"}, "not compared: there is no x\n"},
		{drift.Report{Envoy: "1.40.0", Node: "edge-1"}, "Envoy 1.40.0 (node edge-1) is what was meant\n"},
	} {
		var out strings.Builder
		if err := tableOfDrift(&out, c.report); err != nil || out.String() != c.want {
			t.Errorf("%v\n%s\nwant\n%s", err, out.String(), c.want)
		}
	}
	if err := tableOfDrift(brokenPipe{}, drift.Report{Fault: "x"}); err == nil {
		t.Error("nobody was told that nothing could be written")
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// TestDriftMetrics: labels are bounded, what is over is 0, and what could not be compared clears nothing.
func TestDriftMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m := newDriftMetrics(registry)
	m.set(drifted)
	check := func(when string, compared, unexpected, weak float64) {
		t.Helper()
		got := []float64{-1, -1, -1}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, series := range f.GetMetric() {
				labels := ""
				for _, l := range series.GetLabel() {
					labels += " " + l.GetValue()
				}
				switch f.GetName() + labels {
				case "tiergate_envoy_drift_compared":
					got[0] = series.GetGauge().GetValue()
				case "tiergate_envoy_drift unexpected listener":
					got[1] = series.GetGauge().GetValue()
				case "tiergate_envoy_lint_findings weak":
					got[2] = series.GetGauge().GetValue()
				}
			}
			if n := len(f.GetMetric()); f.GetName() == "tiergate_envoy_drift" && n != len(drift.Kinds())*len(drift.Changes()) {
				t.Errorf("%s: %d series", when, n)
			}
		}
		if !slices.Equal(got, []float64{compared, unexpected, weak}) {
			t.Errorf("%s: compared, unexpected, weak are %v", when, got)
		}
	}
	check("a difference", 1, 1, 1)
	m.set(drift.Report{Fault: "hanging"})
	check("not compared", 0, 1, 1)
	m.set(drift.Report{})
	check("over", 1, 0, 0)
}

// TestDriftWithoutListeners: a process that programs no Envoy has nothing to compare one with, and says so.
func TestDriftWithoutListeners(t *testing.T) {
	t.Parallel()
	told := http.NewServeMux()
	(&sidecar{settings: &config.Settings{}}).showDrift(told)
	answer := httptest.NewRecorder()
	told.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/v1/envoys/drift", http.NoBody))
	if answer.Code != http.StatusConflict || !strings.Contains(answer.Body.String(), "programs no Envoy") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

// TestComparedAfterAck: an ACK is told as before, and asks for a comparison.
func TestComparedAfterAck(t *testing.T) {
	t.Parallel()
	var order []string
	events := compared(xds.Events{Acked: func(a xds.Ack) { order = append(order, a.Node) }}, func() { order = append(order, "soon") })
	events.Acked(xds.Ack{Node: "edge-1"})
	if strings.Join(order, " ") != "edge-1 soon" {
		t.Error(order)
	}
}
