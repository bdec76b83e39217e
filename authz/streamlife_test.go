package authz

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// TestAStreamIsBoundedAndAClientCannotSayHow: by what ends first, never by 0, which would be no bound at all to Envoy; and a
// client's own header is always set over or removed.
func TestAStreamIsBoundedAndAClientCannotSayHow(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 12, 0, 0, 1, time.UTC)
	const unbounded = time.Duration(-1 << 62)
	for _, c := range []struct {
		recheck, until time.Duration
		want           string
	}{
		{0, unbounded, ""}, {time.Nanosecond, unbounded, "1"}, {5 * time.Minute, unbounded, "300000"},
		{1999 * time.Microsecond, unbounded, "1"}, {-1, unbounded, ""},
		{0, time.Hour, "3600000"}, {0, 0, "1"}, {0, -time.Second, "1"}, {0, 1, "1"}, {0, 2999999, "2"},
		{5 * time.Minute, time.Hour, "300000"}, {5 * time.Minute, 3 * time.Second, "3000"}, {5 * time.Minute, -time.Hour, "1"},
		{0, 290 * 365 * 24 * time.Hour, "9145440000000"},
	} {
		v := policy.Verdict{Outcome: policy.Allow, Reason: policy.ReasonAllowed, Recheck: c.recheck}
		if c.until != unbounded {
			v.Until = at.Add(c.until)
		}
		ok := respond(&Decision{At: at, Verdict: v}).GetOkResponse()
		got, removed := "", false
		for _, h := range ok.GetHeaders() {
			if h.GetHeader().GetKey() == headerStream {
				got = h.GetHeader().GetValue()
			}
		}
		for _, name := range ok.GetHeadersToRemove() {
			removed = removed || name == headerStream
		}
		if got != c.want || removed != (c.want == "") {
			t.Errorf("recheck %s, until %s: %q, removed %t, want %q", c.recheck, c.until, got, removed, c.want)
		}
	}
}
