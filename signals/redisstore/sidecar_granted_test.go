package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/follow"
	"github.com/tiergate/tiergate/signals/revocation"
)

// TestASidecarFollowsWhatIsGranted: the user of a sidecar reads exceptions, graces and revocations and follows their changes, in every
// shard, and can write neither.
func TestASidecarFollowsWhatIsGranted(t *testing.T) {
	t.Parallel()
	live := serve(t)
	admin := live.open(t, nil)
	live.do(t, sidecarACL(t)...)
	sidecar := openSidecar(t, live)
	kinds := []string{approvals.KindException, approvals.KindGrace, revocation.Kind}
	counts := make(chan int, 1000)
	f := follow.New(sidecar, follow.Options{Kinds: kinds, OnChange: func(all []signals.Record) { counts <- len(all) },
		Events: follow.Events{Offline: func(kind string, err error, _ time.Duration) {
			if network := net.Error(nil); !errors.As(err, &network) { // a loaded machine answers late; it refuses nothing
				t.Errorf("%s: %v", kind, err)
			}
		}}})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	<-f.Loaded()
	for i := range 40 {
		for _, kind := range kinds {
			r := signals.Record{Kind: kind, Key: fmt.Sprint("name", i), Revision: 1, Value: []byte("{}")}
			if err := admin.PutRecord(t.Context(), r, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	deadline := time.After(30 * time.Second)
	for n := 0; n < 120; {
		select {
		case n = <-counts:
		case <-deadline:
			t.Fatalf("%d of 120 records were followed", n)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, kind := range kinds {
		says(t, sidecar.PutRecord(t.Context(), signals.Record{Kind: kind, Key: "name1", Revision: 2, Value: []byte("{}")}, 1), "may not")
		says(t, sidecar.PutRecord(t.Context(), signals.Record{Kind: kind, Key: "new", Revision: 1, Value: []byte("{}")}, 0), "may not")
		says(t, sidecar.DeleteRecord(t.Context(), kind, "name1", 1), "may not")
	}
	if _, err := sidecar.Record(t.Context(), approvals.KindClearance, "x"); err == nil || err.Error() == signals.ErrNotFound.Error() {
		t.Errorf("a sidecar reads clearances: %v", err)
	}
}
