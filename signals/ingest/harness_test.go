package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/standard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"

// attests is what the source of these tests may state; compromised is not among it.
var attests = []string{"disk_encryption", "firewall", "os_version", "edr_healthy"}

// diary keeps what Events were told, one line each.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) write(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// have returns the lines that begin so.
func (d *diary) have(prefix string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.lines), func(line string) bool { return !strings.HasPrefix(line, prefix) })
}

func (d *diary) events() ingest.Events {
	return ingest.Events{
		Refused:  func(from string, status int, reason string) { d.write("refused %q %d %s", from, status, reason) },
		Accepted: func(from, id string) { d.write("accepted %s %s", from, id) },
		Repeated: func(from, id string) { d.write("repeated %s %s", from, id) },
		Applied: func(from, id string, device signals.DeviceID, changed bool, lag time.Duration) {
			if device == "" || lag < 0 {
				d.write("bad event: device %q, lag %s", device, lag)
			}
			d.write("applied %s %s changed=%v", from, id, changed)
		},
		Dropped:      func(from, id, attribute string) { d.write("dropped %s %s %s", from, id, attribute) },
		DeadLettered: func(from, id, reason string) { d.write("dead %s %s %s", from, id, reason) },
		Postponed:    func(from, id string, err error) { d.write("postponed %s %s %v", from, id, err) },
		SweepFailed:  func(err error) { d.write("sweep failed %v", err) },
		LeaseFailed:  func(err error) { d.write("lease failed %v", err) },
		Retried:      func(from, id string) { d.write("retried %s %s", from, id) },
		Discarded:    func(from, id string) { d.write("discarded %s %s", from, id) },
	}
}

type option func(*ingest.Options)

func receiver(t testing.TB, store signals.Store, d *diary, more ...option) *ingest.Receiver {
	t.Helper()
	adapter, err := standard.New([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	opts := ingest.Options{Sources: []ingest.Source{{Name: "mdm", Adapter: adapter, Attests: attests}}, Events: d.events(),
		Name: "the-receiver"}
	for _, change := range more {
		change(&opts)
	}
	r, err := ingest.New(store, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// start runs the receiver; the function that it returns stops it and waits.
func start(t testing.TB, r *ingest.Receiver) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// body is a delivery about a device, seen now.
func body(device, attributes string) string {
	at := time.Now().UTC().Format(time.RFC3339)
	return `{"type":"device.posture.updated","timestamp":"` + at + `","data":{"device":` + device + `,"observed_at":"` + at +
		`","attributes":` + attributes + `}}`
}

func request(t testing.TB, id, body string) *http.Request {
	t.Helper()
	header, err := standard.Sign(secret, id, time.Now(), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/sources/mdm", strings.NewReader(body))
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	return req
}

func post(t testing.TB, r *ingest.Receiver, id, body string) int {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, request(t, id, body))
	return w.Code
}

// must posts a delivery that has to be taken.
func must(t testing.TB, r *ingest.Receiver, id, body string) {
	t.Helper()
	if code := post(t, r, id, body); code != http.StatusAccepted {
		t.Errorf("delivery %s: %d", id, code)
	}
}

// values returns what the one device of the store is known to be.
func values(t testing.TB, store *memory) (signals.DeviceID, map[string]signals.Value) {
	t.Helper()
	born := store.born()
	if len(born) != 1 {
		t.Fatalf("%d devices, want 1: %+v", len(born), born)
	}
	for id, p := range born {
		values := map[string]signals.Value{}
		for _, f := range p.Facts {
			values[f.Attribute] = f.Value
		}
		return id, values
	}
	return "", nil
}

func deadLetters(t testing.TB, store *memory) []ingest.DeadLetter {
	t.Helper()
	var letters []ingest.DeadLetter
	for _, record := range store.kind(ingest.KindDeadLetter) {
		letter, err := ingest.ReadDeadLetter(record)
		if err != nil {
			t.Fatal(err)
		}
		if record.Key != letter.Source+"/"+letter.ID || !record.Expires.IsZero() || letter.Received.IsZero() {
			t.Errorf("dead letter %+v has key %s and expires %s", letter, record.Key, record.Expires)
		}
		letters = append(letters, letter)
	}
	return letters
}

// bubble runs f in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func mustEmpty(t testing.TB, store *memory, kind string) {
	t.Helper()
	if left := store.kind(kind); len(left) > 0 {
		raw, _ := json.Marshal(left)
		t.Errorf("%s holds %s", kind, raw)
	}
}

// scripted is an adapter that says what a test wants.
type scripted struct {
	id      string
	err     error
	observe func(source.Delivery) ([]signals.Observation, error)
}

func (s scripted) Authenticate(source.Delivery, time.Time) (string, error) { return s.id, s.err }

func (s scripted) Observe(d source.Delivery) ([]signals.Observation, error) {
	if s.observe == nil {
		return nil, errors.New("not scripted")
	}
	return s.observe(d)
}

func with(adapter source.Adapter) option {
	return func(o *ingest.Options) { o.Sources[0].Adapter = adapter }
}

func serve(r *ingest.Receiver, req *http.Request) {
	r.Handler().ServeHTTP(httptest.NewRecorder(), req)
}

// corruptOne cannot read one device while corrupt is true.
type corruptOne struct {
	*memory
	device  atomic.Value // a DeviceID
	corrupt atomic.Bool
}

func (c *corruptOne) Posture(ctx context.Context, device signals.DeviceID) (signals.Posture, error) {
	if c.corrupt.Load() && device == c.device.Load() {
		return signals.Posture{}, fmt.Errorf("device %s: %w", device, signals.ErrCorrupt)
	}
	return c.memory.Posture(ctx, device)
}
