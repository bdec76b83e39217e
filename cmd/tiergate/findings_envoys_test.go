package main

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz/findings/engine"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/xds/drift"
)

// TestDriftIsWrittenDown: what the comparison finds stands in the store; an Envoy that cannot be asked keeps it, one that
// is not there says nothing, and a store that is away is tried again.
func TestDriftIsWrittenDown(t *testing.T) {
	t.Parallel()
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	var report drift.Report
	d := &driftSeen{report: func() drift.Report { return report }, place: "edge-1", log: zap.NewNop(),
		envoys: engine.Envoys{Records: store, Now: time.Now}}
	look := func(r drift.Report) (seen engine.EnvoySeen, revision int64) {
		t.Helper()
		report, report.At = r, r.At.Add(d.at.Sub(time.Time{})+time.Second)
		d.look(t.Context())
		record, err := store.Record(t.Context(), engine.KindEnvoy, "envoy at edge-1")
		if err == nil {
			err = json.Unmarshal(record.Value, &seen)
		}
		if err != nil {
			return seen, 0
		}
		return seen, int64(record.Revision)
	}
	if _, revision := look(drift.Report{Fault: "nobody answers", Absent: true}); revision != 0 {
		t.Error("an Envoy that is not there was seen")
	}
	if _, revision := look(drift.Report{Fault: "it hangs"}); revision != 0 {
		t.Error("an Envoy whose name is not known was seen")
	}
	differs := []drift.Difference{{Kind: drift.Route, Name: "app", Change: drift.Missing, What: "it is gone"}}
	first, revision := look(drift.Report{Node: "envoy", Differences: differs})
	if revision == 0 || len(first.Differences) != 1 || first.Since.IsZero() {
		t.Fatalf("%+v", first)
	}
	if seen, again := look(drift.Report{Fault: "it hangs"}); len(seen.Differences) != 1 || again != revision {
		t.Errorf("%+v", seen)
	}
	if seen, _ := look(drift.Report{Node: "envoy"}); len(seen.Differences) != 0 || !seen.Since.IsZero() {
		t.Errorf("%+v", seen)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	at := d.at
	look(drift.Report{Node: "envoy", Differences: differs})
	if !d.failed || !d.at.Equal(at) {
		t.Error("what could not be written is not tried again")
	}
}
