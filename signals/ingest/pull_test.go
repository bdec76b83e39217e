package ingest_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/ingest"
)

func TestNudgeIsPulledBeforeItIsDealtWith(t *testing.T) {
	v, store, d := newVendor(t), newMemory(), &diary{}
	release := make(chan struct{})
	var asked atomic.Int32
	v.set(func() {
		v.before = func(_ http.ResponseWriter, req *http.Request) bool {
			if req.URL.Path == "/devices/7" {
				asked.Add(1)
				<-release
			}
			return false
		}
	})
	r := asking(t, v, store, d)
	stop := start(t, r)
	defer stop()
	wait(t, "the first listing", d, func() bool { return len(d.have("synced")) == 1 })
	v.put("7", false, time.Now())
	for i := range 40 {
		nudge(t, r, fmt.Sprint("n", i), "7")
	}
	wait(t, "a question", d, func() bool { return asked.Load() == 1 })
	time.Sleep(100 * time.Millisecond)
	if n := len(store.kind(ingest.KindInbox)); n != 40 || asked.Load() != 1 {
		t.Errorf("%d of 40 deliveries wait for the vendor, which was asked %d times", n, asked.Load())
	}
	close(release)
	wait(t, "an empty inbox", d, func() bool { return len(store.kind(ingest.KindInbox)) == 0 })
	if got := gadgetFacts(t, store, "7"); got != "disk_encryption=false lifecycle=enrolled" {
		t.Errorf("the device is %q", got)
	}
	// The first question may have begun before some of the deliveries came; the second answers all of those.
	if n := asked.Load(); n > 2 {
		t.Errorf("40 deliveries made %d questions, want at most 2", n)
	}
	if n := len(store.kind(ingest.KindDelivery)); n != 40 {
		t.Errorf("%d of 40 deliveries are remembered", n)
	}
}

func TestBusyVendorHoldsUpNobodyElse(t *testing.T) {
	v, store, d := newVendor(t, "7"), newMemory(), &diary{}
	r := asking(t, v, store, d)
	stop := start(t, r)
	defer stop()
	wait(t, "the first listing", d, func() bool { return len(d.have("synced")) == 1 })
	var refused atomic.Int32
	busy := func(after string) {
		refused.Store(0)
		v.set(func() {
			v.before = func(w http.ResponseWriter, _ *http.Request) bool {
				if refused.Add(1) > 1 {
					return false
				}
				w.Header().Set("Retry-After", after)
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			}
		})
	}
	v.put("7", false, time.Now())
	busy("2")
	began := time.Now()
	nudge(t, r, "a", "7")
	wait(t, "the answer", d, func() bool { return refused.Load() > 1 && len(store.kind(ingest.KindInbox)) == 0 })
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("the vendor was asked again after %s, and had said 2 s", took)
	}
	if got := gadgetFacts(t, store, "7"); got != "disk_encryption=false lifecycle=enrolled" {
		t.Errorf("the device is %q", got)
	}
	v.put("7", true, time.Now())
	busy("1000") // longer than this test
	nudge(t, r, "b", "7")
	wait(t, "a refusal", d, func() bool { return refused.Load() == 1 })
	must(t, r, "other", body(`{"serial":"C02ZW1AJLVDL"}`, `{"firewall":true}`))
	wait(t, "the other source's delivery", d, func() bool { return len(d.have("applied mdm other")) == 1 })
	if got := gadgetFacts(t, store, "7"); got != "disk_encryption=false lifecycle=enrolled" {
		t.Errorf("the device is %q while the vendor is busy", got)
	}
}

func TestRestartAsksForWhatWasNotAnswered(t *testing.T) {
	v, store, d := newVendor(t, "7"), newMemory(), &diary{}
	v.set(func() {
		v.before = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
	})
	first := asking(t, v, store, d)
	stop := start(t, first)
	nudge(t, first, "a", "7")
	wait(t, "trouble", d, func() bool { return len(d.have("pull failed")) > 0 })
	stop()
	if n := len(store.kind(ingest.KindInbox)); n != 1 {
		t.Fatalf("%d deliveries in the inbox, want the one that has no answer", n)
	}
	v.set(func() { v.before = nil })
	second := asking(t, v, store, d)
	stop = start(t, second)
	defer stop()
	wait(t, "an empty inbox", d, func() bool { return len(store.kind(ingest.KindInbox)) == 0 })
	if v.count("/devices/7") == 0 || gadgetFacts(t, store, "7") != "disk_encryption=true lifecycle=enrolled" {
		t.Errorf("the device is %q", gadgetFacts(t, store, "7"))
	}
}

func TestGoneDeviceIsWithdrawnAndItsAlarmStays(t *testing.T) {
	v, store, d := newVendor(t), newMemory(), &diary{}
	yes := true
	v.set(func() {
		v.devices["7"] = gadget{ID: "7", Encrypted: &yes, Compromised: &yes, Seen: time.Now().Add(-time.Hour)}
	})
	r := asking(t, v, store, d)
	stop := start(t, r)
	defer stop()
	wait(t, "the first listing", d, func() bool { return len(d.have("synced")) == 1 })
	v.set(func() { delete(v.devices, "7") })
	nudge(t, r, "a", "7")
	wait(t, "the answer", d, func() bool { return len(d.have("pulled 7 gone=true")) == 1 })
	want := "compromised=true+unknown disk_encryption=true+unknown lifecycle=removed"
	if got := gadgetFacts(t, store, "7"); got != want {
		t.Errorf("the device is %q, want %q", got, want)
	}
	v.put("7", true, time.Now()) // it comes back, and says nothing of the alarm
	nudge(t, r, "b", "7")
	wait(t, "the return", d, func() bool { return len(d.have("pulled 7 gone=false")) == 1 })
	want = "compromised=true+unknown disk_encryption=true lifecycle=enrolled"
	if got := gadgetFacts(t, store, "7"); got != want {
		t.Errorf("the device is %q, want %q", got, want)
	}
}

// Enrolling again gives a device a new id; that the old one is gone says nothing then.
func TestOldIDOfADeviceThatIsStillThere(t *testing.T) {
	v, store, d := newVendor(t), newMemory(), &diary{}
	yes := true
	seen := time.Now().Add(-time.Hour)
	v.set(func() {
		v.devices["7"] = gadget{ID: "7", Encrypted: &yes, Seen: seen, Serial: "C02ZW1AJLVDL"}
		v.devices["8"] = gadget{ID: "8", Encrypted: &yes, Seen: seen, Serial: "C02ZW1AJLVDL"}
	})
	r := asking(t, v, store, d)
	stop := start(t, r)
	defer stop()
	wait(t, "the first listing", d, func() bool { return len(d.have("synced")) == 1 })
	v.set(func() { delete(v.devices, "7") })
	nudge(t, r, "a", "7")
	wait(t, "the answer", d, func() bool { return len(d.have("pulled 7")) == 1 })
	if got := resync(t, r, d, false); got != "synced pages=1 devices=1 withdrawn=0 " {
		t.Error(got)
	}
	if got := gadgetFacts(t, store, "8"); got != "disk_encryption=true lifecycle=enrolled" {
		t.Errorf("the device is %q", got)
	}
}
