package approvals

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// recorded is a value as a store has it.
func recorded(t testing.TB, kind, key string, value any) signals.Record {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return signals.Record{Kind: kind, Key: key, Revision: 1, Value: raw}
}

// approved is an exception that the sample's policy could hold, with both steps of its history.
func approved(name string, change func(*policy.Exception)) Exception {
	e := loaner(name)
	e.Meta.Owner, e.Approver, e.From = "iam", "cho@acme.example", noon.Add(-day)
	if change != nil {
		change(&e)
	}
	return Exception{Exception: e, History: []Event{{At: e.From.Add(-time.Hour), By: ana.Person, Step: StepRequested},
		{At: e.From, By: cho.Person, Step: StepApproved}}}
}

var (
	serial  = signals.Alias{Kind: signals.AliasSerial, Value: "C02LOANER01"}
	another = signals.Alias{Kind: signals.AliasSerial, Value: "C02OTHER001"}
)

// TestBookHolds goes from the records to a decision.
func TestBookHolds(t *testing.T) {
	t.Parallel()
	p := compiled(t, specOf())
	unapproved := approved("asked", nil)
	unapproved.History = unapproved.History[:1]
	revoked := approved("revoked", nil)
	revoked.History = append(revoked.History, Event{At: noon.Add(-time.Hour), By: ana.Person, Step: StepRevoked})
	for _, c := range []struct {
		what    string
		records []signals.Record
		allowed bool
		refused string
	}{
		{what: "nothing"},
		{"approved", []signals.Record{recorded(t, KindException, "loaner", approved("loaner", nil))}, true, ""},
		{"asked for", []signals.Record{recorded(t, KindException, "asked", unapproved)}, false, ""},
		{"revoked", []signals.Record{recorded(t, KindException, "revoked", revoked)}, false, ""},
		{"under the key of another", []signals.Record{recorded(t, KindException, "other", approved("loaner", nil))}, false, "exception other"},
		{"under another kind", []signals.Record{recorded(t, KindGrace, "loaner", approved("loaner", nil))}, false, "grace loaner"},
		{"of a kind that grants nothing", []signals.Record{recorded(t, KindClearance, "loaner", approved("loaner", nil))}, false, ""},
		{"no JSON", []signals.Record{{Kind: KindException, Key: "loaner", Revision: 1, Value: []byte("{")}}, false, "exception loaner"},
		{"empty", []signals.Record{{Kind: KindException, Key: "loaner", Revision: 1}}, false, "exception loaner"},
		{"beyond the tier's bound", []signals.Record{recorded(t, KindException, "long", approved("long", func(e *policy.Exception) {
			e.Until = noon.Add(20 * day)
		}))}, false, ""},
	} {
		refused := ""
		b := NewBook(c.records, func(kind, key string, err error) {
			if err == nil {
				t.Error("there is no reason")
			}
			refused = kind + " " + key
		})
		in := fails("internal", noon)
		in.Granted = b.Granted(in.Subject.Device, in.Device.Posture.Aliases, in.At)
		v := p.Evaluate(in)
		if (v.Outcome == policy.Allow) != c.allowed || refused != c.refused {
			t.Errorf("%s: %v %s, refused %q", c.what, v.Outcome, v.Reason, refused)
		}
		if n := b.InForce(p, noon); (n == 1) != c.allowed {
			t.Errorf("%s: %d in force", c.what, n)
		}
	}
	var none *Book
	if none.Granted(serial, nil, noon) != nil || none.InForce(p, noon) != 0 {
		t.Error("no book grants something")
	}
	if renewals, ended := none.Grace("d1"); renewals != nil || !ended.IsZero() {
		t.Error("no book has a grace")
	}
}

// TestBookFindsDevices: by any of its names, in any spelling, and until a day after the end.
func TestBookFindsDevices(t *testing.T) {
	t.Parallel()
	one := approved("one", func(e *policy.Exception) { e.Devices = []string{"serial:c02loaner01"} })
	two := approved("two", func(e *policy.Exception) { e.Devices = []string{"C02OTHER001"} })
	b := NewBook([]signals.Record{recorded(t, KindException, "two", two), recorded(t, KindException, "one", one)}, nil)
	mac := signals.Alias{Kind: signals.AliasUUID, Value: "0A1B2C3D-0000-4000-8000-000000000001"}
	for _, c := range []struct {
		shown signals.Alias
		known []signals.Alias
		at    time.Time
		want  string
	}{
		{serial, nil, noon, "one"},
		{mac, []signals.Alias{mac, serial}, noon, "one"},
		{serial, []signals.Alias{serial, another, another}, noon, "one two"},
		{another, []signals.Alias{serial}, noon, "two one"},
		{mac, []signals.Alias{mac}, noon, ""},
		{serial, nil, noon.Add(10*day + 24*time.Hour - 1), "one"},
		{serial, nil, noon.Add(10*day + 24*time.Hour), ""},
	} {
		var got []string
		for _, e := range b.Granted(c.shown, c.known, c.at) {
			got = append(got, e.Meta.Name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v %v at %s: %q, want %q", c.shown, c.known, c.at, got, c.want)
		}
	}
}

// TestBookOfGraces: renewals before the last end count no more, and the end does.
func TestBookOfGraces(t *testing.T) {
	t.Parallel()
	at := func(h int) Event {
		return Event{At: noon.Add(time.Duration(h) * time.Hour), By: cho.Person, Step: StepApproved}
	}
	end := at(3)
	b := NewBook([]signals.Record{
		recorded(t, KindGrace, "d1", Grace{Device: "d1", Renewals: []Event{at(1), at(4)}, Ended: &end}),
		recorded(t, KindGrace, "d2", Grace{Device: "d2", Renewals: []Event{at(1)}}),
		recorded(t, KindGrace, "d3", Grace{Device: "d1", Renewals: []Event{at(9)}}),
	}, nil)
	renewals, ended := b.Grace("d1")
	if diff := cmp.Diff([]policy.Renewal{{At: noon.Add(4 * time.Hour), By: cho.String()}}, renewals); diff != "" || !ended.Equal(end.At) {
		t.Errorf("ended %s, renewals %s", ended, diff)
	}
	if renewals, ended := b.Grace("d2"); len(renewals) != 1 || !ended.IsZero() {
		t.Errorf("%v %v", renewals, ended)
	}
	if renewals, _ := b.Grace("d3"); renewals != nil {
		t.Errorf("a record under another key: %v", renewals)
	}
}

// TestBookGivesTheSameVerdict: with what a book finds for a device every decision is that with all that was granted, in
// whichever order: renewals in chains and circles, doubled names, silent continuations, devices with several names.
func TestBookGivesTheSameVerdict(t *testing.T) {
	t.Parallel()
	p := compiled(t, specOf())
	waived, chained := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c", "d", "written", "UPPER"}
		devices := []string{"C02LOANER01", "serial:c02loaner01", "C02OTHER001", "C02THIRD001", "uuid:0A1B2C3D-0000-4000-8000-000000000001", "?"}
		pick := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
		var records []signals.Record
		var all []policy.Exception
		for i := range rapid.IntRange(0, 6).Draw(t, "exceptions") {
			e := approved(pick("name", names...), func(e *policy.Exception) {
				e.Devices = rapid.SliceOfNDistinct(rapid.SampledFrom(devices), 1, 2, rapid.ID[string]).Draw(t, "devices")
				e.Renews = pick("renews", "", "", "a", "b", "c", "written", "nobody")
				e.From = noon.Add(time.Duration(rapid.IntRange(-6, 1).Draw(t, "from")) * 12 * time.Hour)
				e.Until = e.From.Add(time.Duration(rapid.IntRange(1, 16).Draw(t, "lasts")) * 12 * time.Hour)
				e.Meta.Owner = pick("owner", "iam", "iam", "iam", "strangers")
			})
			if i%3 == 0 { // what the store cannot hold twice: a key is a name; the book must not mind
				e.Meta.Name = fmt.Sprint(e.Meta.Name, i)
			}
			if slices.ContainsFunc(all, func(x policy.Exception) bool { return x.Meta.Name == e.Meta.Name }) {
				continue
			}
			raw, _ := json.Marshal(e)
			records = append(records, signals.Record{Kind: KindException, Key: e.Meta.Name, Revision: 1, Value: raw})
			granted, _ := e.Granted()
			all = append(all, granted)
		}
		in := fails("internal", noon)
		known := rapid.SampledFrom([][]signals.Alias{{serial}, {serial, another}, nil,
			{{Kind: signals.AliasUUID, Value: "0A1B2C3D-0000-4000-8000-000000000001"}, serial}}).Draw(t, "aliases")
		in.Device.Posture.Aliases = known
		with := *in
		with.Granted = all
		in.Granted = NewBook(records, nil).Granted(in.Subject.Device, known, noon)
		got, want := p.Evaluate(in), p.Evaluate(&with)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("of %d exceptions the book finds %d, and the verdict differs (-all +book):\n%s", len(all), len(in.Granted), diff)
		}
		waived += len(got.Waived)
		if len(got.Waived) == 0 && len(in.Granted) > 1 {
			chained++
		}
	})
	if waived == 0 || chained == 0 {
		t.Errorf("%d verdicts were excused, %d refused among several: that proves little", waived, chained)
	}
}

// TestBookCostsNothing: a device that no exception is about is told by a look at each of its names.
func TestBookCostsNothing(t *testing.T) {
	var records []signals.Record
	for i := range 1000 {
		name := fmt.Sprint("e", i)
		records = append(records, recorded(t, KindException, name, approved(name, func(e *policy.Exception) {
			e.Devices = []string{fmt.Sprintf("C02X%07d", i)}
		})))
	}
	b := NewBook(records, nil)
	if len(b.groups) != 1000 {
		t.Errorf("%d groups", len(b.groups))
	}
	known := []signals.Alias{serial, another}
	if n := testing.AllocsPerRun(100, func() {
		if b.Granted(serial, known, noon) != nil {
			t.Error("found")
		}
		_, _ = b.Grace("d1")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	mine := signals.Alias{Kind: signals.AliasSerial, Value: "C02X0000007"}
	if n := testing.AllocsPerRun(100, func() {
		if len(b.Granted(mine, known, noon)) != 1 {
			t.Error("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations of one that is", n)
	}
}
