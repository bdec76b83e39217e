package ingest_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/ingest"
)

// The same over the embedded store: what one process has kept, the next one applies after the file was opened again.
func TestOverTheEmbeddedStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.db")
	store, err := boltstore.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	r := receiver(t, store, &diary{})
	must(t, r, "1", body(`{"serial":"C02"}`, `{"firewall":true}`))
	must(t, r, "2", body(`{"serial":"C02","id":"17"}`, `{"os_version":"15.6","edr_healthy":null}`))
	must(t, r, "3", `{"type":"never"}`)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if code := post(t, r, "4", body(`{"serial":"C02"}`, `{"firewall":false}`)); code != 503 {
		t.Errorf("a closed store: %d", code)
	}
	if store, err = boltstore.Open(file); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	stop := start(t, receiver(t, store, &diary{}))
	defer stop()
	waiting := func() (left int) {
		_, err := store.EachRecord(t.Context(), ingest.KindInbox, func(signals.Record) error { left++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	eventually(t, func() bool { return waiting() == 0 })
	claim, err := store.Record(t.Context(), ingest.KindAlias, "vendor:mdm/17")
	if err != nil {
		t.Fatal(err)
	}
	p, err := store.Posture(t.Context(), owner(claim))
	if err != nil || len(p.Facts) != 3 || len(p.Aliases) != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, key := range []string{"mdm/1", "mdm/2", "mdm/3"} {
		if _, err := store.Record(context.Background(), ingest.KindDelivery, key); err != nil {
			t.Errorf("delivery %s: %v", key, err)
		}
	}
	if _, err := store.Record(t.Context(), ingest.KindDelivery, "mdm/4"); !errors.Is(err, signals.ErrNotFound) {
		t.Errorf("what was refused is remembered: %v", err)
	}
	letter, err := store.Record(t.Context(), ingest.KindDeadLetter, "mdm/3")
	if err != nil {
		t.Fatal(err)
	}
	if read, err := ingest.ReadDeadLetter(letter); err != nil || read.Reason == "" {
		t.Errorf("%+v, %v", read, err)
	}
}
