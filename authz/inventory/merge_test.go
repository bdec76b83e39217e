package inventory_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/inventory"
)

const someID = "spiffe://acme.example/a"

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func drawInstant(t *rapid.T) time.Time {
	return noon.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "minute")) * time.Minute)
}

func drawSighting(t *rapid.T) inventory.Sighting {
	a, b := drawInstant(t), drawInstant(t)
	if b.Before(a) {
		a, b = b, a
	}
	s := inventory.Sighting{ID: someID, TrustDomain: "acme.example", First: a, Last: b, Routes: map[string]inventory.RouteUse{},
		Places: map[string]time.Time{}}
	for _, name := range rapid.SliceOf(rapid.SampledFrom([]string{"orders", "admin", inventory.NoRoute})).Draw(t, "routes") {
		s.Routes[name] = inventory.RouteUse{First: a, Last: b, Allowed: rapid.Uint64Max(9).Draw(t, "allowed"),
			Refused: rapid.Uint64Max(9).Draw(t, "refused"), LastAllowed: drawInstant(t)}
	}
	for _, name := range rapid.SliceOf(rapid.SampledFrom([]string{"edge-1", "edge-2"})).Draw(t, "places") {
		s.Places[name] = drawInstant(t)
	}
	if rapid.Bool().Draw(t, "credential") {
		s.CredentialFrom, s.CredentialUntil, s.CredentialSeen = drawInstant(t), drawInstant(t).Add(time.Hour), drawInstant(t)
	}
	return s
}

func merged(parts ...*inventory.Sighting) string {
	var whole inventory.Sighting
	for _, p := range parts {
		whole.Merge(p)
	}
	return string(whole.JSON())
}

// TestSightingsMergeInAnyOrder: the same comes of it whichever sidecar is first, and however they are grouped.
func TestSightingsMergeInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawSighting(t), drawSighting(t), drawSighting(t)
		var ab, bc inventory.Sighting
		ab.Merge(&a)
		ab.Merge(&b)
		bc.Merge(&c)
		bc.Merge(&b)
		want := merged(&a, &b, &c)
		for order, got := range map[string]string{"cba": merged(&c, &b, &a), "bac": merged(&b, &a, &c), "(ab)c": merged(&ab, &c),
			"a(bc)": merged(&bc, &a)} {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s: %s", order, diff)
			}
		}
		s, err := inventory.ParseSighting(someID, []byte(want))
		if err != nil || string(s.JSON()) != want {
			t.Fatalf("%v\n%s\n%s", err, want, s.JSON())
		}
	})
}

// TestBatchesCountOnce: whatever is repeated, each batch of each writer is taken exactly once, if its numbers ascend.
func TestBatchesCountOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b inventory.Batches
		next, taken := map[string]uint64{}, map[string]uint64{}
		for range rapid.IntRange(0, 50).Draw(t, "steps") {
			writer := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "writer")
			if rapid.Bool().Draw(t, "new") || next[writer] == 0 {
				next[writer]++
			}
			took := b.Take(writer, next[writer], noon)
			if took != (taken[writer] < next[writer]) {
				t.Fatalf("%s %d: %v", writer, next[writer], took)
			}
			taken[writer] = next[writer]
		}
	})
}

// TestRecordsOfStrangersSayNothing: sightings are not signed, so what is read of them is bounded and consistent.
func TestRecordsOfStrangersSayNothing(t *testing.T) {
	t.Parallel()
	s := inventory.Sighting{ID: someID, TrustDomain: "acme.example", First: noon, Last: noon}
	for name, change := range map[string]func(*inventory.Sighting){
		"another's":    func(s *inventory.Sighting) { s.ID = "spiffe://acme.example/b" },
		"other domain": func(s *inventory.Sighting) { s.TrustDomain = "b" },
		"no instant":   func(s *inventory.Sighting) { s.First = time.Time{} },
		"backwards":    func(s *inventory.Sighting) { s.Last = noon.Add(-1) },
		"routes": func(s *inventory.Sighting) {
			s.Routes = map[string]inventory.RouteUse{}
			for i := range inventory.MaxRoutes + 1 {
				s.Routes[strings.Repeat("x", i)] = inventory.RouteUse{}
			}
		},
	} {
		bad := s
		change(&bad)
		if _, err := inventory.ParseSighting(someID, bad.JSON()); err == nil {
			t.Errorf("%s: it is believed", name)
		}
	}
	for key, value := range map[string]string{someID: "x", "no id": string(s.JSON())} {
		if _, err := inventory.ParseSighting(key, []byte(value)); err == nil {
			t.Errorf("%q: it is believed", key)
		}
	}
	for key, value := range map[string]string{"2026-11-22 a": "x", "2026-11-22 b": `{"day":"2026-11-22","sidecar":"a"}`, "today a": `{"day":"today","sidecar":"a"}`} {
		if _, err := inventory.ParseUse(key, []byte(value)); err == nil {
			t.Errorf("use %q: it is believed", key)
		}
	}
	for key, value := range map[string]string{"spire x": "x", "spire y": `{"system":"spire","id":"x","type":"key"}`, "mdm x": `{"system":"mdm","id":"x","type":"key"}`} {
		if _, err := inventory.ParseEntry(key, []byte(value)); err == nil {
			t.Errorf("entry %q: it is believed", key)
		}
	}
}

// TestASightingIsBounded: what was unseen for longest goes.
func TestASightingIsBounded(t *testing.T) {
	t.Parallel()
	var whole inventory.Sighting
	for i := range inventory.MaxPlaces + 50 {
		at := noon.Add(time.Duration(i) * time.Second)
		whole.Merge(&inventory.Sighting{ID: someID, TrustDomain: "acme.example", First: at, Last: at,
			Places: map[string]time.Time{at.String(): at}})
	}
	if _, old := whole.Places[noon.String()]; len(whole.Places) != inventory.MaxPlaces || old {
		t.Errorf("%d places", len(whole.Places))
	}
	var b inventory.Batches
	for i := range 100 {
		b.Take(noon.Add(time.Duration(i)*time.Second).String(), 1, noon.Add(time.Duration(i)*time.Second))
	}
	if len(b) != 64 {
		t.Errorf("%d writers", len(b))
	}
}
