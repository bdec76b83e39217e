package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/xds/drift"
	"github.com/tiergate/tiergate/xds/lint"
)

// driftMetrics are those of the comparison of the running Envoy with what it was given.
type driftMetrics struct {
	compared    prometheus.Gauge
	differences *prometheus.GaugeVec
	findings    *prometheus.GaugeVec
}

func newDriftMetrics(r *prometheus.Registry) *driftMetrics {
	m := &driftMetrics{
		compared: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tiergate_envoy_drift_compared",
			Help: "1 if the running Envoy was compared with what it was given, 0 if that was not possible."}),
		differences: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tiergate_envoy_drift",
			Help: "Differences between the running Envoy and what it was given, at the newest comparison that was possible."},
			[]string{"kind", "change"}),
		findings: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tiergate_envoy_lint_findings",
			Help: "What is careless in the configuration of the running Envoy, at the newest comparison that was possible."},
			[]string{"severity"}),
	}
	r.MustRegister(m.compared, m.differences, m.findings)
	return m
}

// set writes every label, so that what is over is 0.
func (m *driftMetrics) set(r drift.Report) {
	if r.Fault != "" {
		m.compared.Set(0) // what was found last still stands: nobody has seen it gone
		return
	}
	m.compared.Set(1)
	for _, kind := range drift.Kinds() {
		for _, change := range drift.Changes() {
			m.differences.WithLabelValues(string(kind), string(change)).Set(0)
		}
	}
	for _, d := range r.Differences {
		m.differences.WithLabelValues(string(d.Kind), string(d.Change)).Inc()
	}
	for _, severity := range []lint.Severity{lint.Hole, lint.Weak, lint.Note} {
		m.findings.WithLabelValues(string(severity)).Set(0)
	}
	for i := range r.Findings {
		m.findings.WithLabelValues(string(r.Findings[i].Severity)).Inc()
	}
}

// drift maps the callbacks of the comparison. Each outcome is logged once, until another takes its place.
func (o *observer) drift() drift.Events {
	m := newDriftMetrics(o.registry)
	return drift.Events{Compared: func(r drift.Report, changed bool) {
		m.set(r)
		if !changed {
			return
		}
		about := []zap.Field{zap.String("socket", r.Socket), zap.String("node", r.Node), zap.String("envoy", r.Envoy)}
		switch {
		case r.Absent:
			o.log.Info("the running Envoy is not compared with what it was given", append(about, zap.String("why", r.Fault))...)
		case r.Fault != "":
			o.log.Warn("the running Envoy could not be compared with what it was given", append(about, zap.String("fault", r.Fault))...)
		case len(r.Differences) > 0:
			o.log.Error("the running Envoy is not what was meant", append(about, zap.Any("differences", r.Differences),
				zap.Any("findings", r.Findings))...)
		default:
			o.log.Info("the running Envoy is what was meant", append(about, zap.Any("findings", r.Findings))...)
		}
	}}
}
