package main

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// people counts who came to ingest.approvals, and logs one of those who were not let in now and then: whoever reaches the
// port can be many.
func (o *observer) people() func(admitted bool, who, why string) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_approvals_requests_total",
		Help: "Requests to ingest.approvals by whether it was known who sent them: admitted, refused."}, []string{"result"})
	o.registry.MustRegister(requests)
	for _, result := range []string{"admitted", "refused"} {
		requests.WithLabelValues(result)
	}
	var mu sync.Mutex
	var last time.Time
	quiet := 0
	return func(admitted bool, who, why string) {
		if admitted {
			requests.WithLabelValues("admitted").Inc()
			o.log.Debug("somebody came to ingest.approvals", zap.String("who", who))
			return
		}
		requests.WithLabelValues("refused").Inc()
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if now.Sub(last) < refusalsLogged {
			quiet++
			return
		}
		last = now
		o.log.Warn("a request to ingest.approvals is refused", zap.String("why", why), zap.Int("moreSinceTheLast", quiet))
		quiet = 0
	}
}

// clearances maps what became of approved clearances.
func (o *observer) clearances() clearEvents {
	applied := prometheus.NewCounter(prometheus.CounterOpts{Name: "tiergate_clearances_applied_total",
		Help: "Clearances of alarms that this process applied to a device."})
	waiting := prometheus.NewGauge(prometheus.GaugeOpts{Name: "tiergate_clearances_waiting",
		Help: "Clearances of alarms that were approved and could not be applied yet."})
	o.registry.MustRegister(applied, waiting)
	return clearEvents{
		applied: func(name, device, signal string) {
			applied.Inc()
			o.log.Info("an alarm is cleared", zap.String("clearance", name), zap.String("device", device), zap.String("signal", signal))
		},
		failed: func(name, device string, err error) {
			o.log.Error("an approved clearance cannot be applied; it is tried again", zap.String("clearance", name),
				zap.String("device", device), zap.Error(err))
		},
		unread: func(err error) {
			o.log.Error("the clearances cannot be read; what was approved is applied later", zap.Error(err))
		},
		waiting: func(n int) { waiting.Set(float64(n)) },
	}
}
