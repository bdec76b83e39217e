package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/signals"
)

// linkMetrics are those of the documents about names (ingest.links).
type linkMetrics struct {
	ok        prometheus.Gauge
	documents prometheus.Gauge
	reloads   *prometheus.CounterVec
	joined    prometheus.Counter
}

func newLinkMetrics(r *prometheus.Registry) *linkMetrics {
	m := &linkMetrics{
		ok: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tiergate_ingest_links_last_reload_success",
			Help: "1 if the newest DeviceLink documents are in force, 0 if the last good ones are, or none are set."}),
		documents: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tiergate_ingest_links",
			Help: "DeviceLink documents in force."}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_ingest_links_reloads_total",
			Help: "Changes of the DeviceLink documents by result: loaded, broken."}, []string{"result"}),
		joined: prometheus.NewCounter(prometheus.CounterOpts{Name: "tiergate_ingest_joined_devices_total",
			Help: "Devices that a DeviceLink document made part of another."}),
	}
	r.MustRegister(m.ok, m.documents, m.reloads, m.joined)
	return m
}

// deviceLinks maps the callbacks of who reads the documents.
func (o *observer) deviceLinks() linkEvents {
	m := o.links
	return linkEvents{
		loaded: func(documents int, digest string) {
			m.ok.Set(1)
			m.documents.Set(float64(documents))
			m.reloads.WithLabelValues("loaded").Inc()
			o.log.Info("device links in force", zap.Int("documents", documents), zap.String("digest", "sha256:"+digest))
		},
		broken: func(err error) {
			m.ok.Set(0)
			m.reloads.WithLabelValues("broken").Inc()
			o.log.Error("the device links cannot be used; the last good ones stay in force", zap.Error(err))
		},
	}
}

func (o *observer) joined(device, into signals.DeviceID, document string) {
	o.links.joined.Inc()
	o.log.Info("a document made two devices one", zap.String("device", string(device)), zap.String("into", string(into)),
		zap.String("document", document))
}
