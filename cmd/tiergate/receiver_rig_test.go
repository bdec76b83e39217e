package main

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/ingest"
)

// receiveFrom runs a receiver of sources as the settings have them, on an embedded store. door is that of the first.
func receiveFrom(t *testing.T, all ...*config.Source) (store signals.Store, door string) {
	t.Helper()
	settings := &config.Settings{Log: config.Log{Level: "error", Format: "json"}}
	for _, x := range all {
		settings.Sources = append(settings.Sources, *x)
	}
	o, err := newObserver(settings.Log)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := newSources(settings, o.ingest().Inventory.NotApplied)
	if err != nil {
		t.Fatal(err)
	}
	rig := openReceiver(t, sources, ingest.Events{})
	return rig.store, rig.url + "/v1/sources/" + all[0].Name
}

// awaitFact waits for what a source says of the device with a serial number.
func awaitFact(t *testing.T, store signals.Store, from, serial, attribute, want string) {
	t.Helper()
	got := ""
	for range 200 {
		_, err := store.EachPosture(t.Context(), func(p signals.Posture) error {
			for _, alias := range p.Aliases {
				if alias == (signals.Alias{Kind: signals.AliasSerial, Value: serial}) {
					fact, _, goneUnknown := p.Latest(attribute, from)
					if got = fact.Value.String(); goneUnknown {
						got += ", now unknown"
					}
				}
			}
			return nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got == want {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s of %s: %s is %q, not %q", serial, from, attribute, got, want)
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// runReceiver runs it; stop ends it and waits.
func runReceiver(t *testing.T, receiver *ingest.Receiver) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- receiver.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// serveAdmin serves verbs on an admin socket, beside other parts, until the test ends.
func serveAdmin(t *testing.T, socket string, verbs http.Handler, beside ...part) {
	t.Helper()
	if err := config.SocketDir(filepath.Dir(socket)); err != nil {
		t.Fatal(err)
	}
	listener, err := config.ListenUnix(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	parts := append(beside, part{"admin", func(ctx context.Context) error { return admin.Serve(ctx, listener, verbs) }})
	go func() { ended <- runParts(ctx, parts) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// sendTo sends to a door, or greets it.
func sendTo(t *testing.T, method, url string, header http.Header, body string) (status int, said string) {
	t.Helper()
	response := exchange(t, method, url, header, body)
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}

// exchange sends, and has read the whole answer; its body can be read again.
func exchange(t *testing.T, method, url string, header http.Header, body string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	response.Body = io.NopCloser(strings.NewReader(string(said)))
	return response
}

// basic is the header of a user and password.
func basic(user, password string) http.Header {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header
}

// openedReceiver is a running receiver, with all that it ever wrote to its store.
type openedReceiver struct {
	*ingest.Receiver

	url   string
	store *writtenStore
}

// openReceiver runs a receiver of sources on an embedded store.
func openReceiver(t *testing.T, sources []ingest.Source, events ingest.Events) *openedReceiver {
	t.Helper()
	opened, err := boltstore.Open(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	r := &openedReceiver{store: &writtenStore{Store: opened}}
	if r.Receiver, err = ingest.New(r.store, ingest.Options{Sources: sources, Alone: true, Events: events}); err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewServer(r.Handler())
	r.url = listening.URL
	stop := runReceiver(t, r.Receiver)
	t.Cleanup(func() {
		listening.Close()
		stop()
		_ = opened.Close()
	})
	return r
}

// post sends a delivery.
func (r *openedReceiver) post(t *testing.T, path string, header http.Header, body string) *http.Response {
	t.Helper()
	return exchange(t, http.MethodPost, r.url+path, header, body)
}

func (r *openedReceiver) letters(t *testing.T) []ingest.DeadLetter {
	t.Helper()
	var all []ingest.DeadLetter
	if err := r.DeadLetters(context.Background(), "", func(letter ingest.DeadLetter) error {
		all = append(all, letter)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// awaitLetters waits until there are as many dead letters.
func (r *openedReceiver) awaitLetters(t *testing.T, n int) []ingest.DeadLetter {
	t.Helper()
	var all []ingest.DeadLetter
	for range 200 {
		if all = r.letters(t); len(all) == n {
			return all
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("there are %d dead letters, not %d: %+v", len(all), n, all)
	return nil
}

// awaitDealt waits until nothing lies in the inbox.
func (r *openedReceiver) awaitDealt(t *testing.T) {
	t.Helper()
	lie := 0
	for range 200 {
		lie = 0
		if _, err := r.store.EachRecord(t.Context(), ingest.KindInbox, func(signals.Record) error { lie++; return nil }); err != nil {
			t.Fatal(err)
		}
		if lie == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%d deliveries lie in the inbox", lie)
}

// writtenStore remembers the bytes of every record and the text of every posture that was written.
type writtenStore struct {
	signals.Store

	mu      sync.Mutex
	written []signals.Record
	devices []signals.Posture
}

func (s *writtenStore) PutRecord(ctx context.Context, r signals.Record, expected signals.Revision) error {
	s.mu.Lock()
	s.written = append(s.written, r)
	s.mu.Unlock()
	return s.Store.PutRecord(ctx, r, expected)
}

func (s *writtenStore) PutPosture(ctx context.Context, p signals.Posture, expected signals.Revision) error {
	s.mu.Lock()
	s.devices = append(s.devices, p)
	s.mu.Unlock()
	return s.Store.PutPosture(ctx, p, expected)
}

// logBuffer is a log that many write.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
