package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/ingest"
)

// trouble stands before a vendor: of its questions for data some are answered 429 with Retry-After, some 503, one 401 as when a token
// has ended before its time, and some are sent to where the data are now.
type trouble struct {
	vendor http.Handler

	mu      sync.Mutex
	asked   int
	granted bool // its tokens are fetched, so another can be
	came    int  // how many questions came to where they had been sent
}

// movedTo is where the data are now.
const movedTo = "/moved"

func (x *trouble) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		x.mu.Lock()
		x.granted = true
		x.mu.Unlock()
		fmt.Fprint(w, `{"access_token":"t0ken","token_type":"Bearer","expires_in":3600}`)
		return
	}
	x.mu.Lock()
	x.asked++
	n, ends := x.asked, x.granted && x.asked == 4
	came := strings.HasPrefix(r.URL.Path, movedTo)
	if came {
		x.came++
	}
	x.mu.Unlock()
	switch {
	case !strings.HasSuffix(r.Header.Get("Authorization"), " t0ken"), ends: // Okta's are no bearer tokens
		w.WriteHeader(http.StatusUnauthorized)
	case came:
		http.StripPrefix(movedTo, x.vendor).ServeHTTP(w, r)
	case n%200 == 2:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case n%200 == 100:
		w.WriteHeader(http.StatusServiceUnavailable)
	case n%100 == 3 && r.Method == http.MethodGet:
		http.Redirect(w, r, movedTo+r.URL.RequestURI(), http.StatusFound)
	default:
		x.vendor.ServeHTTP(w, r)
	}
}

// TestLargeSync lists TIERGATE_SYNC devices (50,000 in make prove) of each vendor into the embedded store, with 429s, 503s, redirects and a
// token that ends on the way; and then once more, when nothing has changed. In make test there are 130 of each.
func TestLargeSync(t *testing.T) {
	t.Parallel()
	n, full := 130, false
	if text := os.Getenv("TIERGATE_SYNC"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
		full = true
	}
	var turn sync.Mutex
	for _, v := range largeVendors(n) {
		t.Run(v.kind, func(t *testing.T) {
			t.Parallel()
			if full { // each has the machine to itself, and its figures are its own
				turn.Lock()
				defer turn.Unlock()
			}
			v.sync(t, n)
		})
	}
}

func (v *largeVendor) sync(t *testing.T, n int) {
	t.Helper()
	before := &trouble{vendor: v.play}
	played := httptest.NewServer(before)
	defer played.Close()
	ended := make(chan ingest.SyncState, 1)
	store, receiver := v.receiver(t, played.URL, ingest.InventoryEvents{SyncEnded: func(_ string, s ingest.SyncState) { ended <- s }})
	defer runReceiver(t, receiver)()
	for _, what := range []string{"first", "nothing changed"} {
		if what != "first" {
			if err := receiver.RequestSync(t.Context(), v.kind, false); err != nil {
				t.Fatal(err)
			}
		}
		s := <-ended
		if s.Devices != n || s.Fault != "" || s.Faults != 0 || s.Withdrawn != 0 {
			t.Fatalf("%s: %+v", what, s)
		}
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		took := s.Finished.Sub(s.Started)
		t.Logf("%s: %d devices on %d pages in %s, %.0f devices/s, heap %d MiB", what, s.Devices, s.Pages,
			took.Round(time.Millisecond), float64(n)/took.Seconds(), memory.HeapAlloc>>20)
	}
	devices := 0
	if _, err := store.EachPosture(context.Background(), func(p signals.Posture) error {
		if fact, known, _ := p.Latest(v.attribute, v.kind); known && fact.Value.String() == v.value && len(p.Aliases) > 1 {
			devices++
		}
		return nil
	}, nil); err != nil || devices != n {
		t.Errorf("%d devices with %s %s are stored, %v", devices, v.attribute, v.value, err)
	}
	if before.came == 0 {
		t.Error("no redirect was followed")
	}
}

// receiver is one that lists the devices of this vendor at a URL into a store of its own.
func (v *largeVendor) receiver(t *testing.T, url string, tell ingest.InventoryEvents) (signals.Store, *ingest.Receiver) {
	t.Helper()
	x := &config.Source{Name: v.kind, Type: v.kind, Attests: []string{"platform", v.attribute},
		API: &config.API{URL: url, ClientID: "c", ClientSecretFile: secretFile(t, "s"), Rate: 5000, Token: &config.APIToken{URL: "/token"}}}
	if v.settings != nil {
		v.settings(t, x)
	}
	sources, err := newSources(&config.Settings{Sources: []config.Source{*x}}, func(_, device, reason string) { t.Errorf("%s: %s", device, reason) })
	if err != nil {
		t.Fatal(err)
	}
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	tell.NotApplied = func(_, device, reason string) { t.Errorf("%s: %s", device, reason) }
	receiver, err := ingest.New(store, ingest.Options{Alone: true, Sources: sources, Events: ingest.Events{Inventory: tell}})
	if err != nil {
		t.Fatal(err)
	}
	return store, receiver
}

// TestVendorSendsElsewhere: a vendor's API that sends us to another host is not followed: that host is not asked, so it gets nothing that we log
// in with, and what failed says which setting would allow it.
func TestVendorSendsElsewhere(t *testing.T) {
	t.Parallel()
	for _, v := range largeVendors(3) {
		t.Run(v.kind, func(t *testing.T) {
			t.Parallel()
			elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				t.Errorf("%s %s was asked, with %v", r.Method, r.URL, r.Header)
			}))
			t.Cleanup(elsewhere.Close)
			played := httptest.NewServer(&trouble{vendor: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, elsewhere.URL+r.URL.RequestURI(), http.StatusFound)
			})})
			t.Cleanup(played.Close)
			told := make(chan error, 1)
			store, receiver := v.receiver(t, played.URL, ingest.InventoryEvents{PullFailed: func(_, _ string, _ time.Duration, err error) {
				select {
				case told <- err:
				default: // it is asked for again
				}
			}})
			defer runReceiver(t, receiver)()
			host := strings.TrimPrefix(elsewhere.URL, "http://")
			if err := <-told; !strings.Contains(err.Error(), host) || !strings.Contains(err.Error(), "allowedHosts") {
				t.Error(err)
			}
			if _, err := store.EachPosture(t.Context(), func(p signals.Posture) error { return fmt.Errorf("%v is stored", p.Device) }, nil); err != nil {
				t.Error(err)
			}
		})
	}
}
