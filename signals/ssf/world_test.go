package ssf_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiergate/tiergate/authz/jwks"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/revocation"
	"github.com/tiergate/tiergate/signals/ssf"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"), goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

func decode(s string) []byte { raw, _ := base64.RawURLEncoding.DecodeString(s); return raw }

// world is a transmitter, a receiver with a real store, and the stream between them.
type world struct {
	t        *testing.T
	tr       *transmitter
	store    signals.Store
	stream   *ssf.Stream
	manager  *ssf.Manager
	options  ssf.ManagerOptions
	receiver *ingest.Receiver
	door     *httptest.Server

	mu    sync.Mutex
	lines []string
}

func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

func (w *world) said(part string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, line := range w.lines {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

func (w *world) wait(what string, is func() bool) {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); {
		if time.Now().After(end) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.t.Fatalf("never came: %s; status %+v\n%s", what, w.manager.Status(), strings.Join(w.lines, "\n"))
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// change is a change of how the world is made.
type change func(*world, *ssf.Options, *ssf.ManagerOptions)

// newWorld runs all of it until the test ends, and waits until the stream stands.
func newWorld(t *testing.T, push bool, changes ...change) *world {
	t.Helper()
	w := prepare(t, push, changes...)
	w.wait("an enabled stream", func() bool { return w.manager.Status().State == "enabled" })
	w.wait("the keys", func() bool { return w.said("fetched keys") > 0 })
	return w
}

// prepare runs all of it.
func prepare(t *testing.T, push bool, changes ...change) *world {
	t.Helper()
	w := &world{t: t, tr: newTransmitter(t)}
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	w.store = store
	discovered := ssf.NewDiscovered(nil, time.Hour, jwks.Events{
		Fetched: func(n int, _ bool, _ time.Time) { w.say("fetched keys %d", n) },
		Failed:  func(err error, _, _ time.Duration) { w.say("no keys: %v", err) }})
	o := ssf.Options{Name: "login", Issuer: w.tr.issuer(), Audiences: []string{audience}, Keys: discovered,
		StateKey: []byte("key of states"), SubjectIssuers: []string{"https://idp.example.com/123456789/"},
		Users:   ssf.Users{Issuer: "corp", Email: true},
		Devices: ssf.Devices{Names: signals.AliasVendor, Source: "mdm"},
		Events: ssf.Events{Heard: func(e ssf.Event) { w.say("heard %s %s", e.Kind, e.URI) },
			Verified: func(asked time.Time) { w.say("verified asked=%v", !asked.IsZero()) },
			Updated:  func(status, reason string) { w.say("updated %s %s", status, reason) }}}
	m := ssf.ManagerOptions{Keys: discovered, Managed: true, Polled: !push, Records: store, VerifyEvery: time.Hour,
		Client: ssf.ClientOptions{Issuer: w.tr.issuer(), TokenURL: w.tr.server.URL + "/token", ClientID: "me",
			ClientSecret: "s3cret"},
		Poll: ssf.Poll{Every: 10 * time.Millisecond},
		Told: ssf.ManagerEvents{Failed: func(err error, _ time.Duration) { w.say("failed: %v", err) },
			Polled: func(a, r, l int) { w.say("polled %d %d %d", a, r, l) }},
		Keep: func(ctx context.Context, raw []byte) error { return w.receiver.KeepSET(ctx, "login", raw) }}
	w.door = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		w.receiver.Handler().ServeHTTP(rw, req)
	}))
	if push {
		o.PushTokens, m.PushToken, m.PushURL = []string{pushToken, "old"}, pushToken, w.door.URL+"/v1/ssf/login"
	}
	for _, f := range changes {
		f(w, &o, &m)
	}
	if w.stream, err = ssf.New(o); err != nil {
		t.Fatal(err)
	}
	m.Stream = w.stream
	w.options = m
	w.receiver, err = ingest.New(w.store, ingest.Options{Alone: true, Events: ingest.Events{
		Refused:      func(_ string, status int, reason string) { w.say("refused %d %s", status, reason) },
		DeadLettered: func(_, id, reason string) { w.say("dead %s %s", id, reason) },
		Repeated:     func(_, id string) { w.say("repeated %s", id) },
		Accepted:     func(_, id string) { w.say("accepted %s", id) },
		Revoked:      func(_, id string, r revocation.Revocation) { w.say("revoked %s %s", id, r.Sort) }},
		Sources: []ingest.Source{{Name: "login", Adapter: w.stream, SETs: true, Attests: []string{"config_compliance",
			"threat_level"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if w.manager, err = ssf.NewManager(m); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = w.receiver.Run(ctx) })
	running.Go(func() { _ = w.manager.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		w.door.Close()
		_ = store.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return w
}

// again runs the manager as after a start with other settings, until the stream stands.
func (w *world) again(edit func(*ssf.ManagerOptions)) {
	w.t.Helper()
	o := w.options
	edit(&o)
	ready := make(chan struct{}, 1)
	o.Told.Ready = func(ssf.Status) { ready <- struct{}{} }
	m, err := ssf.NewManager(o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = m.Run(ctx) })
	select {
	case <-ready:
	case <-time.After(time.Minute):
		w.t.Errorf("the stream does not stand: %+v", m.Status())
	}
	cancel()
	running.Wait()
}

// deliver sends a SET the way of the stream; err is what the transmitter is told, "" if it is acknowledged.
func (w *world) deliver(set string) (err string) {
	w.t.Helper()
	id := w.manager.Status().StreamID
	w.tr.mu.Lock()
	polled := w.tr.polled(id)
	w.tr.mu.Unlock()
	if !polled {
		status, code := w.tr.push(id, set)
		if status == http.StatusAccepted {
			return ""
		}
		return fmt.Sprintf("%d %s", status, code)
	}
	w.tr.mu.Lock()
	jti := w.tr.enqueue(set)
	delete(w.tr.acked, jti)
	w.tr.mu.Unlock()
	w.wait("an answer to "+jti, func() bool {
		w.tr.mu.Lock()
		defer w.tr.mu.Unlock()
		_, refused := w.tr.refused[jti]
		return refused || w.tr.acked[jti]
	})
	w.tr.mu.Lock()
	defer w.tr.mu.Unlock()
	if code := w.tr.refused[jti]; code != "" {
		return "400 " + code
	}
	return ""
}

// table is what the sidecars would know.
func (w *world) table() *revocation.Table {
	w.t.Helper()
	var book revocation.Book
	_, err := w.store.EachRecord(w.t.Context(), revocation.Kind, func(r signals.Record) error {
		one, err := revocation.Read(r)
		if err != nil {
			return err
		}
		book.Put(one)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return book.Table()
}

// heard waits until an event was applied.
func (w *world) heard(kind string, times int) {
	w.t.Helper()
	w.wait("event "+kind, func() bool { return w.said("heard "+kind+" ") >= times })
	w.wait("an empty inbox", func() bool {
		left := 0
		_, err := w.store.EachRecord(w.t.Context(), ingest.KindInbox, func(signals.Record) error { left++; return nil })
		return err == nil && left == 0
	})
}

func (w *world) calls(call string) int {
	w.tr.mu.Lock()
	defer w.tr.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(w.tr.calls), func(c string) bool { return c != call }))
}

func user(sub string) object {
	return object{"format": "iss_sub", "iss": "https://idp.example.com/123456789/", "sub": sub}
}

// fact is the value of an attribute of the one device there is.
func (w *world) fact(attribute string) string {
	w.t.Helper()
	value := ""
	_, err := w.store.EachPosture(w.t.Context(), func(p signals.Posture) error {
		for _, f := range p.Facts {
			if f.Attribute == attribute && slices.Contains(p.Aliases, signals.Alias{Kind: signals.AliasVendor, Value: "mdm/7"}) {
				value, _ = f.Value.AsText()
			}
		}
		return nil
	}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return value
}
