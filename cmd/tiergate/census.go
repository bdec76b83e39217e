package main

import (
	"crypto/rand"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

// newCensus counts what this sidecar's decisions see of non-human identities; nil: the settings say that nothing is to be.
func newCensus(s *config.Settings, o *observer, store signals.Store) *authz.Census {
	if s.Census.Off {
		o.log.Info("the use of identities, exceptions and grace is not counted here (census.off)")
		return nil
	}
	name := s.Census.Name
	if name == "" {
		if host, err := os.Hostname(); err == nil {
			name = host
		} else {
			name = "unnamed"
		}
	}
	return authz.NewCensus(store, authz.CensusOptions{Sidecar: name, Writer: name + " " + rand.Text()[:10], Every: s.Census.Every,
		Events: o.census()})
}

// withCensus has decisions counted besides what they are observed by.
func withCensus(events authz.Events, census *authz.Census) authz.Events {
	if census == nil {
		return events
	}
	told := events.Decided
	events.Decided = func(d *authz.Decision) {
		census.Saw(d)
		told(d)
	}
	return events
}

// census maps the callbacks of the census. An outage is said once, and so is its end.
func (o *observer) census() authz.CensusEvents {
	records := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_census_records_total",
		Help: "Records of what decisions saw, by what came of writing them: written, or failed (kept, and tried again)."},
		[]string{"result"})
	beyond := prometheus.NewCounter(prometheus.CounterOpts{Name: "tiergate_census_uncounted_decisions_total",
		Help: "Decisions whose identity was not counted because too many others were."})
	spoilt := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_census_spoilt_records_total",
		Help: "Records of what decisions saw that could not be read and were begun anew, by kind."}, []string{"kind"})
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tiergate_census_write_seconds",
		Help: "How long it took to write what was counted.", Buckets: prometheus.ExponentialBuckets(.001, 4, 8)})
	o.registry.MustRegister(records, beyond, spoilt, seconds)
	written, failing := records.WithLabelValues("written"), records.WithLabelValues("failed")
	var down atomic.Bool
	return authz.CensusEvents{
		Flushed: func(done, failed int, uncounted uint64, took time.Duration, err error) {
			written.Add(float64(done))
			failing.Add(float64(failed))
			beyond.Add(float64(uncounted))
			seconds.Observe(took.Seconds())
			if uncounted > 0 {
				o.log.Warn("more identities call than are counted at a time; those that came later are missing in the inventory",
					zap.Uint64("decisions", uncounted), zap.Int("most", authz.DefaultMaxIdentities))
			}
			switch {
			case err == nil && down.CompareAndSwap(true, false):
				o.log.Info("what decisions see of identities can be written again")
			case err != nil && down.CompareAndSwap(false, true):
				o.log.Error("what decisions see of identities cannot be written; it is kept and tried again. On a shared Redis the "+
					"ACL user of sidecars must be allowed to write records of the kinds sighting, use and device-use", zap.Int("records", failed),
					zap.Error(err))
			}
		},
		Spoilt: func(kind, key string, err error) {
			spoilt.WithLabelValues(kind).Inc()
			o.log.Error("a record of what decisions saw cannot be read, and is begun anew: somebody else writes to the store, or it is damaged",
				zap.String("kind", kind), zap.String("key", key), zap.Error(err))
		},
	}
}
