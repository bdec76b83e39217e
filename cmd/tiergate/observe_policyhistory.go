package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
)

// policyHistory maps the callbacks of the kept policies.
func (o *observer) policyHistory() historyEvents {
	pinned := prometheus.NewGauge(prometheus.GaugeOpts{Name: "tiergate_policy_pinned",
		Help: "1 while a policy that was rolled back to is in force, whatever the policy directory says."})
	failed := prometheus.NewCounter(prometheus.CounterOpts{Name: "tiergate_policy_history_failures_total",
		Help: "Times that a policy in force, or that it is pinned, could not be kept."})
	damaged := prometheus.NewCounter(prometheus.CounterOpts{Name: "tiergate_policy_history_damaged_total",
		Help: "Kept policies that were found to be other than they were written, and are not used."})
	o.registry.MustRegister(pinned, failed, damaged)
	return historyEvents{
		Failed: func(err error) {
			failed.Inc()
			o.log.Error("the policy history failed; what is in force stays in force", zap.Error(err))
		},
		Damaged: func(dir string, why error) {
			damaged.Inc()
			o.log.Error("a kept policy is damaged and is not used", zap.String("dir", dir), zap.Error(why))
		},
		Pinned: func(pin *admin.PolicyPin) {
			if pin == nil {
				pinned.Set(0)
				o.log.Warn("no policy is pinned any more; the policy directory counts")
				return
			}
			pinned.Set(1)
			o.log.Warn("a policy is pinned; it stays until the policy directory changes or it is released",
				zap.String("digest", pin.Digest), zap.Time("at", pin.At), zap.String("by", pin.By), zap.String("reason", pin.Reason),
				zap.String("ticket", pin.Ticket))
		},
	}
}
