package ingest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source"
)

func TestDeliveriesBecomeAPosture(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, d := newMemory(), &diary{}
		r := receiver(t, store, d)
		stop := start(t, r)
		defer stop()
		received := time.Now()
		must(t, r, "1", body(`{"serial":"c02","id":"17"}`, `{"disk_encryption":true,"os_version":"15.6","edr_healthy":null}`))
		synctest.Wait()
		device, got := values(t, store)
		p := store.born()[device]
		if len(got) != 3 || got["disk_encryption"] != signals.Bool(true) || got["edr_healthy"] != signals.Unknown {
			t.Errorf("values %v", got)
		}
		for _, f := range p.Facts {
			if f.Source != "mdm" || !f.Received.Equal(received) || f.Path != "data.attributes."+f.Attribute {
				t.Errorf("fact %+v", f)
			}
		}
		if p.Revision != signals.NextRevision(0, received) || len(device) != 36 || device[14] != '7' {
			t.Errorf("device %s, revision %d", device, p.Revision)
		}
		if fmt.Sprint(p.Aliases) != "[serial:C02 vendor:mdm/17]" {
			t.Errorf("aliases %v", p.Aliases)
		}
		time.Sleep(time.Second)
		must(t, r, "2", body(`{"id":"17","uuid":"00008101-000A1B2C3D4E001E"}`, `{"disk_encryption":false}`))
		synctest.Wait()
		again, got := values(t, store)
		if again != device || got["disk_encryption"] != signals.Bool(false) || got["os_version"] != signals.Text("15.6") {
			t.Errorf("device %s, values %v", again, got)
		}
		if p := store.born()[device]; len(p.Aliases) != 3 || p.Revision <= signals.NextRevision(0, received) {
			t.Errorf("aliases %v, revision %d", p.Aliases, p.Revision)
		}
		mustEmpty(t, store, ingest.KindInbox)
		mustEmpty(t, store, ingest.KindDeadLetter)
		if got := store.kind(ingest.KindDelivery); len(got) != 2 || !got[0].Expires.Equal(received.Add(96*time.Hour)) {
			t.Errorf("remembered %+v", got)
		}
	})
}

// What an earlier process left is applied at the start, and what one leaves while we run, soon.
func TestWhatOthersLeftIsApplied(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		must(t, receiver(t, store, &diary{}), "1", body(`{"serial":"C02"}`, `{"firewall":true}`)) // never runs
		stop := start(t, receiver(t, store, &diary{}))
		defer stop()
		synctest.Wait()
		if _, got := values(t, store); got["firewall"] != signals.Bool(true) {
			t.Errorf("values %v", got)
		}
		time.Sleep(time.Second)
		must(t, receiver(t, store, &diary{}), "2", body(`{"serial":"C02"}`, `{"firewall":false}`))
		time.Sleep(40 * time.Second)
		if _, got := values(t, store); got["firewall"] != signals.Bool(false) {
			t.Errorf("values %v", got)
		}
	})
}

// More than the queue holds, and then the end: all of it is applied before Run returns, or is still in the inbox.
func TestFloodAndDrain(t *testing.T) {
	for _, slow := range []time.Duration{0, 10 * time.Millisecond} {
		bubble(t, func(t *testing.T) {
			inner, d := newMemory(), &diary{}
			store := &wrapped{memory: inner, before: func(op string) error {
				if op == "PutPosture" {
					time.Sleep(slow)
				}
				return nil
			}}
			r := receiver(t, store, d)
			const n = 1500
			for i := range n {
				must(t, r, fmt.Sprint(i), body(fmt.Sprintf(`{"id":"%d"}`, i+1), `{"firewall":true}`))
			}
			stop := start(t, r)
			synctest.Wait()
			began := time.Now()
			stop()
			took, left := time.Since(began), len(inner.kind(ingest.KindInbox))
			if len(inner.born())+left != n || took > 6*time.Second {
				t.Errorf("%d applied, %d left, in %s", len(inner.born()), left, took)
			}
			if slow == 0 && left > 0 {
				t.Errorf("%d left though there was time", left)
			}
			stop = start(t, r) // the same receiver may run again
			time.Sleep(time.Minute)
			stop()
			if got := len(inner.born()); got != n {
				t.Errorf("%d applied in the end", got)
			}
			mustEmpty(t, inner, ingest.KindInbox)
		})
	}
}

// A store that stays slow must not keep Run from ending: 5 seconds, then the rest waits in the inbox.
func TestDrainIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		inner := newMemory()
		store := &wrapped{memory: inner, before: func(op string) error {
			if op == "PutPosture" {
				time.Sleep(time.Second)
			}
			return nil
		}}
		r := receiver(t, store, &diary{}, func(o *ingest.Options) { o.Workers = 1 })
		for i := range 100 {
			must(t, r, fmt.Sprint(i), body(fmt.Sprintf(`{"id":"%d"}`, i+1), `{"firewall":true}`))
		}
		stop := start(t, r)
		synctest.Wait()
		began := time.Now()
		stop()
		if took := time.Since(began); took < 4*time.Second || took > 7*time.Second {
			t.Errorf("it took %s", took)
		}
		if applied, left := len(inner.born()), len(inner.kind(ingest.KindInbox)); applied+left < 100 || left < 90 {
			t.Errorf("%d applied, %d left", applied, left)
		}
	})
}

func TestDeadLetters(t *testing.T) {
	later := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	tests := []struct {
		name, body, reason string // no reason: it is applied
	}{
		{"not our type", `{"type":"contact.created","timestamp":"2026-11-20T08:00:00Z"}`, "contact.created"},
		{"an attribute that is none", body(`{"serial":"C02"}`, `{"disk":true}`), "no such attribute"},
		{"no usable name", body(`{"serial":"Default string"}`, `{"firewall":true}`), "no usable name"},
		{"10 minutes ahead", at(later(10*time.Minute - 5*time.Second)), ""},
		{"more than 10 minutes ahead", at(later(11 * time.Minute)), "set the source's clock"},
		{"the year 1", at("0001-01-02T00:00:00Z"), "placeholder"},
		{"1970", at("1970-01-01T00:00:00Z"), "placeholder"},
		{"the year 9999", at("9999-12-31T23:59:59Z"), "set the source's clock"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, d := newMemory(), &diary{}
			r := receiver(t, store, d)
			must(t, r, "1", tt.body)
			stop := start(t, r)
			defer stop()
			eventually(t, func() bool { return len(store.kind(ingest.KindInbox)) == 0 })
			letters := deadLetters(t, store)
			if tt.reason == "" {
				if len(letters) > 0 || len(store.born()) != 1 {
					t.Errorf("dead letters %+v, devices %v", letters, store.born())
				}
				return
			}
			if len(letters) != 1 || !strings.Contains(letters[0].Reason, tt.reason) || string(letters[0].Body) != tt.body ||
				letters[0].ContentType != "application/json" {
				t.Errorf("dead letters %+v, want the reason %q", letters, tt.reason)
			}
			if len(d.have("dead mdm 1")) != 1 || len(store.postures) > 0 || len(store.kind(ingest.KindAlias)) > 0 {
				t.Errorf("events %q, postures %v", d.lines, store.postures)
			}
			must(t, r, "1", tt.body) // acknowledged again, and not tried again
			if got := d.have("repeated mdm 1"); len(got) != 1 {
				t.Errorf("events %q", d.lines)
			}
		})
	}
}

func at(observed string) string {
	return `{"type":"device.posture.updated","timestamp":"2026-11-20T08:00:00Z","data":{"device":{"serial":"C02"},` +
		`"observed_at":"` + observed + `","attributes":{"firewall":true}}}`
}

func eventually(t testing.TB, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to that within 30 s")
		}
	}
}

// A source may state only what its settings say; the rest of the delivery counts.
func TestUnattestedFactsAreDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, d := newMemory(), &diary{}
		r := receiver(t, store, d)
		stop := start(t, r)
		defer stop()
		must(t, r, "1", body(`{"serial":"C02"}`, `{"compromised":false,"firewall":true}`))
		must(t, r, "2", body(`{"serial":"C03"}`, `{"compromised":false}`)) // nothing of it counts
		synctest.Wait()
		if _, got := values(t, store); len(got) != 1 || got["firewall"] != signals.Bool(true) {
			t.Errorf("values %v", got)
		}
		if len(d.have("dropped mdm 1 compromised")) != 1 || len(d.have("dropped mdm 2 compromised")) != 1 {
			t.Errorf("events %q", d.lines)
		}
		if got := store.kind(ingest.KindAlias); len(got) != 1 {
			t.Errorf("a delivery that says nothing made claims: %+v", got)
		}
		mustEmpty(t, store, ingest.KindInbox)
		mustEmpty(t, store, ingest.KindDeadLetter)
	})
}

// What an adapter gets wrong is a dead letter, whichever vendor it is for, and one device's fault is not another's.
func TestAdapterFaults(t *testing.T) {
	serial := func(s string) []signals.Alias { return []signals.Alias{{Kind: signals.AliasSerial, Value: s}} }
	fact := func(name string, v signals.Value) []signals.Fact {
		return []signals.Fact{{Attribute: name, Value: v, Observed: time.Now(), Source: "liar", Received: time.Unix(1, 0)}}
	}
	yes := signals.Bool(true)
	tests := []struct {
		name, reason string
		devices      int
		observe      func(source.Delivery) ([]signals.Observation, error)
	}{
		{"panics", "which is a bug", 0, func(source.Delivery) ([]signals.Observation, error) { panic("index out of range") }},
		{"refuses", "not scripted", 0, nil},
		{"names no device", "names no device", 1, func(source.Delivery) ([]signals.Observation, error) {
			return []signals.Observation{{Facts: fact("firewall", yes)}, {Aliases: serial("C02"), Facts: fact("firewall", yes)}}, nil
		}},
		{"a value that cannot be", "cannot be", 1, func(source.Delivery) ([]signals.Observation, error) {
			return []signals.Observation{{Aliases: serial("C02"), Facts: fact("firewall", signals.Text("yes"))},
				{Aliases: serial("C03"), Facts: fact("firewall", yes)}}, nil
		}},
		{"no instant", "placeholder", 0, func(source.Delivery) ([]signals.Observation, error) {
			return []signals.Observation{{Aliases: serial("C02"), Facts: []signals.Fact{{Attribute: "firewall", Value: yes}}}}, nil
		}},
		{"two devices", "", 2, func(d source.Delivery) ([]signals.Observation, error) {
			if len(d.Header) != 1 || d.Header.Get("Content-Type") != "text/x" || d.ID != "7" || d.Source != "mdm" || d.Received.IsZero() {
				return nil, fmt.Errorf("delivery %+v", d)
			}
			return []signals.Observation{{Aliases: slices.Repeat(serial("C02"), 2), Facts: fact("firewall", yes)},
				{Aliases: serial("C03"), Facts: fact("firewall", yes)}}, nil
		}},
		{"nothing to say", "", 0, func(source.Delivery) ([]signals.Observation, error) { return nil, nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store, d := newMemory(), &diary{}
				r := receiver(t, store, d, with(scripted{id: "7", observe: tt.observe}))
				req := request(t, "ignored", "some bytes")
				req.Header.Set("Content-Type", "text/x")
				req.Header.Set("Authorization", "Basic c2VjcmV0")
				serve(r, req)
				stop := start(t, r)
				defer stop()
				synctest.Wait()
				letters := deadLetters(t, store)
				if (len(letters) == 1) != (tt.reason != "") || (len(letters) == 1 && !strings.Contains(letters[0].Reason, tt.reason)) {
					t.Errorf("dead letters %+v, want the reason %q", letters, tt.reason)
				}
				if len(store.born()) != tt.devices {
					t.Errorf("%d devices, want %d", len(store.born()), tt.devices)
				}
				for _, p := range store.born() {
					if p.Facts[0].Source != "mdm" || p.Facts[0].Received.Year() == 1970 {
						t.Errorf("the adapter's word on source and receipt was taken: %+v", p.Facts[0])
					}
				}
				mustEmpty(t, store, ingest.KindInbox)
			})
		})
	}
}

// No header but Content-Type is stored: others hold secrets.
func TestSecretsAreNotStored(t *testing.T) {
	store := newMemory()
	r := receiver(t, store, &diary{}, with(scripted{id: "7"}))
	req := request(t, "ignored", "some bytes")
	req.Header.Set("Authorization", "Basic c2VjcmV0")
	serve(r, req)
	if got := store.kind(ingest.KindInbox); len(got) != 1 || strings.Contains(string(got[0].Value), "c2VjcmV0") {
		t.Errorf("inbox %v", got)
	}
}
