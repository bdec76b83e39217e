package policy

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tiergate/tiergate/signals"
)

// Each list of a tier against each status of a signal: what refuses the device, what is noted, and what is unmet at all.
func TestStanding(t *testing.T) {
	spec := sampleSpec()
	p, faults := New(spec, World{})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	healthy := map[string]signals.Value{"platform": signals.Text("macos"), "disk_encryption": signals.Bool(true),
		"edr_healthy": signals.Bool(true), "compromised": signals.Bool(false), "firewall": signals.Bool(true)}
	for _, tt := range []struct {
		name, attribute string
		value           signals.Value
		refuses         bool
		unmet           string
	}{
		{"all well", "firewall", signals.Bool(true), false, "[]"},
		{"require fails", "disk_encryption", signals.Bool(false), true, "[disk-encrypted failing require noted=false]"},
		{"require unknown", "disk_encryption", signals.Unknown, true, "[disk-encrypted unknown require noted=false]"},
		{"denyUnless fails", "compromised", signals.Bool(true), true, "[not-compromised failing denyUnless noted=false]"},
		{"denyUnless unknown is noted", "compromised", signals.Unknown, false, "[not-compromised unknown denyUnless noted=true]"},
		{"advise", "firewall", signals.Bool(false), false, "[firewall-on failing advise noted=true]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := signals.Observation{}
			for name, value := range healthy {
				if name == tt.attribute {
					value = tt.value
				}
				at := noon.Add(-time.Hour)
				o.Facts = append(o.Facts, signals.Fact{Attribute: name, Value: value, Source: "mdm", Observed: at, Received: at})
			}
			posture, _ := signals.Posture{Device: "d1", Revision: 1}.Merge(o)
			older := posture
			older.Revision, older.Facts = 2, nil
			for _, a := range []*Assessment{nil, p.Assess(&posture), p.Assess(&older)} { // one of another version is not used
				s := p.Standing(a, &posture, noon)
				if len(s.Tiers) != 1 || s.Tiers[0].Tier != "internal" || len(s.Signals) != 4 {
					t.Fatalf("%+v", s)
				}
				var over Standing
				for _, posture := range []*signals.Posture{&older, &posture, &older, &posture} {
					at := noon.Add(time.Duration(posture.Revision) * time.Hour)
					p.Troubles(&over, a, posture, at)
					sameTroubles(t, over, p.Standing(a, posture, at))
				}
				unmet := []string{}
				for _, u := range s.Tiers[0].Unmet {
					unmet = append(unmet, fmt.Sprintf("%s %s %s noted=%v", u.Signal, u.Status, u.List, u.Noted))
				}
				if s.Tiers[0].Refuses != tt.refuses || fmt.Sprint(unmet) != tt.unmet {
					t.Errorf("refuses %v, unmet %v; want %v, %v", s.Tiers[0].Refuses, unmet, tt.refuses, tt.unmet)
				}
			}
			if s := p.Standing(nil, &posture, noon.Add(27*time.Hour)); !s.Tiers[0].Refuses {
				t.Error("aged out, and not refused")
			}
		})
	}
}

// sameTroubles compares what Troubles wrote over another device's with the whole standing.
func sameTroubles(t *testing.T, troubles, whole Standing) {
	t.Helper()
	for i := range whole.Signals {
		s := &whole.Signals[i]
		if s.Detail == "" || s.Owner == "" {
			t.Errorf("it is whole: %+v", s)
		}
		if s.Status == StatusPassing && !s.Disputed {
			s.Detail, s.Owner, s.Fix = "", "", Fix{}
		}
	}
	if diff := cmp.Diff(whole, troubles, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-standing +troubles\n%s", diff)
	}
}
