package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/signals/ingest"
)

// inventoryMetrics are those of vendors that are asked.
type inventoryMetrics struct {
	pulls     *prometheus.CounterVec
	seconds   prometheus.Histogram
	syncs     *prometheus.CounterVec
	devices   *prometheus.GaugeVec
	expected  *prometheus.GaugeVec
	running   *prometheus.GaugeVec
	withdrawn *prometheus.CounterVec
	complete  *prometheus.GaugeVec
}

func newInventoryMetrics(r *prometheus.Registry) *inventoryMetrics {
	m := &inventoryMetrics{
		pulls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_source_pulls_total",
			Help: "Questions to vendors by what came of them: stored, gone, failed, not-applied."}, []string{"source", "result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tiergate_source_pull_seconds",
			Help: "From asking for one device to its place in the posture.", Buckets: prometheus.ExponentialBuckets(5e-3, 2, 14)}),
		syncs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_source_syncs_total",
			Help: "Listings of all devices by result: complete, doubtful (nothing is withdrawn)."}, []string{"source", "result"}),
		devices: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tiergate_source_sync_devices",
			Help: "Devices of the newest listing, so far."}, []string{"source"}),
		expected: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tiergate_source_sync_expected_devices",
			Help: "How many there are, as the vendor says; 0: it does not."}, []string{"source"}),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tiergate_source_sync_running",
			Help: "1 while this receiver lists the source."}, []string{"source"}),
		withdrawn: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_source_withdrawn_devices_total",
			Help: "Devices that a complete listing found to be gone."}, []string{"source"}),
		complete: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tiergate_source_sync_complete_timestamp_seconds",
			Help: "When the last listing that counts ended."}, []string{"source"}),
	}
	r.MustRegister(m.pulls, m.seconds, m.syncs, m.devices, m.expected, m.running, m.withdrawn, m.complete)
	return m
}

// inventory maps the callbacks of questions to vendors. The progress comes every 10 seconds.
func (o *observer) inventory() ingest.InventoryEvents {
	m := o.asked
	progress := func(source string, s ingest.SyncState) []zap.Field {
		m.devices.WithLabelValues(source).Set(float64(s.Devices))
		m.expected.WithLabelValues(source).Set(float64(s.Total))
		return []zap.Field{zap.String("source", source), zap.Int("pages", s.Pages), zap.Int("devices", s.Devices),
			zap.Int("total", s.Total), zap.Int("faults", s.Faults)}
	}
	return ingest.InventoryEvents{
		Pulled: func(source, device string, gone bool, took time.Duration) {
			result := "stored"
			if gone {
				result = "gone"
			}
			m.pulls.WithLabelValues(source, result).Inc()
			m.seconds.Observe(took.Seconds())
			o.log.Debug("a device was asked for", zap.String("source", source), zap.String("vendorID", device),
				zap.Bool("gone", gone), zap.Duration("took", took))
		},
		PullFailed: func(source, what string, after time.Duration, err error) {
			m.pulls.WithLabelValues(source, "failed").Inc()
			o.log.Warn("the vendor could not be asked; what waits for it stays in the inbox", zap.String("source", source),
				zap.String("what", what), zap.Duration("retryIn", after), zap.Error(err))
		},
		NotApplied: func(source, device, reason string) {
			m.pulls.WithLabelValues(source, "not-applied").Inc()
			o.log.Error("a listed device cannot be applied", zap.String("source", source), zap.String("vendorID", device),
				zap.String("reason", reason))
		},
		SyncStarted: func(source string, s ingest.SyncState) {
			m.running.WithLabelValues(source).Set(1)
			o.log.Info("listing all devices", progress(source, s)...)
		},
		SyncProgress: func(source string, s ingest.SyncState) {
			o.log.Info("still listing", progress(source, s)...)
		},
		SyncEnded: func(source string, s ingest.SyncState) {
			m.running.WithLabelValues(source).Set(0)
			m.withdrawn.WithLabelValues(source).Add(float64(s.Withdrawn))
			fields := append(progress(source, s), zap.Int("withdrawn", s.Withdrawn), zap.Duration("took", s.Finished.Sub(s.Started)))
			if s.Fault != "" {
				m.syncs.WithLabelValues(source, "doubtful").Inc()
				o.log.Error("the listing does not count; devices that are gone stay as they are", append(fields, zap.String("fault", s.Fault))...)
				return
			}
			m.syncs.WithLabelValues(source, "complete").Inc()
			m.complete.WithLabelValues(source).Set(float64(s.Finished.Unix()))
			o.log.Info("all devices are listed", fields...)
		},
		SyncAsked: func(source, why string) {
			o.log.Warn("something was not delivered, so all devices are listed", zap.String("source", source), zap.String("why", why))
		},
		SyncFailed: func(source string, err error) {
			m.running.WithLabelValues(source).Set(0)
			o.log.Warn("the listing waits; it goes on where it was", zap.String("source", source), zap.Error(err))
		},
	}
}
