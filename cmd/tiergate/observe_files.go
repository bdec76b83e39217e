package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// files maps the callbacks of the certificates, keys and key sets that are followed.
func (o *observer) files() fileEvents {
	gauge := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"setting"})
		o.registry.MustRegister(g)
		return g
	}
	loaded := gauge("tiergate_file_loaded_timestamp_seconds", "When the content that counts of a setting's files was taken over.")
	refused := gauge("tiergate_file_refused",
		"1 while what stands in a setting's files is not believed, so that their last good content counts.")
	expires := gauge("tiergate_certificate_expires_timestamp_seconds",
		"When the first certificate of a chain, or the last CA certificate of a bundle, ends.")
	return fileEvents{
		Loaded: func(setting string, ends time.Time, first bool) {
			loaded.WithLabelValues(setting).SetToCurrentTime()
			refused.WithLabelValues(setting).Set(0)
			fields := []zap.Field{zap.String("setting", setting)}
			if !ends.IsZero() {
				expires.WithLabelValues(setting).Set(float64(ends.Unix()))
				fields = append(fields, zap.Time("ends", ends))
			}
			level := zap.InfoLevel
			if first {
				level = zap.DebugLevel
			}
			o.log.Log(level, "what stands in these files is in force", fields...)
		},
		Refused: func(setting string, err error) {
			if err == nil {
				refused.WithLabelValues(setting).Set(0)
				o.log.Info("a file that was refused is good again", zap.String("setting", setting))
				return
			}
			refused.WithLabelValues(setting).Set(1)
			o.log.Error("a changed file is not believed; its last good content stays, and it is tried again",
				zap.String("setting", setting), zap.Error(err))
		},
		Unwatched: func(err error) {
			o.log.Warn("a directory of certificates is polled only; changes come into force a second later", zap.Error(err))
		},
		Ends: func(setting string, ends time.Time, ended bool) {
			if ended {
				o.log.Error("certificates have ended; whoever they vouch for is refused: renew them",
					zap.String("setting", setting), zap.Time("ended", ends))
				return
			}
			o.log.Warn("certificates end soon: renew them", zap.String("setting", setting), zap.Time("ends", ends))
		},
	}
}
