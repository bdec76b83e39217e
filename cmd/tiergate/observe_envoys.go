package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/xds"
)

// envoyCollector counts, whenever the metrics are read, what the connected Envoys hold.
type envoyCollector struct {
	status             func() []xds.NodeStatus
	connected, refused *prometheus.Desc
}

func (o *observer) envoys(status func() []xds.NodeStatus) {
	o.registry.MustRegister(&envoyCollector{
		status: status,
		connected: prometheus.NewDesc("tiergate_xds_envoys", "Envoys by what they make of the published configuration: "+
			"in-sync, out-of-sync, or refused, which are not programmed.", []string{"state"}, nil),
		refused: prometheus.NewDesc("tiergate_xds_refused_resources",
			"Resources that connected Envoys refuse to take over, by type; they go on with what they had of them.",
			[]string{"type"}, nil),
	})
}

// Describe is part of prometheus.Collector.
func (c *envoyCollector) Describe(to chan<- *prometheus.Desc) {
	to <- c.connected
	to <- c.refused
}

// Collect is part of prometheus.Collector.
func (c *envoyCollector) Collect(to chan<- prometheus.Metric) {
	states := map[string]int{envoyInSync: 0, envoyOutOfSync: 0, envoyRefused: 0}
	refused := map[string]int{}
	for _, node := range c.status() {
		states[envoyState(node)]++
		for _, t := range node.Types {
			refused[t.Type] += 0
			if t.Refused != nil {
				refused[t.Type] += len(t.Refused.Resources)
			}
		}
	}
	for state, n := range states {
		to <- prometheus.MustNewConstMetric(c.connected, prometheus.GaugeValue, float64(n), state)
	}
	for kind, n := range refused {
		to <- prometheus.MustNewConstMetric(c.refused, prometheus.GaugeValue, float64(n), kind)
	}
}

// What becomes of an Envoy.
const (
	envoyInSync    = "in-sync"
	envoyOutOfSync = "out-of-sync"
	envoyRefused   = "refused"
)

func envoyState(node xds.NodeStatus) string {
	switch {
	case node.Refused != "":
		return envoyRefused
	case node.InSync:
		return envoyInSync
	}
	return envoyOutOfSync
}

// notProgrammed tells of an Envoy that is not programmed, once for each node and reason.
func (o *observer) notProgrammed(node xds.NodeStatus) {
	o.xdsAnswers.WithLabelValues("node", "refused").Inc()
	o.log.Error("an Envoy is not programmed", zap.String("node", node.Node), zap.String("version", node.Envoy),
		zap.String("reason", node.Refused))
}
