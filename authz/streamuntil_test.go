package authz

import (
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/tiergate/tiergate/authz/policy"
)

// TestEnvoyIsToldWhenAStreamEnds: the dynamic metadata name the same instant by which the stream is bounded, of both writers,
// and none where nothing is admitted or nothing ends.
func TestEnvoyIsToldWhenAStreamEnds(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 12, 0, 0, 1_500_000, time.FixedZone("", 3600))
	for name, c := range map[string]struct {
		outcome policy.Outcome
		recheck time.Duration
		until   time.Time
		want    string
	}{
		"nothing ends":             {policy.Allow, 0, time.Time{}, ""},
		"the tier asks again":      {policy.Allow, 5 * time.Minute, time.Time{}, "2026-11-22T11:05:00.001Z"},
		"a ground ends":            {policy.Allow, 0, at.Add(time.Second), "2026-11-22T11:00:01.001Z"},
		"a ground ends before":     {policy.Allow, time.Hour, at.Add(time.Second), "2026-11-22T11:00:01.001Z"},
		"the tier asks before":     {policy.Allow, time.Second, at.Add(time.Hour), "2026-11-22T11:00:01.001Z"},
		"refused, with an instant": {policy.Deny, time.Hour, at.Add(time.Hour), ""},
		"step-up":                  {policy.StepUp, time.Hour, at.Add(time.Hour), ""},
		"a year of five digits":    {policy.Allow, 0, time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), "10000-01-01T00:00:00.000Z"},
	} {
		d := &Decision{ID: "d", At: at, Verdict: policy.Verdict{Outcome: c.outcome, Recheck: c.recheck, Until: c.until}}
		for _, wire := range [][]byte{respondWire(nil, d), respondFast(nil, d)} {
			var response authv3.CheckResponse
			if err := proto.Unmarshal(wire, &response); err != nil {
				t.Fatal(err)
			}
			if got := response.GetDynamicMetadata().GetFields()["until"].GetStringValue(); got != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
		}
	}
}
