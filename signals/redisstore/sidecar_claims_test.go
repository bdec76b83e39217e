package redisstore

import (
	"testing"

	"github.com/tiergate/tiergate/signals"
)

// TestASidecarReadsWhy: the user of a sidecar reads the claims of names and the contests, which it shows, and writes
// neither: whoever has its password cannot give a name to another device.
func TestASidecarReadsWhy(t *testing.T) {
	live := serve(t)
	admin := live.open(t, nil)
	live.do(t, sidecarACL(t)...)
	for kind, key := range map[string]string{"alias": "serial:C02", "contested": "0123"} {
		r := signals.Record{Kind: kind, Key: key, Revision: 1, Value: []byte("d1")}
		if err := admin.PutRecord(t.Context(), r, 0); err != nil {
			t.Fatal(err)
		}
		sidecar := openSidecar(t, live)
		if got, err := sidecar.Record(t.Context(), kind, key); err != nil || string(got.Value) != "d1" {
			t.Errorf("%s: %+v, %v", kind, got, err)
		}
		r.Revision, r.Value = 2, []byte("d2")
		if sidecar.PutRecord(t.Context(), r, 1) == nil || sidecar.DeleteRecord(t.Context(), kind, key, 1) == nil {
			t.Errorf("%s: a sidecar wrote it", kind)
		}
	}
	seen := 0
	_, err := openSidecar(t, live).EachRecord(t.Context(), "contested", func(signals.Record) error { seen++; return nil })
	if err != nil || seen != 1 {
		t.Errorf("%d contests, %v", seen, err)
	}
}
