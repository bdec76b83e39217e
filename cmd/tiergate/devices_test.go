package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/replica"
)

// aDesk is a desk over a real store with n devices that carry the serial S and six digits.
func aDesk(t *testing.T, n int) (*deviceDesk, *boltstore.Store, http.Handler) {
	t.Helper()
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() }) // a test may have closed it
	var writers sync.WaitGroup
	for w := range 200 { // they share syncs
		writers.Go(func() {
			for i := w; i < n; i += 200 {
				name := fmt.Sprintf("%06d", i)
				p := signals.Posture{Device: signals.DeviceID("d" + name), Revision: 1,
					Aliases: []signals.Alias{{Kind: signals.AliasSerial, Value: "S" + name}}}
				if err := store.PutPosture(t.Context(), p, 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	copied := replica.New(store, replica.Options{})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- copied.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	<-copied.Loaded()
	judge := func(*signals.Posture, time.Time) policy.Standing {
		return policy.Standing{Signals: []policy.SignalStanding{{Signal: "x", Status: policy.StatusFailing}}}
	}
	desk := &deviceDesk{devices: copied, records: store, now: time.Now,
		judge: func() (authz.Judge, string) { return judge, "sha256:1" }}
	mux := http.NewServeMux()
	desk.register(mux)
	return desk, store, mux
}

func asked(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// What cannot be told is said, and never looks like all is well.
func TestDeskSaysWhatItCannotTell(t *testing.T) {
	t.Parallel()
	desk, store, h := aDesk(t, 2)
	put := func(alias, value string) {
		t.Helper()
		r := signals.Record{Kind: ingest.KindAlias, Key: alias, Revision: 1, Value: []byte(value)}
		if err := store.PutRecord(t.Context(), r, 0); err != nil {
			t.Fatal(err)
		}
	}
	want := func(path string, status int, words string) {
		t.Helper()
		if code, body := asked(t, h, path); code != status || !strings.Contains(body, words) {
			t.Errorf("%s: %d %s; want %d and %q", path, code, body, status, words)
		}
	}
	want("/v1/devices/S000000", 200, "nobody has claimed it")
	put("serial:S000000", "{")
	want("/v1/devices/S000000", 200, "cannot be read")
	put("serial:S000001", "d000000")
	want("/v1/devices/d000001", 200, "its claim is of device d000000")
	want("/v1/devices/nobody", 404, "no device is known as")
	want("/v1/devices?tier=x", 400, "no tier")
	want("/v1/devices?failing=y", 400, "it has [x]")
	want("/v1/devices?silentFor=1", 400, "a time above 0")
	want("/v1/devices?limit=-1", 400, "a number of devices")
	want("/v1/devices?silent=1h", 400, "there is no parameter")
	want("/v1/devices?summary=true", 200, `"failing": 2`)
	judge := desk.judge
	desk.judge = func() (authz.Judge, string) { return nil, "" }
	want("/v1/devices", 503, "no policy is in force")
	desk.judge = judge
	if err := store.Close(); err != nil { // the copy is kept, the reasons are gone
		t.Fatal(err)
	}
	want("/v1/devices/S000000", 200, "cannot be read from here")
	want("/v1/contested", 200, "cannot be read from here")
	desk.devices = replica.New(store, replica.Options{})
	for _, path := range []string{"/v1/devices", "/v1/devices/S000000", "/v1/contested"} {
		want(path, 503, "not loaded yet")
	}
}

// peak writes nothing and remembers the most memory that was in use.
type peak struct {
	http.ResponseWriter
	lines int
	most  uint64
}

func (p *peak) SetWriteDeadline(time.Time) error { return nil }

func (p *peak) Write(b []byte) (int, error) {
	p.lines += bytes.Count(b, []byte("\n"))
	if p.lines%50 == 0 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		p.most = max(p.most, m.HeapAlloc)
	}
	return len(b), nil
}

// A list of many devices is written as it is made: it takes some bytes for each device and no more, is sorted, and pages
// meet.
func TestDeskListsManyDevices(t *testing.T) {
	const n = 20_000
	_, _, h := aDesk(t, n)
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	w := &peak{ResponseWriter: httptest.NewRecorder()}
	began := time.Now()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/devices", nil))
	took, more := time.Since(began), int64(w.most)-int64(before.HeapAlloc)
	t.Logf("%d devices in %s, at most %d KiB more", w.lines, took, more>>10)
	if w.lines != n || more > n*200 {
		t.Errorf("%d lines, %d bytes more", w.lines, more)
	}
	var pages []string
	for after, length := "", 7000; length == 7000; {
		_, body := asked(t, h, "/v1/devices?limit=7000&after="+after)
		lines := strings.Split(strings.TrimSpace(body), "\n")
		for _, text := range lines {
			var line admin.DeviceLine
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Fatal(err)
			}
			pages = append(pages, string(line.Device))
		}
		after, length = pages[len(pages)-1], len(lines)
	}
	if len(pages) != n || !slices.IsSorted(pages) || len(slices.Compact(pages)) != n {
		t.Errorf("%d devices in pages", len(pages))
	}
}
