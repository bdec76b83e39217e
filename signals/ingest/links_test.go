package ingest_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
)

func aliases(serials ...string) (all []signals.Alias) {
	for _, serial := range serials {
		all = append(all, signals.Alias{Kind: signals.AliasSerial, Value: serial})
	}
	return all
}

func forbid(name string, serials ...string) signals.DeviceLink {
	return signals.DeviceLink{Name: name, Owner: "endpoint", Ticket: "HELP-1", Forbid: aliases(serials...)}
}

func same(name string, serials ...string) signals.DeviceLink {
	return signals.DeviceLink{Name: name, Owner: "endpoint", Ticket: "HELP-2", Same: aliases(serials...)}
}

func linked(documents ...signals.DeviceLink) option {
	return func(o *ingest.Options) { o.Links = documents }
}

// The cells of: what do documents make of one delivery, given who has which names?
func TestLinks(t *testing.T) {
	tests := []struct {
		name  string
		setup func(t *testing.T, s *memory)
		links []signals.DeviceLink
		came  []string
		want  string // owners afterwards; NEW is a device made
		dead  string // in the reason of the dead letter; then nothing else has changed
	}{
		{"forbidden names come together", nothing, []signals.DeviceLink{forbid("f", "A1", "B1")}, []string{"A1", "B1"},
			"", `the document "f" (owner endpoint, ticket HELP-1) says that [serial:A1 serial:B1] never belong to one device`},
		{"the device has one, the other comes", has("d1", "A1", "C1"), []signals.DeviceLink{forbid("f", "A1", "B1")},
			[]string{"B1", "C1"}, "serial:A1=d1 serial:C1=d1", `"f"`},
		{"three are kept apart, two come", nothing, []signals.DeviceLink{forbid("f", "A1", "B1", "C1")}, []string{"A1", "C1"}, "", `"f"`},
		{"one forbidden name alone", nothing, []signals.DeviceLink{forbid("f", "A1", "B1")}, []string{"A1"}, "serial:A1=NEW", ""},
		{"the device has had both, one comes", has("d1", "A1", "B1"), []signals.DeviceLink{forbid("f", "A1", "B1")},
			[]string{"A1"}, "serial:A1=d1 serial:B1=d1", ""},
		{"the device has had both, they come", has("d1", "A1", "B1"), []signals.DeviceLink{forbid("f", "A1", "B1")},
			[]string{"A1", "B1"}, "serial:A1=d1 serial:B1=d1", `"f"`},
		{"claimed for who must not have it", func(t *testing.T, s *memory) {
			known(t, s, "d1", "serial:A1")
			claimed(t, s, "serial:B1", "d1")
		}, []signals.DeviceLink{forbid("f", "A1", "B1")}, []string{"B1"}, "serial:A1=d1 serial:B1=NEW", ""},
		{"one name of the same", nothing, []signals.DeviceLink{same("s", "A1", "B1")}, []string{"B1"}, "serial:A1=NEW serial:B1=NEW", ""},
		{"the same over two documents", has("d1", "A1"), []signals.DeviceLink{same("s", "A1", "B1"), same("r", "B1", "C1")},
			[]string{"C1"}, "serial:A1=d1 serial:B1=d1 serial:C1=d1", ""},
		{"two devices become the older", both, []signals.DeviceLink{same("s", "A1", "B1")}, []string{"B1"},
			"serial:A1=d1 serial:B1=d1 serial:X1=d1 serial:Y1=d1", ""},
		{"three devices become the oldest", func(t *testing.T, s *memory) { both(t, s); known(t, s, "d0", "serial:C1") },
			[]signals.DeviceLink{same("s", "A1", "B1"), same("r", "C1", "B1")}, []string{"A1"},
			"serial:A1=d0 serial:B1=d0 serial:C1=d0 serial:X1=d0 serial:Y1=d0", ""},
		{"a third that no document joins", func(t *testing.T, s *memory) { both(t, s); known(t, s, "d3", "serial:C1") },
			[]signals.DeviceLink{same("s", "A1", "B1")}, []string{"B1", "C1"},
			"serial:A1=d1 serial:B1=d2 serial:C1=d3 serial:X1=d1 serial:Y1=d2", "serial:C1 is device d3"},
		{"the same, but forbidden by what they have", both, []signals.DeviceLink{same("s", "A1", "B1"), forbid("f", "X1", "Y1")},
			[]string{"A1"}, "serial:A1=d1 serial:B1=d2 serial:X1=d1 serial:Y1=d2", `"f"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := newMemory()
				tt.setup(t, store)
				before := fmt.Sprint(store.postures)
				r := receiver(t, store, &diary{}, with(scripted{id: "1", observe: observed(tt.came...)}), linked(tt.links...))
				stop := start(t, r)
				defer stop()
				serve(r, request(t, "ignored", "x"))
				time.Sleep(time.Second)
				synctest.Wait()
				made := ""
				for id := range store.born() {
					if len(id) > 2 {
						made = string(id)
					}
				}
				if got := owners(store); got != strings.ReplaceAll(tt.want, "NEW", made) {
					t.Errorf("owners %s, want %s", got, tt.want)
				}
				letters := deadLetters(t, store)
				if (len(letters) > 0) != (tt.dead != "") {
					t.Fatalf("dead letters %+v", letters)
				}
				if tt.dead == "" {
					consistent(t, store)
				} else if !strings.Contains(letters[0].Reason, tt.dead) || fmt.Sprint(store.postures) != before {
					t.Errorf("reason %q, postures %v; it must change nothing", letters[0].Reason, store.postures)
				}
			})
		})
	}
}

func nothing(*testing.T, *memory) {}

func has(device string, serials ...string) func(*testing.T, *memory) {
	return func(t *testing.T, s *memory) {
		t.Helper()
		var names []string
		for _, alias := range aliases(serials...) {
			names = append(names, alias.String())
		}
		known(t, s, device, names...)
	}
}

// both puts two devices into the store, each with a name that no document has, and with facts that contradict: d2 has an
// alarm, and of one instant the worse value.
func both(t *testing.T, s *memory) {
	t.Helper()
	has("d1", "A1", "X1")(t, s)
	has("d2", "B1", "Y1")(t, s)
	at := time.Now().UTC().Add(-time.Hour)
	fact := func(attribute string, value bool, ago time.Duration) signals.Fact {
		return signals.Fact{Attribute: attribute, Value: signals.Bool(value), Source: "edr", Observed: at.Add(-ago), Received: at}
	}
	for id, facts := range map[signals.DeviceID][]signals.Fact{
		"d1": {fact("disk_encryption", true, 0), fact("firewall", false, 0)},
		"d2": {fact("compromised", true, 0), fact("disk_encryption", false, 0), fact("firewall", true, time.Minute)},
	} {
		p, _ := s.postures[id].Merge(signals.Observation{Facts: facts})
		p.Revision = 2
		if err := s.PutPosture(t.Context(), p, 1); err != nil {
			t.Fatal(err)
		}
	}
}

// whole checks that the two devices of both are one that has all they had, and why.
func whole(t *testing.T, store *memory) {
	t.Helper()
	consistent(t, store)
	if got := owners(store); got != "serial:A1=d1 serial:B1=d1 serial:X1=d1 serial:Y1=d1" {
		t.Errorf("owners %s", got)
	}
	one := store.born()["d1"]
	for attribute, want := range map[string]bool{"compromised": true, "disk_encryption": false, "firewall": false} {
		if known, ok, _ := one.Latest(attribute, "edr"); !ok || known.Value != signals.Bool(want) {
			t.Errorf("%s: %+v", attribute, known)
		}
	}
	if left := store.postures["d2"]; len(left.Aliases)+len(left.Facts) != 0 || left.Revision < 3 {
		t.Errorf("d2 is left with %+v", left)
	}
	records := store.kind(ingest.KindJoined)
	if len(records) != 1 {
		t.Fatalf("joins %+v", records)
	}
	if j, err := ingest.ReadJoined(records[0]); err != nil || j.Into != "d1" || j.Document != "s" || !j.Done || j.At.IsZero() {
		t.Errorf("%+v, %v", j, err)
	}
	for _, name := range []string{"serial:A1", "serial:B1"} {
		said := claimOf(t, store, name).Said
		if len(said) == 0 || said[len(said)-1].Source != "document s" && said[0].Source != "document s" {
			t.Errorf("%s is said by %+v", name, said)
		}
	}
}

// What was joined stays so when the document goes, a name that somebody claimed late for the younger device leads to the
// older, and of the documents that SetLinks replaces none counts any more.
func TestJoinedStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		both(t, store)
		came := []string{"B1"}
		r := receiver(t, store, &diary{}, with(scripted{id: "1", observe: observed(came...)}), linked(same("s", "A1", "B1")))
		stop := start(t, r)
		serve(r, request(t, "ignored", "x"))
		synctest.Wait()
		whole(t, store)
		stop()
		claimed(t, store, "serial:Z1", "d2")
		r = receiver(t, store, &diary{}, with(scripted{id: "2", observe: observed("Z1")}), linked(forbid("f", "A1", "Z1")))
		r.SetLinks(nil)
		defer start(t, r)()
		serve(r, request(t, "ignored", "x"))
		synctest.Wait()
		if got := string(claimOf(t, store, "serial:Z1").Device); got != "d1" || len(store.born()) != 1 {
			t.Errorf("Z1 is %s, devices %v", got, store.born())
		}
		consistent(t, store)
	})
}

// A join that cannot be read, or that leads in circles, is not built upon.
func TestUnreadableJoin(t *testing.T) {
	for _, value := range []string{"", "{", `{}`, `{"into":"d2"}`, `{"into":"d3"}`} {
		if _, err := ingest.ReadJoined(signals.Record{Key: "d2", Value: []byte(value)}); err == nil {
			t.Errorf("%q is taken", value)
		}
	}
	bubble(t, func(t *testing.T) {
		store := newMemory()
		both(t, store)
		bad := signals.Record{Kind: ingest.KindJoined, Key: "d2", Revision: 1, Value: []byte(`{"into":"d2"}`)}
		if err := store.PutRecord(t.Context(), bad, 0); err != nil {
			t.Fatal(err)
		}
		r := receiver(t, store, &diary{}, with(scripted{id: "1", observe: observed("B1")}), linked(same("s", "A1", "B1")))
		defer start(t, r)()
		serve(r, request(t, "ignored", "x"))
		synctest.Wait()
		if letters := deadLetters(t, store); len(letters) != 1 || len(store.born()) != 2 {
			t.Errorf("dead letters %+v, devices %v", letters, store.born())
		}
	})
}
