package signals_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/signals"
)

// anyClearance draws from the instants, attributes and sources of anyFact.
func anyClearance() *rapid.Generator[signals.Clearance] {
	return rapid.Custom(func(t *rapid.T) signals.Clearance {
		return signals.Clearance{
			Attribute: rapid.SampledFrom([]string{"compromised", "platform", "os_version", "threat_level"}).Draw(t, "attribute"),
			Source:    rapid.SampledFrom([]string{"edr", "mdm"}).Draw(t, "source"),
			Until:     epoch.Add(time.Duration(rapid.IntRange(-1, 3).Draw(t, "until")) * time.Second),
			Name:      rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "name"),
		}
	})
}

// TestMergeClears is the meaning of a clearance, told without Merge's own arithmetic: what is left is what would be known
// had nobody ever told what the clearances end.
func TestMergeClears(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		observations := rapid.SliceOfN(anyObservation(false), 1, 6).Draw(t, "observations")
		got := mergeAll(observations)
		ended := func(f signals.Fact) bool {
			for _, o := range observations {
				for _, c := range o.Clearances {
					if c.Attribute == f.Attribute && c.Source == f.Source && !f.Observed.After(c.Until) {
						return true
					}
				}
			}
			return false
		}
		var untold []signals.Observation
		for _, o := range observations {
			untold = append(untold, signals.Observation{Aliases: o.Aliases, Facts: slices.DeleteFunc(slices.Clone(o.Facts), ended)})
		}
		if want := mergeAll(untold); !slices.Equal(got.Facts, want.Facts) {
			t.Fatalf("left are\n%+v, want\n%+v, by %+v", got.Facts, want.Facts, got.Clearances)
		}
		for _, c := range got.Clearances {
			if same, ok := got.Cleared(c.Attribute, c.Source); !ok || same != c {
				t.Fatalf("%+v is found as %+v, %t", c, same, ok)
			}
		}
	})
}

// TestClearedAlarm tells it by an example: what comes back, what does not.
func TestClearedAlarm(t *testing.T) {
	t.Parallel()
	alarm := fact("compromised", signals.Bool(true), 10)
	p, _ := signals.Posture{Device: "d"}.Merge(signals.Observation{Facts: []signals.Fact{alarm}})
	cleared := signals.Clearance{Attribute: "compromised", Source: "mdm", Until: alarm.Observed, Name: "clearance-a"}
	p, changed := p.Merge(signals.Observation{Clearances: []signals.Clearance{cleared}})
	if !changed || len(p.Facts) != 0 {
		t.Fatalf("changed %t, %+v", changed, p.Facts)
	}
	if again, changed := p.Merge(signals.Observation{Clearances: []signals.Clearance{cleared}}); changed {
		t.Errorf("clearing twice makes %+v", again)
	}
	if again, changed := p.Merge(signals.Observation{Facts: []signals.Fact{alarm, fact("compromised", signals.Bool(true), 9),
		fact("compromised", signals.Unknown, 10)}}); changed {
		t.Errorf("what is ended came back: %+v", again.Facts)
	}
	for name, f := range map[string]signals.Fact{
		"a newer alarm": fact("compromised", signals.Bool(true), 11), "a newer good word": fact("compromised", signals.Bool(false), 11),
		"another attribute": fact("edr_healthy", signals.Bool(false), 1),
	} {
		if after, changed := p.Merge(signals.Observation{Facts: []signals.Fact{f}}); !changed || !slices.Equal(after.Facts, []signals.Fact{f}) {
			t.Errorf("%s: %t, %+v", name, changed, after.Facts)
		}
	}
	other := alarm
	other.Source = "edr"
	if after, _ := p.Merge(signals.Observation{Facts: []signals.Fact{other}}); len(after.Facts) != 1 {
		t.Error("another source's alarm is ended too")
	}
	if _, ok := p.Cleared("compromised", "edr"); ok {
		t.Error("what no clearance names is said to be cleared")
	}
	if len(p.Clearances) != 1 || p.Clearances[0] != cleared {
		t.Errorf("%+v", p.Clearances)
	}
}
