package main

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz/svid"
)

// svidCounts are the metrics of what follows the Workload API.
type svidCounts struct {
	reachable *prometheus.GaugeVec
	answers   *prometheus.CounterVec
	expires   prometheus.Gauge
	missing   prometheus.Gauge
	bundles   *prometheus.CounterVec
}

func newSVIDCounts(o *observer) *svidCounts {
	c := &svidCounts{
		reachable: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tiergate_workload_api_reachable",
			Help: "1 while the stream from the Workload API's agent stands, by stream: x509 or jwt."}, []string{"stream"}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_workload_api_answers_total",
			Help: "What came of the agent's stream: taken, refused (it cannot be used) or failed (there was none)."},
			[]string{"stream", "result"}),
		expires: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tiergate_svid_expires_timestamp_seconds",
			Help: "When this process's own X.509-SVID runs out."}),
		missing: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tiergate_trust_domains_without_bundle",
			Help: "Trust domains that follow the Workload API and have no CA certificate: their workloads are refused."}),
		bundles: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_trust_changes_total",
			Help: "Changes of the trust domains' CA certificates: taken, or refused, so that the last good ones stay."},
			[]string{"result"}),
	}
	o.registry.MustRegister(c.reachable, c.answers, c.expires, c.missing, c.bundles)
	return c
}

// svid maps the callbacks of the Workload API's client.
func (o *observer) svid(c *svidCounts) svid.Events {
	away := map[svid.Stream]string{} // what was said last of a stream that is down: an agent that is away is said once
	back := func(stream svid.Stream) {
		c.reachable.WithLabelValues(string(stream)).Set(1)
		c.answers.WithLabelValues(string(stream), "taken").Inc()
		if _, was := away[stream]; was {
			delete(away, stream)
			o.log.Info("the Workload API answers again", zap.String("stream", string(stream)))
		}
	}
	return svid.Events{
		Updated: func(id string, expires time.Time, domains []string) {
			back(svid.StreamX509)
			c.expires.Set(float64(expires.Unix()))
			o.log.Info("the Workload API sent certificates", zap.String("svid", id), zap.Time("expires", expires),
				zap.Strings("trustDomains", domains))
		},
		KeysUpdated: func(domains []string) {
			back(svid.StreamJWT)
			o.log.Info("the Workload API sent JWT keys", zap.Strings("trustDomains", domains))
		},
		Refused: func(stream svid.Stream, domain string, err error) {
			c.answers.WithLabelValues(string(stream), "refused").Inc()
			o.log.Error("the Workload API sent what cannot be used; that part stays as it was",
				zap.String("stream", string(stream)), zap.String("trustDomain", domain), zap.Error(err))
		},
		Failed: func(stream svid.Stream, err error, retryIn time.Duration) {
			c.reachable.WithLabelValues(string(stream)).Set(0)
			c.answers.WithLabelValues(string(stream), "failed").Inc()
			if away[stream] == err.Error() {
				return
			}
			away[stream] = err.Error()
			o.log.Error("the Workload API does not answer; what came from it stays in force and runs out by itself",
				zap.String("stream", string(stream)), zap.Error(err), zap.Duration("retryIn", retryIn))
		},
	}
}

// refreshFailed tells that Envoy could not be given what changed beside the policy.
func (o *observer) refreshFailed(err error) {
	o.log.Error("Envoy's configuration could not be built anew after a change of certificates; "+
		"Envoy goes on with what it has, and it is tried again", zap.Error(err))
}

// trust maps the callbacks of the CA certificates that count.
func (o *observer) trust(c *svidCounts) trustEvents {
	return trustEvents{
		InForce: func(missing []string) {
			c.bundles.WithLabelValues("taken").Inc()
			c.missing.Set(float64(len(missing)))
			if len(missing) > 0 {
				o.log.Error("there are no CA certificates of these trust domains; their workloads are refused",
					zap.String("trustDomains", strings.Join(missing, ", ")))
				return
			}
			o.log.Info("the CA certificates of the trust domains are in force")
		},
		Refused: func(domain string, err error) {
			c.bundles.WithLabelValues("refused").Inc()
			o.log.Error("a trust domain's new CA certificates are refused; its last good ones stay where they can",
				zap.String("trustDomain", domain), zap.Error(err))
		},
	}
}
