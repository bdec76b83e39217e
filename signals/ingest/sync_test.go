package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
)

const healthy = "disk_encryption=true lifecycle=enrolled"

// listing starts a receiver and waits for its first listing.
func listing(t *testing.T, v *vendor) (*ingest.Receiver, *memory, *diary) {
	t.Helper()
	store, d := newMemory(), &diary{}
	r := asking(t, v, store, d)
	t.Cleanup(start(t, r))
	wait(t, "the first listing", d, func() bool { return len(d.have("synced")) == 1 })
	return r, store, d
}

func TestSyncFindsSilentRemovalAndReturn(t *testing.T) {
	v := newVendor(t, "1", "2", "3", "4", "5")
	r, store, d := listing(t, v)
	if got := d.have("synced")[0]; got != "synced pages=3 devices=5 withdrawn=0 " {
		t.Fatal(got)
	}
	v.set(func() { delete(v.devices, "2") })
	if got := resync(t, r, d, false); got != "synced pages=2 devices=4 withdrawn=1 " {
		t.Error(got)
	}
	if got := gadgetFacts(t, store, "2"); got != "disk_encryption=true+unknown lifecycle=removed" {
		t.Errorf("device 2 is %q", got)
	}
	for _, id := range []string{"1", "3", "4", "5"} {
		if got := gadgetFacts(t, store, id); got != healthy {
			t.Errorf("device %s is %q", id, got)
		}
	}
	asked := v.count("/devices/2")
	if got := resync(t, r, d, false); got != "synced pages=2 devices=4 withdrawn=0 " {
		t.Error(got)
	}
	if v.count("/devices/2") != asked {
		t.Error("a device that was withdrawn is asked for at each listing")
	}
	v.put("2", true, time.Now())
	resync(t, r, d, false)
	if got := gadgetFacts(t, store, "2"); got != healthy {
		t.Errorf("device 2 is back and %q", got)
	}
	wait(t, "the end of what was kept of the pages", d, func() bool { return len(store.kind(ingest.KindSyncPage)) == 0 })
}

// While pages are read, a device that goes moves the others forward, and one of them can slip through between two pages.
func TestSyncAsksBeforeItWithdraws(t *testing.T) {
	v := newVendor(t, "1", "2", "3", "4", "5")
	r, store, d := listing(t, v)
	v.set(func() { v.hidden = "3" })
	if got := resync(t, r, d, false); got != "synced pages=2 devices=4 withdrawn=0 " {
		t.Error(got)
	}
	if got := gadgetFacts(t, store, "3"); got != healthy || v.count("/devices/3") == 0 {
		t.Errorf("device 3 is %q and was asked for %d times", got, v.count("/devices/3"))
	}
	// If the question has no answer either, nothing is known of it, and the listing does not count.
	v.set(func() {
		v.before = func(w http.ResponseWriter, req *http.Request) bool {
			if req.URL.Path == "/devices/3" {
				w.WriteHeader(http.StatusForbidden)
				return true
			}
			return false
		}
	})
	if got := resync(t, r, d, false); !strings.Contains(got, "withdrawn=0 1 devices are not in the list and could not be asked") {
		t.Error(got)
	}
	if got := gadgetFacts(t, store, "3"); got != healthy {
		t.Errorf("device 3 is %q", got)
	}
}

func TestDoubtfulListingWithdrawsNothing(t *testing.T) {
	t.Parallel()
	all := []string{"1", "2", "3", "4", "5", "6"}
	for name, c := range map[string]struct {
		change func(v *vendor)
		want   string
	}{
		"ends early": {func(v *vendor) { v.total = 6; delete(v.devices, "6") }, "the vendor's list ended early: it has 5"},
		"shrank": {func(v *vendor) {
			for _, id := range all[:4] {
				delete(v.devices, id)
			}
		}, "the list shrank from 6 devices to 2"},
		"is empty": {func(v *vendor) { clear(v.devices) }, "the list shrank from 6 devices to 0"},
		"loops":    {func(v *vendor) { v.loop = true; delete(v.devices, "6") }, "goes in circles"},
		"is refused": {func(v *vendor) {
			v.before = func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(http.StatusForbidden)
				return true
			}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t, all...)
			r, store, d := listing(t, v)
			v.set(func() { c.change(v) })
			if c.want == "" {
				if err := r.RequestSync(t.Context(), "toys", false); err != nil {
					t.Fatal(err)
				}
				wait(t, "trouble", d, func() bool { return len(d.have("pull failed page 1: ")) > 0 })
			} else if got := resync(t, r, d, false); !strings.Contains(got, "withdrawn=0 ") || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			for _, id := range all {
				if got := gadgetFacts(t, store, id); got != healthy {
					t.Errorf("device %s is %q", id, got)
				}
			}
		})
	}
}

func TestShrinkIsAccepted(t *testing.T) {
	v := newVendor(t, "1", "2", "3")
	r, store, d := listing(t, v)
	v.set(func() { delete(v.devices, "1"); delete(v.devices, "2") })
	if got := resync(t, r, d, false); !strings.Contains(got, "--accept-shrink") {
		t.Error(got)
	}
	if got := resync(t, r, d, true); got != "synced pages=1 devices=1 withdrawn=2 " {
		t.Error(got)
	}
	if got := gadgetFacts(t, store, "1"); got != "disk_encryption=true+unknown lifecycle=removed" {
		t.Errorf("device 1 is %q", got)
	}
	v.set(func() { clear(v.devices) })
	if got := resync(t, r, d, false); !strings.Contains(got, "--accept-shrink") {
		t.Errorf("what was accepted once is accepted again: %s", got)
	}
}

// What is seen after a listing has begun wins over what the listing lacks.
func TestNewerWordWinsOverSweep(t *testing.T) {
	v := newVendor(t, "1", "2", "3", "4")
	r, store, d := listing(t, v)
	later := time.Now().Add(time.Minute)
	v.put("2", true, later)
	nudge(t, r, "a", "2")
	wait(t, "the answer", d, func() bool { return len(d.have("pulled 2")) == 1 })
	v.set(func() { delete(v.devices, "2") })
	if got := resync(t, r, d, false); !strings.HasPrefix(got, "synced pages=2 devices=3") {
		t.Error(got)
	}
	if got := gadgetFacts(t, store, "2"); got != healthy {
		t.Errorf("device 2, seen later than the listing, is %q", got)
	}
}

func TestListingGoesOnAfterRestart(t *testing.T) {
	v, store, d := newVendor(t, "1", "2", "3", "4", "5", "6"), newMemory(), &diary{}
	stuck := make(chan struct{})
	var once sync.Once
	v.set(func() {
		v.before = func(_ http.ResponseWriter, req *http.Request) bool {
			if req.FormValue("at") == "4" {
				once.Do(func() { close(stuck) })
				<-req.Context().Done()
			}
			return false
		}
	})
	stop := start(t, asking(t, v, store, d))
	<-stuck
	stop()
	v.set(func() { v.before = nil })
	r := asking(t, v, store, d)
	defer start(t, r)()
	wait(t, "the end of the listing", d, func() bool { return len(d.have("synced")) == 1 })
	if got := d.have("synced")[0]; got != "synced pages=3 devices=6 withdrawn=0 " {
		t.Error(got)
	}
	if first, second := v.count("/devices"), v.count("/devices?at=2"); first != 1 || second != 1 {
		t.Errorf("after the restart the first pages were read again: %d, %d times", first, second)
	}
	statuses, err := r.Sources(t.Context())
	if err != nil || len(statuses) != 2 || statuses[1].Sync == nil || statuses[1].Sync.Complete != 6 || statuses[1].Sync.Running() {
		t.Errorf("%+v, %v", statuses, err)
	}
}

func TestOneReceiverListsAtATime(t *testing.T) {
	v, store, d := newVendor(t, "1", "2", "3"), newMemory(), &diary{}
	v.set(func() {
		v.before = func(http.ResponseWriter, *http.Request) bool { time.Sleep(50 * time.Millisecond); return false }
	})
	for i := range 3 {
		defer start(t, asking(t, v, store, d, func(o *ingest.Options) { o.Name = fmt.Sprint("receiver-", i) }))()
	}
	wait(t, "the end of a listing", d, func() bool { return len(d.have("synced")) == 1 })
	time.Sleep(200 * time.Millisecond)
	if n := v.count("/devices"); n != 1 || len(d.have("synced")) != 1 {
		t.Errorf("three receivers read the first page %d times", n)
	}
}

// stingy fails the write of a device's posture while it is told to.
type stingy struct {
	walkable
	fail func() bool
}

func (s stingy) PutPosture(ctx context.Context, p signals.Posture, expected signals.Revision) error {
	if s.fail() {
		return errors.New("no space left on device")
	}
	return s.walkable.PutPosture(ctx, p, expected)
}

func TestListingWaitsForTheStore(t *testing.T) {
	v, memory, d := newVendor(t, "1", "2", "3"), newMemory(), &diary{}
	failing := func() bool { return len(d.have("sync failed")) == 0 }
	r := asking(t, v, stingy{walkable{memory}, failing}, d)
	defer start(t, r)()
	wait(t, "trouble", d, func() bool { return len(d.have("sync failed: no space left")) == 1 })
	if got := resync(t, r, d, false); !strings.Contains(got, "devices=3 withdrawn=0") {
		t.Error(got)
	}
	for _, id := range []string{"1", "2", "3"} {
		if got := gadgetFacts(t, memory, id); got != healthy {
			t.Errorf("device %s is %q", id, got)
		}
	}
}
