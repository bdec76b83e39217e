package authz

import (
	"strconv"
	"time"
)

// appendStreamLife writes how long Envoy may let a stream live on an answer, in milliseconds: as long as its tier says, and
// no longer than its grounds last. Nothing is written where neither ends. It is never 0, which to Envoy is no bound at all.
//
// Envoy counts from when the stream has its connection to the upstream, so what the decision itself took comes on top.
func appendStreamLife(b []byte, d *Decision) []byte {
	v := &d.Verdict
	most := v.Recheck
	if !v.Until.IsZero() {
		left := max(v.Until.Sub(d.At), time.Millisecond)
		if most <= 0 || left < most {
			most = left
		}
	}
	if most <= 0 {
		return b
	}
	return strconv.AppendInt(b, max(most.Milliseconds(), 1), 10)
}
