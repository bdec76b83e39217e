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

// inTrouble stands before a vendor: of its questions for data some are answered 429 with Retry-After, some 503, and one 401 as when a
// token has ended before its time.
func inTrouble(vendor http.Handler) http.Handler {
	var mu sync.Mutex
	asked, granted := 0, false // granted: its tokens are fetched, so another can be
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			mu.Lock()
			granted = true
			mu.Unlock()
			fmt.Fprint(w, `{"access_token":"t0ken","token_type":"Bearer","expires_in":3600}`)
			return
		}
		mu.Lock()
		asked++
		n, ends := asked, granted && asked == 4
		mu.Unlock()
		switch {
		case !strings.HasSuffix(r.Header.Get("Authorization"), " t0ken"), ends: // Okta's are no bearer tokens
			w.WriteHeader(http.StatusUnauthorized)
		case n%200 == 2:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		case n%200 == 100:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			vendor.ServeHTTP(w, r)
		}
	})
}

// TestLargeSync lists TIERGATE_SYNC devices (50,000 in make prove) of each vendor into the embedded store, with 429s, 503s and a token
// that ends on the way; and then once more, when nothing has changed. In make test there are 130 of each.
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
	played := httptest.NewServer(inTrouble(v.play))
	defer played.Close()
	x := &config.Source{Name: v.kind, Type: v.kind, Attests: []string{"platform", v.attribute},
		API: &config.API{URL: played.URL, ClientID: "c", ClientSecretFile: secretFile(t, "s"), Rate: 5000, Token: &config.APIToken{URL: "/token"}}}
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
	defer func() { _ = store.Close() }()
	ended := make(chan ingest.SyncState, 1)
	receiver, err := ingest.New(store, ingest.Options{Alone: true, Sources: sources, Events: ingest.Events{Inventory: ingest.InventoryEvents{
		SyncEnded:  func(_ string, s ingest.SyncState) { ended <- s },
		NotApplied: func(_, device, reason string) { t.Errorf("%s: %s", device, reason) },
	}}})
	if err != nil {
		t.Fatal(err)
	}
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
}
