package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/replica"
	"github.com/tiergate/tiergate/xds"
)

// observer maps every callback of every package to log lines and metrics: all names of both are in this file.
type observer struct {
	log      *zap.Logger
	registry *prometheus.Registry

	decisions       *prometheus.CounterVec
	decisionSeconds prometheus.Histogram
	waived          *prometheus.CounterVec
	monitored       *prometheus.CounterVec
	disputed        *prometheus.CounterVec
	panics          prometheus.Counter
	policyOK        prometheus.Gauge
	policyLoaded    prometheus.Gauge
	reloads         *prometheus.CounterVec
	deliveries      *prometheus.CounterVec
	refusals        *prometheus.CounterVec
	dropped         *prometheus.CounterVec
	applySeconds    prometheus.Histogram
	devices         prometheus.Gauge
	inSync          prometheus.Gauge
	xdsAnswers      *prometheus.CounterVec
	// distrusted: any of it deserves a look. Somebody else writes to the store, it is damaged or restored, or a key is missing
	// from trustFiles.
	distrusted *prometheus.CounterVec
	// ended is how many logins, sessions and risks are known to have ended.
	ended prometheus.Gauge
	// unrecorded is how many tiers excuse something while no decision is on record.
	unrecorded prometheus.Gauge
	asked      *inventoryMetrics
	links      *linkMetrics
	checkpoint *checkpointMetrics
	keyCounts  *keyCounts // nil until somebody's keys are fetched
}

func newObserver(s config.Log) (*observer, error) {
	log, err := newLogger(s)
	if err != nil {
		return nil, err
	}
	o := &observer{log: log, registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		o.registry.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		o.registry.MustRegister(g)
		return g
	}
	seconds := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
		o.registry.MustRegister(h)
		return h
	}
	o.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	o.decisions = counter("tiergate_decisions_total", "Decisions by outcome, reason and tier.", "outcome", "reason", "tier")
	o.decisionSeconds = seconds("tiergate_decision_seconds", "Time of one decision.", prometheus.ExponentialBuckets(5e-6, 2, 16))
	o.waived = counter("tiergate_waived_demands_total", "Demands that were not met and that something excused.", "tier", "list", "by")
	o.monitored = counter("tiergate_monitored_decisions_total",
		"Admissions by tiers in monitor mode that would not have been given, by why not.", "tier", "reason")
	o.disputed = counter("tiergate_disputed_signals_total", "Decisions for which sources disagreed about a signal.", "signal")
	o.panics = prometheus.NewCounter(prometheus.CounterOpts{Name: "tiergate_decision_panics_total",
		Help: "Defects that were answered with a written denial."})
	o.registry.MustRegister(o.panics)
	o.policyOK = gauge("tiergate_policy_last_reload_success", "1 if the newest policy text is in force, 0 if the last good one is.")
	o.policyLoaded = gauge("tiergate_policy_loaded_timestamp_seconds", "When the policy in force was loaded.")
	o.reloads = counter("tiergate_policy_reloads_total", "Attempts to load a changed policy.", "result")
	o.deliveries = counter("tiergate_ingest_deliveries_total", "Deliveries by what became of them.", "source", "result")
	o.refusals = counter("tiergate_ingest_refused_total", "Requests to the receiver that were refused.", "source", "status")
	o.dropped = counter("tiergate_ingest_facts_dropped_total", "Facts on attributes that their source may not attest.", "source", "attribute")
	o.applySeconds = seconds("tiergate_ingest_apply_seconds", "From the receipt of a delivery to its place in the posture.",
		prometheus.ExponentialBuckets(1e-3, 2, 16))
	o.devices = gauge("tiergate_replica_devices", "Devices whose posture is held in memory.")
	o.inSync = gauge("tiergate_replica_in_sync", "1 if the replica follows the store's changes, 0 if its copy is ageing.")
	o.ended, o.unrecorded = gauge("tiergate_revocations", "Users, sessions and devices whose logins an identity provider has ended or fears."),
		gauge("tiergate_unrecorded_tiers", "Tiers that excuse by exceptions or grace while no decision is on record.")
	o.distrusted = counter("tiergate_store_distrusted_total", "What the store showed and was not believed, or no longer showed: "+
		"a posture or a kind of record, and why (unsigned, regressed, forgetful, gone, contested, rolled-back, missing, late or none).",
		"what", "why")
	o.asked = newInventoryMetrics(o.registry)
	o.links = newLinkMetrics(o.registry)
	o.checkpoint = newCheckpointMetrics(o.registry)
	o.xdsAnswers = counter("tiergate_xds_answers_total", "What Envoy said of what it was sent.", "type", "answer")
	return o, nil
}

func newLogger(s config.Log) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(s.Level)
	if err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	c := zap.NewProductionConfig()
	c.Level = zap.NewAtomicLevelAt(level)
	c.Encoding = s.Format
	c.Sampling = nil                                  // nothing is lost
	c.DisableStacktrace, c.DisableCaller = true, true // every line is written in this file
	c.EncoderConfig.TimeKey = "time"
	c.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	return c.Build()
}

func (o *observer) metrics() http.Handler {
	return promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{Registry: o.registry})
}

// authz maps the callbacks of the decision service. Refusals are logged with what the operator must know, and so are
// admissions that something excused or that monitor mode let through; other admissions at debug level. A decision has no
// field for a token or a cookie.
func (o *observer) authz() authz.Events {
	return authz.Events{
		Decided: func(d *authz.Decision) {
			v := &d.Verdict
			o.decisions.WithLabelValues(v.Outcome.String(), string(v.Reason), v.Tier).Inc()
			o.decisionSeconds.Observe(d.Took.Seconds())
			for i := range v.Waived {
				o.waived.WithLabelValues(v.Tier, string(v.Waived[i].List), string(v.Waived[i].By)).Inc()
			}
			for _, signal := range v.Disputed {
				o.disputed.WithLabelValues(signal).Inc()
			}
			if v.Monitored != nil {
				o.monitored.WithLabelValues(v.Tier, string(v.Monitored.Reason)).Inc()
			}
			level := zap.InfoLevel
			if v.Outcome == policy.Allow && len(v.Waived) == 0 && v.Monitored == nil {
				level = zap.DebugLevel
			}
			if entry := o.log.Check(level, "decision"); entry != nil {
				entry.Write(decisionFields(d)...)
			}
		},
		Panicked: func(decision string, value any, stack []byte) {
			o.panics.Inc()
			o.log.Error("a defect of tiergate was answered with a denial", zap.String("decision", decision),
				zap.Any("fault", value), zap.ByteString("stack", stack))
		},
		Policy: func(digest string, devices int, took time.Duration) {
			o.policyLoaded.SetToCurrentTime()
			o.log.Info("policy in force", zap.String("digest", digest), zap.Int("devicesAssessed", devices), zap.Duration("took", took))
		},
	}
}

func decisionFields(d *authz.Decision) []zap.Field {
	v := &d.Verdict
	return []zap.Field{
		zap.String("decision", d.ID), zap.Stringer("outcome", v.Outcome), zap.String("reason", string(v.Reason)),
		zap.String("detail", v.Detail), zap.Stringer("subject", d.Subject), zap.String("device", d.Device),
		zap.String("method", d.Request.Method), zap.String("host", d.Request.Host), zap.String("path", withoutQuery(d.Request.Path)),
		zap.String("route", v.Route), zap.String("tier", v.Tier), zap.Any("unmet", v.Unmet), zap.Any("noted", v.Noted),
		zap.Any("waived", v.Waived), zap.Any("monitored", v.Monitored), zap.Strings("disputed", v.Disputed),
		zap.String("policy", v.Policy), zap.Duration("took", d.Took),
	}
}

// withoutQuery leaves out what may carry secrets.
func withoutQuery(path string) string {
	for i := range len(path) {
		if path[i] == '?' {
			return path[:i]
		}
	}
	return path
}

// ingest maps the callbacks of the receiver.
func (o *observer) ingest() ingest.Events {
	return ingest.Events{
		Refused: func(source string, status int, reason string) {
			o.refusals.WithLabelValues(source, fmt.Sprint(status)).Inc()
			o.log.Warn("delivery refused", zap.String("source", source), zap.Int("status", status), zap.String("reason", reason))
		},
		Accepted: func(source, id string) {
			o.deliveries.WithLabelValues(source, "accepted").Inc()
			o.log.Debug("delivery accepted", zap.String("source", source), zap.String("id", id))
		},
		Repeated: func(source, id string) {
			o.deliveries.WithLabelValues(source, "repeated").Inc()
			o.log.Debug("delivery repeated", zap.String("source", source), zap.String("id", id))
		},
		Applied: func(source, id string, device signals.DeviceID, changed bool, lag time.Duration) {
			o.deliveries.WithLabelValues(source, "applied").Inc()
			o.applySeconds.Observe(lag.Seconds())
			level := zap.InfoLevel
			if id == ingest.SyncID && !changed { // a listing says the same of every device each time
				level = zap.DebugLevel
			}
			o.log.Log(level, "posture reported", zap.String("source", source), zap.String("id", id), zap.String("device", string(device)),
				zap.Bool("changed", changed), zap.Duration("lag", lag))
		},
		Dropped: func(source, id, attribute string) {
			o.dropped.WithLabelValues(source, attribute).Inc()
			o.log.Warn("the source may not attest this attribute; its fact was left out", zap.String("source", source),
				zap.String("id", id), zap.String("attribute", attribute))
		},
		DeadLettered: func(source, id, reason string) {
			o.deliveries.WithLabelValues(source, "dead-lettered").Inc()
			o.log.Error("dead letter", zap.String("source", source), zap.String("id", id), zap.String("reason", reason))
		},
		Postponed: func(source, id string, err error) {
			o.deliveries.WithLabelValues(source, "postponed").Inc()
			o.log.Warn("delivery waits in the inbox", zap.String("source", source), zap.String("id", id), zap.Error(err))
		},
		Distrusted: func(what, key string, err error) {
			o.distrusted.WithLabelValues(what, "unsigned").Inc()
			o.log.Error("what the store holds is not believed", zap.String("what", what), zap.String("key", key), zap.Error(err))
		},
		LeaseFailed: func(err error) {
			o.log.Warn("the receiver's lease could not be written; others may go on with its work", zap.Error(err))
		},
		Retried: func(source, id string) {
			o.deliveries.WithLabelValues(source, "retried").Inc()
			o.log.Info("a dead letter was put back into the inbox", zap.String("source", source), zap.String("id", id))
		},
		Discarded: func(source, id string) {
			o.deliveries.WithLabelValues(source, "discarded").Inc()
			o.log.Warn("a dead letter was thrown away", zap.String("source", source), zap.String("id", id))
		},
		Joined:      o.joined,
		Revoked:     o.revoked,
		Inventory:   o.inventory(),
		SweepFailed: func(err error) { o.log.Warn("the inbox could not be read; trying again", zap.Error(err)) },
	}
}

// replica maps the callbacks of the replica.
func (o *observer) replica() replica.Events {
	return replica.Events{
		Loaded: func(devices int, took time.Duration) {
			o.devices.Set(float64(devices))
			o.log.Info("postures loaded", zap.Int("devices", devices), zap.Duration("took", took))
		},
		Offline: func(err error, retryIn time.Duration) {
			o.inSync.Set(0)
			o.log.Warn("the store is out of reach; the copy of the postures is kept and ages", zap.Error(err),
				zap.Duration("retryIn", retryIn))
		},
		InSync: func(away time.Duration) {
			o.inSync.Set(1)
			o.log.Info("the changes of the store are followed", zap.Duration("away", away))
		},
		ResyncFailed: func(err error) { o.log.Warn("the postures could not be read again", zap.Error(err)) },
		Regressed: func(device signals.DeviceID, held, offered signals.Revision) {
			o.distrusted.WithLabelValues("posture", "regressed").Inc()
			o.log.Error("the store offered an older revision of a posture; it was not taken", zap.String("device", string(device)),
				zap.Int64("held", int64(held)), zap.Int64("offered", int64(offered)))
		},
		Forgetful: func(device signals.DeviceID, missing int) {
			o.distrusted.WithLabelValues("posture", "forgetful").Inc()
			o.log.Error("the store offered a posture without facts that it showed before; they were kept", zap.String("device", string(device)),
				zap.Int("missing", missing))
		},
		Gone: func(device signals.DeviceID) {
			o.distrusted.WithLabelValues("posture", "gone").Inc()
			o.log.Error("the store no longer has a device, which nothing of ours removes", zap.String("device", string(device)))
		},
		Corrupt: func(device signals.DeviceID, err error) {
			o.distrusted.WithLabelValues("posture", "unsigned").Inc()
			o.log.Error("a stored posture is not believed", zap.String("device", string(device)), zap.Error(err))
		},
		Contested: func(alias signals.Alias, devices []signals.DeviceID) {
			o.distrusted.WithLabelValues("posture", "contested").Inc()
			o.log.Error("several devices carry one name, which now names none of them", zap.Stringer("alias", alias),
				zap.Any("devices", devices))
		},
	}
}

// xds maps the callbacks of the delivery to Envoy.
func (o *observer) xds() xds.Events {
	return xds.Events{
		Connected:    func(n xds.NodeStatus) { o.log.Info("an Envoy connected", zap.Any("envoy", n)) },
		Disconnected: func(n xds.NodeStatus) { o.log.Warn("an Envoy is gone", zap.Any("envoy", n)) },
		Refused:      o.notProgrammed,
		Acked: func(a xds.Ack) {
			o.xdsAnswers.WithLabelValues(a.Type, "ack").Inc()
			o.log.Debug("Envoy took over", zap.Any("ack", a))
		},
		Nacked: func(n xds.Nack) {
			o.xdsAnswers.WithLabelValues(n.Type, "nack").Inc()
			o.log.Error("Envoy refused a part of its configuration and goes on with what it had", zap.Any("nack", n))
		},
		Settled: func(digest, table string) {
			o.log.Info("every Envoy holds the configuration", zap.String("snapshot", digest), zap.String("table", table))
		},
	}
}

// watchFailed tells that changes of the policy directory may be seen only by polling.
func (o *observer) watchFailed(err error) {
	o.log.Warn("the policy directory is polled only; changes come into force a second later", zap.Error(err))
}

// reloaded tells what became of a changed policy text.
func (o *observer) reloaded(fault string) {
	if fault == "" {
		o.policyOK.Set(1)
		o.reloads.WithLabelValues("loaded").Inc()
		return
	}
	o.policyOK.Set(0)
	o.reloads.WithLabelValues("refused").Inc()
	o.log.Error("the changed policy is not in force; the last good one stays", zap.String("fault", fault))
}
