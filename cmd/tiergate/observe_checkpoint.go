package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/checkpoint"
	"github.com/tiergate/tiergate/signals/replica"
)

// checkpointMetrics are those of the sealed list of devices and revisions, at who writes it and at who reads it.
type checkpointMetrics struct {
	at      prometheus.Gauge
	devices prometheus.Gauge
	missing prometheus.Gauge
	written prometheus.Counter
	failed  prometheus.Counter
}

func newCheckpointMetrics(r *prometheus.Registry) *checkpointMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		r.MustRegister(g)
		return g
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	return &checkpointMetrics{
		at: gauge("tiergate_checkpoint_timestamp_seconds", "When the checkpoint was sealed that this process wrote or read last; "+
			"a sidecar reads it every five minutes."),
		devices: gauge("tiergate_checkpoint_devices", "Devices in that checkpoint."),
		missing: gauge("tiergate_checkpoint_missing_devices", "Devices of the checkpoint that the store no longer has."),
		written: counter("tiergate_checkpoint_written_bytes_total", "Bytes of the parts of the checkpoint that were written."),
		failed:  counter("tiergate_checkpoint_failures_total", "Times that the checkpoint was not written, to be tried again."),
	}
}

// keeper maps the callbacks of who writes the checkpoint.
func (o *observer) keeper() checkpoint.Events {
	m := o.checkpoint
	return checkpoint.Events{
		Sealed: func(devices, written int, took time.Duration) {
			m.at.SetToCurrentTime()
			m.devices.Set(float64(devices))
			m.written.Add(float64(written))
			o.log.Debug("checkpoint sealed", zap.Int("devices", devices), zap.Int("bytes", written), zap.Duration("took", took))
		},
		Failed: func(err error) {
			m.failed.Inc()
			o.log.Warn("the checkpoint of devices waits", zap.Error(err))
		},
		Distrusted: func(err error) {
			o.distrusted.WithLabelValues("checkpoint", "rolled-back").Inc()
			o.log.Error("the stored checkpoint is not what receivers wrote; it is written anew", zap.Error(err))
		},
		Withheld: func(err error) {
			m.failed.Inc()
			o.distrusted.WithLabelValues("checkpoint", "missing").Inc()
			o.log.Error("no checkpoint is written", zap.Error(err))
		},
		RolledBack: o.rolledBack,
		Repaired: func(device signals.DeviceID) {
			o.log.Warn("the store had lost a posture that this receiver wrote; it was written again", zap.String("device", string(device)))
		},
		Lost: o.lost,
	}
}

func (o *observer) rolledBack(device signals.DeviceID, least, stored signals.Revision) {
	o.distrusted.WithLabelValues("posture", "rolled-back").Inc()
	o.log.Error("the store shows an older posture than there was, or none", zap.String("device", string(device)),
		zap.Int64("there was", int64(least)), zap.Int64("stored", int64(stored)))
}

func (o *observer) lost(devices int, some []checkpoint.Mark) {
	o.checkpoint.missing.Set(float64(devices))
	if devices == 0 {
		return
	}
	o.distrusted.WithLabelValues("posture", "missing").Inc()
	o.log.Error("devices of the checkpoint are not in the store", zap.Int("devices", devices), zap.Stringers("marks", some))
}

// replicaChecked adds what the replica tells of the checkpoint.
func (o *observer) replicaChecked() replica.Events {
	events := o.replica()
	events.RolledBack, events.Missing = o.rolledBack, o.lost
	events.Checkpoint = func(c *checkpoint.Checkpoint, late bool) {
		o.checkpoint.at.Set(float64(c.At.UnixMilli()) / 1e3)
		o.checkpoint.devices.Set(float64(c.Devices()))
		if late {
			o.distrusted.WithLabelValues("checkpoint", "late").Inc()
			o.log.Error("the checkpoint is late: no receiver runs, or somebody put an old one back; what was rolled back to that time "+
				"is not noticed", zap.Time("sealed", c.At), zap.String("by", c.By))
		}
	}
	events.Unchecked = func() {
		o.distrusted.WithLabelValues("checkpoint", "none").Inc()
		o.log.Warn("the store has no checkpoint yet, because no receiver of this version has written to it; what was rolled back " +
			"before this start is not noticed")
	}
	events.CheckpointFailed = func(err error) {
		o.distrusted.WithLabelValues("checkpoint", "unsigned").Inc()
		o.log.Error("the checkpoint is not believed; nothing is served of what the store shows now", zap.Error(err))
	}
	return events
}
