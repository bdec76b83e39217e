package main

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
)

// BenchmarkDecidedAdmission is what observing an admission costs: metrics, and a log line that is not written.
func BenchmarkDecidedAdmission(b *testing.B) {
	o, err := newObserver(config.Log{Level: "info", Format: "json"})
	if err != nil {
		b.Fatal(err)
	}
	events := o.authz()
	d := &authz.Decision{ID: "1", Took: 20 * time.Microsecond,
		Verdict: policy.Verdict{Outcome: policy.Allow, Reason: policy.ReasonAllowed, Tier: "internal"}}
	b.ReportAllocs()
	for b.Loop() {
		events.Decided(d)
	}
}
