package signals_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/signals"
)

var epoch = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

// anyFact draws from so few instants, sources and values that equal instants with different values are common. illTyped
// allows values that the attribute does not accept, as an older or newer version may have stored them.
func anyFact(illTyped bool) *rapid.Generator[signals.Fact] {
	return rapid.Custom(func(t *rapid.T) signals.Fact {
		values := map[string][]signals.Value{
			"disk_encryption": {signals.Bool(true), signals.Bool(false)},
			"compromised":     {signals.Bool(true), signals.Bool(false)},
			"edr_risk_score":  {signals.Number(1), signals.Number(2), signals.Number(10)},
			"threat_level":    {signals.Text("none"), signals.Text("low"), signals.Text("high")},
			"platform":        {signals.Text("macos"), signals.Text("windows"), signals.Text("linux")},
			"os_version":      {signals.Text("15.6"), signals.Text("15.7"), signals.Text("9.1")},
		}
		if illTyped {
			values["not_in_our_words"] = []signals.Value{signals.Bool(true), signals.Text("true"), signals.Number(1)}
			for name := range values {
				values[name] = append(values[name], signals.Text("x"), signals.Text("0"), signals.Number(3), signals.Bool(true))
			}
		}
		names := make([]string, 0, len(values))
		for name := range values {
			names = append(names, name)
		}
		slices.Sort(names)
		name := rapid.SampledFrom(names).Draw(t, "attribute")
		return signals.Fact{
			Attribute: name,
			Value:     rapid.SampledFrom(append(values[name], signals.Unknown)).Draw(t, "value"),
			Source:    rapid.SampledFrom([]string{"edr", "mdm"}).Draw(t, "source"),
			Path:      rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "path"),
			Observed:  epoch.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "observed")) * time.Second),
			Received:  epoch.Add(time.Duration(rapid.IntRange(-2, 6).Draw(t, "received")) * time.Second),
		}
	})
}

func anyObservation(illTyped bool) *rapid.Generator[signals.Observation] {
	return rapid.Custom(func(t *rapid.T) signals.Observation {
		serials := rapid.SliceOfN(rapid.SampledFrom([]string{"C02", "C03", "C04"}), 0, 3).Draw(t, "serials")
		o := signals.Observation{Facts: rapid.SliceOfN(anyFact(illTyped), 0, 4).Draw(t, "facts")}
		for _, serial := range serials {
			o.Aliases = append(o.Aliases, signals.Alias{Kind: signals.AliasSerial, Value: serial})
		}
		if rapid.IntRange(0, 3).Draw(t, "clears") == 0 {
			o.Clearances = rapid.SliceOfN(anyClearance(), 1, 2).Draw(t, "clearances")
		}
		return o
	})
}

func mergeAll(observations []signals.Observation) signals.Posture {
	var p signals.Posture
	for _, o := range observations {
		p, _ = p.Merge(o)
	}
	return p
}

// mergeAnyOrder is the law: order and repetition do not matter, and what is known is never changed by being told again.
func mergeAnyOrder(illTyped bool) func(*rapid.T) {
	return func(t *rapid.T) {
		observations := rapid.SliceOfN(anyObservation(illTyped), 1, 6).Draw(t, "observations")
		again := rapid.SliceOfN(rapid.SampledFrom(observations), 0, 4).Draw(t, "again")
		shuffled := slices.Concat(observations, again)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 0))
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for i := range shuffled { // the order inside an observation does not matter either
			shuffled[i].Facts = slices.Clone(shuffled[i].Facts)
			slices.Reverse(shuffled[i].Facts)
			shuffled[i].Clearances = slices.Clone(shuffled[i].Clearances)
			slices.Reverse(shuffled[i].Clearances)
		}
		want, got := mergeAll(observations), mergeAll(shuffled)
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b signals.Value) bool { return a == b })); diff != "" {
			t.Fatalf("another order gives another posture (-first +other):\n%s", diff)
		}
		for _, o := range observations {
			if again, changed := got.Merge(o); changed {
				t.Fatalf("merging %+v again changed the posture to %+v", o, again)
			}
		}
		if stored := throughJSON(t, got); !cmp.Equal(stored, got, cmp.Comparer(func(a, b signals.Value) bool { return a == b })) {
			t.Fatalf("stored and read again:\n%+v\nwas:\n%+v", stored, got)
		}
	}
}

func throughJSON(t *rapid.T, p signals.Posture) (read signals.Posture) {
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return read
}

func TestMergeAnyOrder(t *testing.T) { rapid.Check(t, mergeAnyOrder(false)) }

func TestMergeAnyOrderWithValuesThatDoNotFit(t *testing.T) { rapid.Check(t, mergeAnyOrder(true)) }

func FuzzMergeAnyOrder(f *testing.F) { f.Fuzz(rapid.MakeFuzz(mergeAnyOrder(false))) }

func fact(attribute string, value signals.Value, second int) signals.Fact {
	at := epoch.Add(time.Duration(second) * time.Second)
	return signals.Fact{Attribute: attribute, Value: value, Source: "mdm", Observed: at, Received: at.Add(time.Second)}
}

func TestMerge(t *testing.T) {
	yes, no, unknown := signals.Bool(true), signals.Bool(false), signals.Unknown
	disk := func(v signals.Value, second int) signals.Fact { return fact("disk_encryption", v, second) }
	other := disk(no, 1)
	other.Source = "edr"
	tests := []struct {
		name        string
		facts, want []signals.Fact
	}{
		{"the newer wins", []signals.Fact{disk(no, 1), disk(yes, 2)}, []signals.Fact{disk(yes, 2)}},
		{"the older is dropped", []signals.Fact{disk(yes, 2), disk(no, 1)}, []signals.Fact{disk(yes, 2)}},
		{"at one instant the worse wins", []signals.Fact{disk(yes, 2), disk(no, 2)}, []signals.Fact{disk(no, 2)}},
		{"a newer unknown keeps both", []signals.Fact{disk(no, 1), disk(unknown, 2)},
			[]signals.Fact{disk(no, 1), disk(unknown, 2)}},
		{"an older unknown is dropped", []signals.Fact{disk(yes, 2), disk(unknown, 1)}, []signals.Fact{disk(yes, 2)}},
		{"a newer known drops the unknown", []signals.Fact{disk(unknown, 1), disk(yes, 2)}, []signals.Fact{disk(yes, 2)}},
		{"unknown at the same instant stays", []signals.Fact{disk(yes, 2), disk(unknown, 2)},
			[]signals.Fact{disk(yes, 2), disk(unknown, 2)}},
		{"the newest unknown stays", []signals.Fact{disk(unknown, 3), disk(unknown, 2)}, []signals.Fact{disk(unknown, 3)}},
		{"sources do not overwrite each other", []signals.Fact{disk(yes, 2), other}, []signals.Fact{other, disk(yes, 2)}},
		{"a higher risk is worse", []signals.Fact{fact("edr_risk_score", signals.Number(2), 1),
			fact("edr_risk_score", signals.Number(10), 1)}, []signals.Fact{fact("edr_risk_score", signals.Number(10), 1)}},
		{"the scale says what is worse", []signals.Fact{fact("threat_level", signals.Text("high"), 1),
			fact("threat_level", signals.Text("low"), 1)}, []signals.Fact{fact("threat_level", signals.Text("high"), 1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := signals.Posture{Device: "d", Revision: 7}
			got, changed := before.Merge(signals.Observation{Facts: tt.facts})
			if !changed || !slices.Equal(got.Facts, tt.want) {
				t.Errorf("changed %v, facts\n%+v, want\n%+v", changed, got.Facts, tt.want)
			}
			if got.Device != "d" || got.Revision != 7 || len(before.Facts) != 0 {
				t.Errorf("Merge touched the device, the revision or its receiver: %+v, %+v", got, before)
			}
		})
	}
}

// Two OS versions for one instant: neither is worse, so nothing is known, and the reader is told.
func TestMergeContradictionIsUnknown(t *testing.T) {
	p, _ := signals.Posture{}.Merge(signals.Observation{Facts: []signals.Fact{
		fact("os_version", signals.Text("15.7"), 1), fact("os_version", signals.Text("15.6"), 1),
	}})
	if _, ok, unknownSince := p.Latest("os_version", "mdm"); !ok || !unknownSince {
		t.Errorf("known %v, unknownSince %v: a contradiction must not be taken for known", ok, unknownSince)
	}
	p, _ = p.Merge(signals.Observation{Facts: []signals.Fact{fact("os_version", signals.Text("15.8"), 2)}})
	known, ok, unknownSince := p.Latest("os_version", "mdm")
	if !ok || unknownSince || known.Value != signals.Text("15.8") {
		t.Errorf("a newer value must end the contradiction, not %+v %v %v", known, ok, unknownSince)
	}
	if _, ok, unknownSince := p.Latest("os_version", "edr"); ok || unknownSince {
		t.Error("another source said nothing")
	}
}

// The doubt that a contradiction leaves must not carry the receipt of whichever fact came first (seen by MergeAnyOrder, one
// run in a thousand).
func TestMergeContradictionForgetsWhoCameFirst(t *testing.T) {
	told := func(version string, received int) signals.Observation {
		f := fact("os_version", signals.Text(version), 1)
		f.Received = epoch.Add(time.Duration(received) * time.Second)
		return signals.Observation{Facts: []signals.Fact{f}}
	}
	one := mergeAll([]signals.Observation{told("15.6", 10), told("15.7", 5), told("15.6", 2)})
	other := mergeAll([]signals.Observation{told("15.6", 2), told("15.7", 5), told("15.6", 10)})
	if !slices.Equal(one.Facts, other.Facts) {
		t.Errorf("two orders, two postures:\n%+v\n%+v", one.Facts, other.Facts)
	}
}

// A monotonic reading or a zone must not make two equal instants differ.
func TestMergeComparesInstants(t *testing.T) {
	now := time.Now()
	here := signals.Fact{Attribute: "firewall", Value: signals.Bool(true), Source: "mdm", Observed: now, Received: now}
	there := here
	there.Observed, there.Received = now.Round(0).In(time.FixedZone("x", 3600)), now.Round(0).UTC()
	p, _ := signals.Posture{}.Merge(signals.Observation{Facts: []signals.Fact{here}})
	if _, changed := p.Merge(signals.Observation{Facts: []signals.Fact{there}}); changed {
		t.Error("the same instant in another zone changed the posture")
	}
}

func TestAgesFrom(t *testing.T) {
	for _, tt := range []struct{ observed, received, want int }{{1, 2, 1}, {2, 1, 1}, {3, 3, 3}} {
		f := signals.Fact{Observed: epoch.Add(time.Duration(tt.observed)), Received: epoch.Add(time.Duration(tt.received))}
		if got := f.AgesFrom(); !got.Equal(epoch.Add(time.Duration(tt.want))) {
			t.Errorf("observed %d, received %d: ages from %v", tt.observed, tt.received, got)
		}
	}
}

func TestNextRevision(t *testing.T) {
	clock := signals.Revision(epoch.UnixMicro())
	for _, tt := range []struct {
		name           string
		previous, want signals.Revision
	}{
		{"the first is the clock", 0, clock},
		{"the clock leads", clock - 5, clock},
		{"two in one microsecond", clock, clock + 1},
		{"a clock that went back", clock + 1_000_000, clock + 1_000_001},
	} {
		if got := signals.NextRevision(tt.previous, epoch); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		previous := signals.Revision(rapid.Int64Range(0, 1<<60).Draw(t, "previous"))
		at := time.UnixMicro(rapid.Int64Range(0, 1<<60).Draw(t, "at"))
		if got := signals.NextRevision(previous, at); got <= previous || got < signals.Revision(at.UnixMicro()) {
			t.Fatalf("NextRevision(%d, %d) = %d goes back", previous, at.UnixMicro(), got)
		}
	})
}
