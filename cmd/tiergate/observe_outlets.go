package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz/findings/outlets"
)

// outlets maps the callbacks of where findings are told. An event's text is not logged: the outlet is the place for it.
func (o *observer) outlets() outlets.Events {
	events := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_outlet_events_total",
		Help: "Events by what became of them: queued, sent, failed (an attempt), dead, discarded."}, []string{"outlet", "result"})
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tiergate_outlet_send_seconds",
		Help: "Time of an attempt that succeeded.", Buckets: prometheus.ExponentialBuckets(1e-3, 2, 15)}, []string{"outlet"})
	untold := prometheus.NewCounter(prometheus.CounterOpts{Name: "tiergate_outlet_untold_total",
		Help: "Notices for which there was no outlet at all."})
	o.registry.MustRegister(events, took, untold)
	event := func(outlet string, e *outlets.Event) []zap.Field {
		return []zap.Field{zap.String("outlet", outlet), zap.String("event", e.ID), zap.String("type", e.Type), zap.String("about", e.About)}
	}
	return outlets.Events{
		Queued: func(outlet string, e *outlets.Event) {
			events.WithLabelValues(outlet, "queued").Inc()
			o.log.Debug("an event is queued", event(outlet, e)...)
		},
		Sent: func(outlet string, e *outlets.Event, attempts int, d time.Duration) {
			events.WithLabelValues(outlet, "sent").Inc()
			took.WithLabelValues(outlet).Observe(d.Seconds())
			o.log.Debug("an event was taken", append(event(outlet, e), zap.Int("attempts", attempts))...)
		},
		Failed: func(outlet string, e *outlets.Event, again time.Time, err error) {
			events.WithLabelValues(outlet, "failed").Inc()
			o.log.Warn("an outlet did not take an event; it is tried again", append(event(outlet, e), zap.Time("again", again), zap.Error(err))...)
		},
		Dead: func(outlet string, e *outlets.Event, reason string) {
			events.WithLabelValues(outlet, "dead").Inc()
			o.log.Error("nobody took an event; see tiergate outlet show", append(event(outlet, e), zap.String("reason", reason))...)
		},
		Discarded: func(outlet, id, reason string) {
			events.WithLabelValues(outlet, "discarded").Inc()
			o.log.Error("an event is thrown away", zap.String("outlet", outlet), zap.String("event", id), zap.String("reason", reason))
		},
		Disabled: func(outlet, reason string) {
			if reason == "" {
				o.log.Info("an outlet is enabled again", zap.String("outlet", outlet))
				return
			}
			o.log.Error("an outlet is disabled; when it is well again, say tiergate outlet retry", zap.String("outlet", outlet),
				zap.String("reason", reason))
		},
		Untold: func(id, monitor string, names []string) {
			untold.Inc()
			o.log.Error("a notice is told nowhere: the settings have none of the outlets of its monitor, and no default",
				zap.String("notice", id), zap.String("monitor", monitor), zap.Strings("outlets", names))
		},
		Distrusted: func(kind, key string, err error) {
			o.distrusted.WithLabelValues(kind, "unsigned").Inc()
			o.log.Error("what the store holds is not believed", zap.String("what", kind), zap.String("key", key), zap.Error(err))
		},
		StoreFailed: func(err error) { o.log.Warn("the queue of the outlets is out of reach; trying again", zap.Error(err)) },
	}
}

// outletStates exports how the outlets stand, as this process knows them when it is asked.
func (o *observer) outletStates(here func() []outlets.Status) {
	o.registry.MustRegister(&outletGauges{here: here,
		queued: prometheus.NewDesc("tiergate_outlet_queued", "Events that wait.", []string{"outlet"}, nil),
		oldest: prometheus.NewDesc("tiergate_outlet_oldest_seconds", "Age of the event that waits for longest, 0: none waits.",
			[]string{"outlet"}, nil),
		dead:     prometheus.NewDesc("tiergate_outlet_dead", "Dead letters.", []string{"outlet"}, nil),
		failing:  prometheus.NewDesc("tiergate_outlet_failing", "1 if the last attempts failed, else 0.", []string{"outlet"}, nil),
		disabled: prometheus.NewDesc("tiergate_outlet_disabled", "1 if nothing is sent there any more, else 0.", []string{"outlet"}, nil)})
}

// outletGauges asks when it is asked.
type outletGauges struct {
	here                                    func() []outlets.Status
	queued, oldest, dead, failing, disabled *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (g *outletGauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.queued, g.oldest, g.dead, g.failing, g.disabled} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (g *outletGauges) Collect(to chan<- prometheus.Metric) {
	for _, s := range g.here() {
		gauge := func(d *prometheus.Desc, value float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, s.Name)
		}
		yes := func(is bool) float64 {
			if is {
				return 1
			}
			return 0
		}
		age := 0.0
		if !s.Oldest.IsZero() {
			age = max(0, time.Since(s.Oldest).Seconds())
		}
		gauge(g.queued, float64(s.Queued))
		gauge(g.oldest, age)
		gauge(g.dead, float64(s.Dead))
		gauge(g.failing, yes(s.State == outlets.StateFailing))
		gauge(g.disabled, yes(s.State == outlets.StateDisabled))
	}
}
