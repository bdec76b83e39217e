package ingest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
)

func claimOf(t *testing.T, store *memory, alias string) ingest.Claim {
	t.Helper()
	record, err := store.Record(t.Context(), ingest.KindAlias, alias)
	if err != nil {
		t.Fatal(err)
	}
	claim, err := ingest.ReadClaim(record)
	if err != nil {
		t.Fatal(err)
	}
	return claim
}

// A claim says which source used the name first, by which delivery, when, and beside which others; a second delivery of the
// same source adds nothing, one of another source does, and a claim of before there were reasons gains one.
func TestClaimsSayWhy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		known(t, store, "d1", "serial:C02") // the value is the bare id
		both := func(o *ingest.Options) {
			edr := o.Sources[0]
			edr.Name = "edr"
			o.Sources = append(o.Sources, edr)
		}
		r := receiver(t, store, &diary{}, both)
		stop := start(t, r)
		defer stop()
		began := time.Now().UTC()
		must(t, r, "1", body(`{"serial":"C02","id":"17"}`, `{"firewall":true}`))
		synctest.Wait()
		time.Sleep(time.Minute)
		must(t, r, "2", body(`{"serial":"C02","id":"17"}`, `{"firewall":false}`))
		synctest.Wait()
		req := request(t, "3", body(`{"serial":"C02"}`, `{"edr_healthy":true}`))
		req.URL.Path = "/v1/sources/edr"
		serve(r, req)
		synctest.Wait()
		got := claimOf(t, store, "serial:C02")
		want := ingest.Claim{Device: "d1", Said: []ingest.Witness{
			{Source: "mdm", Delivery: "1", At: began, With: []signals.Alias{{Kind: signals.AliasVendor, Value: "mdm/17"}}},
			{Source: "edr", Delivery: "3", At: began.Add(time.Minute)},
		}}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		if other := claimOf(t, store, "vendor:mdm/17"); other.Device != "d1" || len(other.Said) != 1 ||
			fmt.Sprint(other.Said[0].With) != "[serial:C02]" {
			t.Errorf("%+v", other)
		}
	})
}

// A claim that cannot be read is no free one: the delivery is kept, and nothing is joined anew.
func TestUnreadableClaim(t *testing.T) {
	for _, value := range []string{"", "{", `{"device":""}`, `{}`} {
		if _, err := ingest.ReadClaim(signals.Record{Key: "serial:C02", Value: []byte(value)}); !errors.Is(err, signals.ErrCorrupt) {
			t.Errorf("%q: %v", value, err)
		}
	}
	bubble(t, func(t *testing.T) {
		store, d := newMemory(), &diary{}
		claimed(t, store, "serial:C02", "{")
		r := receiver(t, store, d)
		stop := start(t, r)
		defer stop()
		must(t, r, "1", body(`{"serial":"C02","id":"17"}`, `{"firewall":true}`))
		synctest.Wait()
		if len(store.postures) != 0 || len(store.kind(ingest.KindAlias)) != 1 || len(deadLetters(t, store)) != 1 {
			t.Errorf("postures %v, told %v", store.postures, d.lines)
		}
	})
}

// A contested delivery is noted once for each source and set of names, for as long as it is repeated.
func TestContestsAreNoted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		known(t, store, "d1", "serial:A1")
		known(t, store, "d2", "vendor:mdm/2")
		r := receiver(t, store, &diary{})
		stop := start(t, r)
		defer stop()
		for _, id := range []string{"1", "2"} {
			must(t, r, id, body(`{"serial":"A1","id":"2","uuid":"00008101-000A1B2C3D4E001E"}`, `{"firewall":true}`))
			synctest.Wait()
			time.Sleep(time.Hour)
		}
		notes := store.kind(ingest.KindContested)
		if len(notes) != 1 {
			t.Fatalf("%d notes", len(notes))
		}
		c, err := ingest.ReadContest(notes[0])
		if err != nil || c.Source != "mdm" || c.Delivery != "2" ||
			fmt.Sprint(c.Claims) != "[{serial:A1 d1} {vendor:mdm/2 d2}]" {
			t.Errorf("%+v, %v", c, err)
		}
		if left := time.Until(notes[0].Expires); left < 94*time.Hour || left > 96*time.Hour {
			t.Errorf("it is kept for %s", left)
		}
		if _, err := ingest.ReadContest(signals.Record{Value: []byte("x")}); !errors.Is(err, signals.ErrCorrupt) ||
			!strings.Contains(err.Error(), "contest") {
			t.Error(err)
		}
	})
}
