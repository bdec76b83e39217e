package redisstore

import (
	"errors"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/findings/engine"
	"github.com/tiergate/tiergate/signals"
)

// TestASidecarSaysHowItsEnvoyDiffers: the ACL user of a sidecar writes what it sees of its Envoy, and no finding.
func TestASidecarSaysHowItsEnvoyDiffers(t *testing.T) {
	t.Parallel()
	live := serve(t)
	live.do(t, sidecarACL(t)...)
	store := openSidecar(t, live)
	for range 2 {
		envoys := engine.Envoys{Records: store, Now: time.Now}
		if err := envoys.Seen(t.Context(), "envoy at edge-1", []string{"route x is missing"}, true); err != nil {
			t.Fatal(err)
		}
	}
	err := store.PutRecord(t.Context(), signals.Record{Kind: findings.RecordKind, Key: "F-1", Revision: 1, Value: []byte("{}")}, 0)
	if err == nil {
		t.Error("a sidecar writes findings")
	}
	if _, err := store.Record(t.Context(), engine.KindEnvoy, "another"); !errors.Is(err, signals.ErrNotFound) {
		t.Error(err)
	}
}
