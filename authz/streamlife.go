package authz

import (
	"strconv"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
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

// untilForm is RFC 3339 with the milliseconds in which Envoy counts.
const untilForm = "2006-01-02T15:04:05.000Z"

// appendUntil writes when a stream on this decision ends at the latest; nothing: the decision is no Allow, or nothing bounds it.
func appendUntil(b []byte, d *Decision) []byte {
	v := &d.Verdict
	if v.Outcome != policy.Allow {
		return b
	}
	until := v.Until
	if v.Recheck > 0 && (until.IsZero() || d.At.Add(v.Recheck).Before(until)) {
		until = d.At.Add(v.Recheck)
	}
	if until.IsZero() {
		return b
	}
	return until.UTC().AppendFormat(b, untilForm)
}
