package ingest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source"
)

// claimed puts an alias claim into the store, as a receiver that died left it.
func claimed(t testing.TB, store *memory, alias, device string) {
	t.Helper()
	record := signals.Record{Kind: ingest.KindAlias, Key: alias, Revision: 1, Value: []byte(device)}
	if err := store.PutRecord(t.Context(), record, 0); err != nil {
		t.Fatal(err)
	}
}

// known puts a device and its claims into the store.
func known(t testing.TB, store *memory, device string, aliases ...string) {
	t.Helper()
	p := signals.Posture{Device: signals.DeviceID(device), Revision: 1}
	for _, text := range aliases {
		alias, err := signals.ParseAlias(text)
		if err != nil {
			t.Fatal(err)
		}
		p.Aliases = append(p.Aliases, alias)
		claimed(t, store, text, device)
	}
	slices.SortFunc(p.Aliases, signals.CompareAliases)
	if err := store.PutPosture(t.Context(), p, 0); err != nil {
		t.Fatal(err)
	}
}

// owner is the device that an alias is a name of.
func owner(record signals.Record) signals.DeviceID {
	claim, err := ingest.ReadClaim(record)
	if err != nil {
		return signals.DeviceID(err.Error())
	}
	return claim.Device
}

// owners returns the claims of the store, sorted.
func owners(store *memory) string {
	var claims []string
	for _, record := range store.kind(ingest.KindAlias) {
		claims = append(claims, record.Key+"="+string(owner(record)))
	}
	return strings.Join(claims, " ")
}

// The cells of: who has claimed the two names serial:A1 and serial:B1 of a delivery?
func TestWhichDevice(t *testing.T) {
	tests := []struct {
		name  string
		setup func(t *testing.T, store *memory)
		want  string // owners after the delivery; NEW is the id of the one device made
		dead  bool
	}{
		{"nobody", func(*testing.T, *memory) {}, "serial:A1=NEW serial:B1=NEW", false},
		{"one device has one", func(t *testing.T, s *memory) { known(t, s, "d1", "serial:B1") },
			"serial:A1=d1 serial:B1=d1", false},
		{"one device has both", func(t *testing.T, s *memory) { known(t, s, "d1", "serial:A1", "serial:B1") },
			"serial:A1=d1 serial:B1=d1", false},
		{"two devices", func(t *testing.T, s *memory) { known(t, s, "d1", "serial:A1"); known(t, s, "d2", "serial:B1") },
			"serial:A1=d1 serial:B1=d2", true},
		{"an orphan claim", func(t *testing.T, s *memory) { claimed(t, s, "serial:A1", "o1") },
			"serial:A1=o1 serial:B1=o1", false},
		{"two orphan claims of one", func(t *testing.T, s *memory) {
			claimed(t, s, "serial:A1", "o1")
			claimed(t, s, "serial:B1", "o1")
		}, "serial:A1=o1 serial:B1=o1", false},
		{"two orphan claims", func(t *testing.T, s *memory) { claimed(t, s, "serial:A1", "o2"); claimed(t, s, "serial:B1", "o1") },
			"serial:A1=o1 serial:B1=o1", false},
		{"an orphan and a device", func(t *testing.T, s *memory) { claimed(t, s, "serial:A1", "o1"); known(t, s, "d1", "serial:B1") },
			"serial:A1=d1 serial:B1=d1", false},
		{"a retired orphan", func(t *testing.T, s *memory) { known(t, s, "o1"); claimed(t, s, "serial:A1", "o1") },
			"serial:A1=NEW serial:B1=NEW", false},
		{"a retired orphan and a device", func(t *testing.T, s *memory) {
			known(t, s, "o1")
			claimed(t, s, "serial:A1", "o1")
			known(t, s, "d1", "serial:B1")
		}, "serial:A1=d1 serial:B1=d1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := newMemory()
				tt.setup(t, store)
				before := fmt.Sprint(store.postures)
				r := receiver(t, store, &diary{}, with(scripted{id: "1", observe: observed("A1", "B1")}))
				stop := start(t, r)
				defer stop()
				serve(r, request(t, "ignored", "x"))
				synctest.Wait()
				var carrier string
				for id, p := range store.born() {
					if len(p.Facts) > 0 {
						carrier = string(id)
					}
				}
				if got := owners(store); got != strings.ReplaceAll(tt.want, "NEW", carrier) {
					t.Errorf("owners %s, want %s", got, tt.want)
				}
				letters := deadLetters(t, store)
				if (len(letters) > 0) != tt.dead || (carrier == "") != tt.dead {
					t.Fatalf("dead letters %+v, the fact lies at %q", letters, carrier)
				}
				if tt.dead && (!strings.Contains(letters[0].Reason, "serial:A1 is device d1, serial:B1 is device d2") ||
					fmt.Sprint(store.postures) != before) {
					t.Errorf("reason %q; a contested delivery must change nothing", letters[0].Reason)
				}
				if !tt.dead {
					consistent(t, store)
				}
			})
		})
	}
}

// A free name of a contested delivery is not claimed either.
func TestContestedDeliveryClaimsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		known(t, store, "d1", "serial:A1")
		known(t, store, "d2", "serial:B1")
		r := receiver(t, store, &diary{}, with(scripted{id: "1", observe: observed("A1", "A0", "B1", "C1")}))
		stop := start(t, r)
		defer stop()
		serve(r, request(t, "ignored", "x"))
		synctest.Wait()
		if got := owners(store); got != "serial:A1=d1 serial:B1=d2" || len(deadLetters(t, store)) != 1 {
			t.Errorf("owners %s", got)
		}
	})
}

// consistent checks what must hold whenever the inbox is empty: a device that exists has claimed its names, and every
// claim of a device that exists is one of its names.
func consistent(t testing.TB, store *memory) {
	t.Helper()
	var names, claims []string
	for id, p := range store.born() {
		for _, alias := range p.Aliases {
			names = append(names, alias.String()+"="+string(id))
		}
	}
	for _, record := range store.kind(ingest.KindAlias) {
		if _, born := store.born()[owner(record)]; born {
			claims = append(claims, record.Key+"="+string(owner(record)))
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, claims) {
		t.Errorf("names  %v\nclaims %v", names, claims)
	}
}

// jitter makes each call of a store take another while, so that receivers interleave in every way; in a bubble this
// costs no time, and one seed gives one history.
func jitter(store *memory, seed uint64) *wrapped {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	pause := func(string) error {
		mu.Lock()
		d := time.Duration(random.IntN(1000)) * time.Microsecond
		mu.Unlock()
		time.Sleep(d)
		return nil
	}
	return &wrapped{memory: store, before: pause, after: pause}
}

// Several receivers on one store, deliveries that share one name: in whatever order they meet, there is one device in
// the end, with every name and the newest facts, and none of them was contested.
func TestReceiversAgreeOnOneDevice(t *testing.T) {
	for seed := range uint64(150) {
		bubble(t, func(t *testing.T) {
			store, d := newMemory(), &diary{}
			random := rand.New(rand.NewPCG(seed, 1))
			shared := []string{"a0", "m0", "z0"}[random.IntN(3)] // before, between or behind the others: who claims what first
			const n = 6
			bodies := make([]string, n)
			for i := range bodies {
				device := fmt.Sprintf(`{"directory":"%s","id":"%c"}`, shared, 'b'+rune(i)) // vendor sorts behind directory
				if random.IntN(2) == 0 {
					device = fmt.Sprintf(`{"id":"%s","directory":"n%d","serial":"S%d"}`, shared, i, i)
				}
				bodies[i] = body(device, fmt.Sprintf(`{"os_version":"%d"}`, i))
				time.Sleep(time.Second) // observed_at grows, the order of delivery does not
			}
			bothNames := body(fmt.Sprintf(`{"id":"%s","directory":"%s"}`, shared, shared), `{"firewall":true}`)
			slow := jitter(store, seed)
			var deliveries sync.WaitGroup
			var stops []func()
			for range 2 {
				r := receiver(t, slow, d, func(o *ingest.Options) { o.Workers = 3 })
				stops = append(stops, start(t, r))
				for i := range bodies {
					deliveries.Go(func() { must(t, r, fmt.Sprint(i), bodies[i]) }) // each to both
				}
				deliveries.Go(func() { must(t, r, "both", bothNames) })
			}
			deliveries.Wait()
			time.Sleep(2 * time.Minute)
			for _, stop := range stops {
				stop()
			}
			mustEmpty(t, store, ingest.KindInbox)
			consistent(t, store)
			// Two names are shared by two groups; the delivery that carries both is contested if both groups were there first.
			dead := deadLetters(t, store)
			if len(dead) > 1 || (len(dead) == 1 && (dead[0].ID != "both" || len(store.born()) != 2)) || len(store.born()) > 2 ||
				(len(dead) == 0 && len(store.born()) != 1) {
				t.Errorf("seed %d: dead letters %+v, devices %+v\n%s", seed, dead, store.born(), strings.Join(d.lines, "\n"))
			}
			allFactsLieOnTheirDevice(t, store, n)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
	}
}

// allFactsLieOnTheirDevice: the newest version of each device is the newest that any delivery of it told.
func allFactsLieOnTheirDevice(t testing.TB, store *memory, n int) {
	t.Helper()
	names := 0
	for id, p := range store.born() {
		newest := ""
		for _, alias := range p.Aliases {
			names++
			for i := range n {
				own := []string{fmt.Sprintf("serial:S%d", i), fmt.Sprintf("vendor:mdm/%c", 'b'+rune(i))}
				if slices.Contains(own, alias.String()) {
					newest = max(newest, fmt.Sprint(i))
				}
			}
		}
		if known, ok, _ := p.Latest("os_version", "mdm"); newest != "" && (!ok || known.Value != signals.Text(newest)) {
			t.Errorf("device %s knows %+v, its newest delivery told %s", id, known, newest)
		}
	}
	if names < n {
		t.Errorf("%d names for %d deliveries", names, n)
	}
}

// observed is an adapter that says of the device with these serials that its firewall is on.
func observed(serials ...string) func(d source.Delivery) ([]signals.Observation, error) {
	return func(d source.Delivery) ([]signals.Observation, error) {
		o := signals.Observation{Facts: []signals.Fact{{Attribute: "firewall", Value: signals.Bool(true), Observed: d.Received}}}
		for _, serial := range serials {
			o.Aliases = append(o.Aliases, signals.Alias{Kind: signals.AliasSerial, Value: serial})
		}
		return []signals.Observation{o}, nil
	}
}
