package main

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/findings/engine"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/follow"
)

// findingMetrics are what teams share of how well things are owned. Only the process that looks has them: of several
// receivers the others export none, so that sums are right. Labels are names of the policy and words of this program.
type findingMetrics struct {
	leads, lastLook, lookSeconds, devices, unread, blind prometheus.Gauge

	failures  prometheus.Counter
	open      *prometheus.GaugeVec
	unwatched *prometheus.GaugeVec
	notices   *prometheus.CounterVec
	remedied  *prometheus.HistogramVec

	signalExpected, signalFresh *prometheus.GaugeVec
	identities, postures        *prometheus.GaugeVec
	exceptions, oldest          *prometheus.GaugeVec
	admissions                  *prometheus.GaugeVec
}

func newFindingMetrics(r *prometheus.Registry) *findingMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		r.MustRegister(g)
		return g
	}
	gauges := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		r.MustRegister(g)
		return g
	}
	m := &findingMetrics{
		leads:       gauge("tiergate_findings_leader", "1 if this process looks for findings, 0 if it stands by."),
		lastLook:    gauge("tiergate_findings_last_look_timestamp_seconds", "When findings were looked for last, by this process."),
		lookSeconds: gauge("tiergate_findings_look_seconds", "How long the newest look for findings took."),
		devices:     gauge("tiergate_known_devices", "Devices that are known."),
		unread:      gauge("tiergate_unread_devices", "Devices whose posture is there and cannot be believed, so that they are not judged."),
		blind:       gauge("tiergate_findings_blind_parts", "Parts of the world that the newest look could not see."),
		open: gauges("tiergate_findings", "Findings that stand, accepted ones too.", "kind", "severity", "team", "state",
			"overdue"),
		unwatched:      gauges("tiergate_findings_unwatched", "What is wrong and no Monitor of the policy watches.", "kind"),
		signalExpected: gauges("tiergate_signal_devices", "Devices whose platform has a baseline with this signal.", "signal"),
		signalFresh:    gauges("tiergate_signal_fresh_devices", "Of those, devices of which fresh facts decide the signal.", "signal"),
		identities:     gauges("tiergate_identities", "Identity documents: all, and those that a decision saw in 30 days.", "which"),
		postures: gauges("tiergate_identity_states", "Non-human identities by type and state; each may be in several states, and is in "+
			"that called any.", "type", "state"),
		exceptions: gauges("tiergate_exceptions_standing", "Exceptions that are in force.", "origin"),
		oldest:     gauges("tiergate_exceptions_oldest_age_seconds", "For how long the oldest that is in force has been.", "origin"),
		admissions: gauges("tiergate_week_admissions", "Admissions of the last 7 days, all and those that rest on an exception, on grace or on "+
			"the last known state.", "tier", "on"),
	}
	m.failures = prometheus.NewCounter(prometheus.CounterOpts{Name: "tiergate_findings_failures_total",
		Help: "What could not be stored or told of findings; it is tried again."})
	m.notices = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_findings_notices_total",
		Help: "Notices handed to the outlets."}, []string{"what"})
	m.remedied = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tiergate_findings_remediation_seconds",
		Help:    "From the opening of a finding to its closure by the facts.",
		Buckets: []float64{900, 3600, 4 * 3600, 8 * 3600, 86400, 2 * 86400, 3 * 86400, 7 * 86400, 14 * 86400, 30 * 86400, 90 * 86400}},
		[]string{"team", "kind"})
	r.MustRegister(m.failures, m.notices, m.remedied)
	return m
}

func (m *findingMetrics) told(n *findings.Notice) { m.notices.WithLabelValues(string(n.What)).Inc() }

// clear takes back what only the one who looks may say.
func (m *findingMetrics) clear() {
	for _, v := range []*prometheus.GaugeVec{m.open, m.unwatched, m.signalExpected, m.signalFresh, m.identities, m.postures,
		m.exceptions, m.oldest, m.admissions} {
		v.Reset()
	}
	m.devices.Set(0)
	m.unread.Set(0)
	m.blind.Set(0)
}

// set writes what a look saw. What is not known is not exported, rather than 0.
func (m *findingMetrics) set(r *engine.Report) {
	m.clear()
	m.lastLook.Set(float64(r.At.UnixMilli()) / 1e3)
	m.lookSeconds.Set(r.Took.Seconds())
	m.devices.Set(float64(r.Devices))
	m.unread.Set(float64(r.Unread))
	m.blind.Set(float64(len(r.Blind)))
	for c, n := range r.Cases {
		m.open.WithLabelValues(string(c.Kind), string(c.Severity), c.Team, string(c.State), strconv.FormatBool(c.Overdue)).Add(float64(n))
		m.remedied.WithLabelValues(c.Team, string(c.Kind)) // begins at 0, so that increase() sees the first closure
	}
	for kind, n := range r.Unwatched {
		m.unwatched.WithLabelValues(string(kind)).Set(float64(n))
	}
	for signal, share := range r.Coverage {
		m.signalExpected.WithLabelValues(signal).Set(float64(share.Of))
		m.signalFresh.WithLabelValues(signal).Set(float64(share.Have))
	}
	if r.Identities != nil {
		m.identities.WithLabelValues("documented").Set(float64(r.Identities.Of))
		m.identities.WithLabelValues("seen").Set(float64(r.Identities.Have))
	}
	for _, p := range r.Postures {
		m.postures.WithLabelValues(p.Type, "any").Set(float64(p.Identities))
		m.postures.WithLabelValues(p.Type, "never-expires").Set(float64(p.NoEnd))
		for state, n := range p.States {
			m.postures.WithLabelValues(p.Type, string(state)).Set(float64(n))
		}
	}
	for origin, s := range r.Exceptions {
		m.exceptions.WithLabelValues(origin).Set(float64(s.Number))
		m.oldest.WithLabelValues(origin).Set(s.Oldest.Seconds())
	}
	for tier, use := range r.Traffic {
		for on, n := range map[string]uint64{"all": use.Allowed, "exception": use.ByException, "grace": use.ByGrace,
			"last-known": use.ByLastKnown} {
			m.admissions.WithLabelValues(tier, on).Set(float64(n))
		}
	}
}

// findings maps the callbacks of the engine.
func (o *observer) findings(m *findingMetrics) engine.Events {
	distrust := func(kind, why string) { o.distrusted.WithLabelValues(kind, why).Inc() }
	return engine.Events{
		Looked: func(r *engine.Report) {
			m.set(r)
			o.log.Debug("looked for findings", zap.Int("devices", r.Devices), zap.Duration("took", r.Took), zap.Any("blind", r.Blind))
		},
		Failed: func(err error) {
			m.failures.Inc()
			o.log.Warn("findings", zap.Error(err))
		},
		Leads: func(is bool) {
			if is {
				m.leads.Set(1)
				o.log.Info("this process looks for findings")
				return
			}
			m.leads.Set(0)
			m.clear()
			o.log.Info("another process looks for findings")
		},
		Closed: func(c *findings.Case) {
			m.remedied.WithLabelValues(c.Team, string(c.Finding.Kind)).Observe(c.Closed.Sub(c.Opened).Seconds())
		},
		Wrong: func(what string, err error) {
			o.log.Warn("a record is not what its kind says, and is left out of findings", zap.String("record", what), zap.Error(err))
		},
		Follow: follow.Events{
			Offline: func(kind string, err error, retryIn time.Duration) {
				o.log.Warn("records cannot be followed; findings that need them wait", zap.String("kind", kind), zap.Error(err),
					zap.Duration("retryIn", retryIn))
			},
			InSync: func(kind string, away time.Duration) {
				o.log.Info("records are followed again", zap.String("kind", kind), zap.Duration("away", away))
			},
			ResyncFailed: func(kind string, err error) {
				o.log.Warn("records could not be read again", zap.String("kind", kind), zap.Error(err))
			},
			Refused: func(kind, key string, err error) {
				distrust(kind, "unsigned")
				o.log.Error("a record is not believed", zap.String("kind", kind), zap.String("key", key), zap.Error(err))
			},
			Regressed: func(kind, key string, held, stored signals.Revision) {
				distrust(kind, "regressed")
				o.log.Error("the store shows an older version of a record; it counts for nothing", zap.String("kind", kind),
					zap.String("key", key), zap.Int64("held", int64(held)), zap.Int64("stored", int64(stored)))
			},
		},
	}
}
