package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/follow"
)

// followedWords are what the log says of records that a sidecar follows.
type followedWords struct {
	what      string // begins a sentence: what is granted at run time
	meanwhile string // what counts while the store is away
	refused   string // of a record that counts for nothing
	regressed string // of an older version of one
	kept      string // of one that the store no longer shows, where it is kept
}

var (
	grantedRecords = followedWords{what: "what is granted at run time", meanwhile: "what was holds until its end",
		refused:   "what the store shows as granted counts for nothing: somebody else wrote it, or it is damaged",
		regressed: "the store shows an older version of what was granted than there was, which counts for nothing",
		kept:      "the store no longer shows what was said of a device's grace; it counts nevertheless"}
	endedRecords = followedWords{what: "what has ended of logins", meanwhile: "what is known of it goes on counting",
		refused:   "a revocation counts for nothing: somebody else wrote it, or it is damaged",
		regressed: "the store shows an older version of a revocation than there was; the newer one counts",
		kept:      "the store no longer shows a revocation; it counts nevertheless, here, until it ends"}
)

// followed maps the callbacks of who follows records; refused is told of those that say nothing.
func (o *observer) followed(w *followedWords) (events follow.Events, refused func(kind, key string, err error)) {
	refuse := func(kind, key, why, text string, fields ...zap.Field) {
		o.distrusted.WithLabelValues(kind, why).Inc()
		o.log.Error(text, append(fields, zap.String("kind", kind), zap.String("name", key))...)
	}
	refused = func(kind, key string, err error) { refuse(kind, key, "unsigned", w.refused, zap.Error(err)) }
	return follow.Events{
		Offline: func(kind string, err error, retryIn time.Duration) {
			o.log.Warn(w.what+" is not followed; "+w.meanwhile, zap.String("kind", kind), zap.Error(err), zap.Duration("retry in", retryIn))
		},
		InSync: func(kind string, away time.Duration) {
			o.log.Info(w.what+" is followed", zap.String("kind", kind), zap.Duration("away", away))
		},
		ResyncFailed: func(kind string, err error) {
			o.log.Warn(w.what+" could not be read again beside its changes", zap.String("kind", kind), zap.Error(err))
		},
		Refused: refused,
		Regressed: func(kind, key string, held, stored signals.Revision) {
			refuse(kind, key, "regressed", w.regressed, zap.Int64("there was", int64(held)), zap.Int64("stored", int64(stored)))
		},
		Kept: func(kind, key string) { refuse(kind, key, "gone", w.kept) },
	}, refused
}

// revocationsStale is told when no login is believed any more, and when they are again.
func (o *observer) revocationsStale() (told func(since time.Time, ok bool)) {
	stale := prometheus.NewGauge(prometheus.GaugeOpts{Name: "tiergate_revocations_stale",
		Help: "1 if what has ended of logins could not be followed for too long, so that users are answered 503."})
	o.registry.MustRegister(stale)
	return func(since time.Time, ok bool) {
		if ok {
			stale.Set(0)
			o.log.Info("what has ended of logins is known again", zap.Time("since", since))
			return
		}
		stale.Set(1)
		o.log.Error("what has ended of logins is not known for too long: users are answered 503", zap.Time("since", since))
	}
}

// showGranted exports what counts now, judged when it is asked for.
func (o *observer) showGranted(inForce func(at time.Time) (written, granted int), inSync func() (time.Time, bool)) {
	const name = "tiergate_exceptions_in_force"
	help := "Exceptions that excuse something now, by where they stand: in the policy directory (policy) or granted while tiergate " +
		"runs (run-time)."
	for origin, count := range map[string]func() int{
		"policy":   func() int { written, _ := inForce(time.Now()); return written },
		"run-time": func() int { _, granted := inForce(time.Now()); return granted },
	} {
		o.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help,
			ConstLabels: prometheus.Labels{"origin": origin}}, func() float64 { return float64(count()) }))
	}
	began := time.Now()
	o.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tiergate_granted_unsynced_seconds",
		Help: "For how long the changes of what is granted at run time have not been followed; 0: they are."}, func() float64 {
		since, ok := inSync()
		if ok {
			return 0
		}
		if since.IsZero() {
			since = began
		}
		return time.Since(since).Seconds()
	}))
}
