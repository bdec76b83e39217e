package ingest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source"
)

func TestNewRefuses(t *testing.T) {
	good := ingest.Source{Name: "mdm", Adapter: scripted{}, Attests: []string{"firewall"}}
	for name, change := range map[string]func(*ingest.Source){
		"no name":          func(s *ingest.Source) { s.Name = "" },
		"a slash":          func(s *ingest.Source) { s.Name = "a/b" },
		"a blank":          func(s *ingest.Source) { s.Name = "a b" },
		"dots":             func(s *ingest.Source) { s.Name = ".." },
		"a long name":      func(s *ingest.Source) { s.Name = strings.Repeat("x", 64) },
		"a line break":     func(s *ingest.Source) { s.Name = "a\n" },
		"no adapter":       func(s *ingest.Source) { s.Adapter = nil },
		"attests nothing":  func(s *ingest.Source) { s.Attests = nil },
		"attests nonsense": func(s *ingest.Source) { s.Attests = []string{"firewall", "fire_wall"} },
	} {
		bad := good
		change(&bad)
		if _, err := ingest.New(newMemory(), ingest.Options{Sources: []ingest.Source{bad}}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	_, err := ingest.New(newMemory(), ingest.Options{Sources: []ingest.Source{good, good, {Name: "x"}}})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("all faults in one run, not %v", err)
	}
	if _, err := ingest.New(newMemory(), ingest.Options{}); err != nil {
		t.Errorf("no sources: %v", err)
	}
}

// problemOf checks that an answer is a problem that shows nothing of the request, and returns its type.
func problemOf(t *testing.T, w *http.Response, sent ...string) string {
	t.Helper()
	raw, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatalf("%v: %q", err, raw)
	}
	if w.Header.Get("Content-Type") != "application/problem+json" || p.Status != w.StatusCode || p.Title == "" ||
		p.Detail == "" || !strings.HasPrefix(p.Type, "tag:tiergate.dev,2026:problem:") {
		t.Errorf("%v %s is no problem of RFC 9457", w.Header, raw)
	}
	for _, secret := range append(sent, secret, secret[6:]) {
		if secret != "" && strings.Contains(string(raw), secret) {
			t.Errorf("the answer shows %q: %s", secret, raw)
		}
	}
	return strings.TrimPrefix(p.Type, "tag:tiergate.dev,2026:problem:")
}

func TestDoorRefuses(t *testing.T) {
	const marker = "MARKER-4711"
	good := body(`{"serial":"`+marker+`"}`, `{"firewall":true}`)
	tests := []struct {
		name   string
		change func(*http.Request)
		status int
		kind   string
		header map[string]string
	}{
		{"another path", func(r *http.Request) { r.URL.Path = "/v1/source/mdm" }, 404, "no-such-path", nil},
		{"the root", func(r *http.Request) { r.URL.Path = "/" }, 404, "no-such-path", nil},
		{"a longer path", func(r *http.Request) { r.URL.Path = "/v1/sources/mdm/x" }, 404, "no-such-path", nil},
		{"another source", func(r *http.Request) { r.URL.Path = "/v1/sources/" + marker }, 404, "no-such-source", nil},
		{"the source in capitals", func(r *http.Request) { r.URL.Path = "/v1/sources/MDM" }, 404, "no-such-source", nil},
		{"GET", func(r *http.Request) { r.Method = http.MethodGet }, 405, "method", map[string]string{"Allow": "POST"}},
		{"HEAD", func(r *http.Request) { r.Method = http.MethodHead }, 405, "method", map[string]string{"Allow": "POST"}},
		{"PUT", func(r *http.Request) { r.Method = http.MethodPut }, 405, "method", map[string]string{"Allow": "POST"}},
		{"gzip", func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415, "content-encoding",
			map[string]string{"Accept-Encoding": "identity", "Connection": "close"}},
		{"identity, gzip", func(r *http.Request) { r.Header["Content-Encoding"] = []string{"identity", "gzip"} }, 415,
			"content-encoding", nil},
		{"no signature", func(r *http.Request) { r.Header.Del("webhook-signature") }, 401, "not-authentic",
			map[string]string{"WWW-Authenticate": "StandardWebhooks"}},
		{"a forged body", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(good + " ")) }, 401, "not-authentic", nil},
		{"a forged, ambiguous body", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"a":1,"a":2}`)) }, 401,
			"not-authentic", nil},
		{"not JSON", func(r *http.Request) { *r = *request(t, "2", "<"+marker+"/>") }, 400, "unreadable", nil},
		{"two readings", func(r *http.Request) { *r = *request(t, "2", `{"`+marker+`":1,"marker-4711":2}`) }, 400, "unreadable", nil},
		{"trailing data", func(r *http.Request) { *r = *request(t, "2", good+"{}") }, 400, "unreadable", nil},
		{"a length too large", func(r *http.Request) { r.ContentLength = 2049 }, 413, "too-large",
			map[string]string{"Connection": "close"}},
		{"a body too large", func(r *http.Request) {
			*r = *request(t, "2", `{"a":"`+strings.Repeat("x", 2048)+`"}`)
			r.ContentLength = -1
		}, 413, "too-large", nil},
		{"a body that breaks", func(r *http.Request) { r.Body = io.NopCloser(broken{}) }, 400, "broken-body",
			map[string]string{"Connection": "close"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, d := newMemory(), &diary{}
			r := receiver(t, store, d, func(o *ingest.Options) { o.MaxBody = 2048 })
			req := request(t, "1", good)
			tt.change(req)
			w := httptest.NewRecorder()
			r.Handler().ServeHTTP(w, req)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if kind := problemOf(t, w.Result(), marker); kind != tt.kind {
				t.Errorf("problem %s, want %s", kind, tt.kind)
			}
			for name, want := range tt.header {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			mustEmpty(t, store, ingest.KindInbox)
			mustEmpty(t, store, ingest.KindDelivery)
			if got := d.have("refused"); len(got) != 1 || !strings.Contains(got[0], fmt.Sprint(" ", tt.status, " ")) {
				t.Errorf("events %q", got)
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// What an adapter answers is told as it wants, and anything else is a 401 without a word of it.
func TestDoorTellsWhatTheAdapterWants(t *testing.T) {
	for _, tt := range []struct {
		adapter       scripted
		status        int
		shown, hidden string
	}{
		{scripted{err: errors.New("inner")}, 401, "could not be verified", "inner"},
		{scripted{err: &source.Refusal{Status: 401, Detail: "Shown.", Reason: errors.New("inner")}}, 401, "Shown.", "inner"},
		{scripted{err: &source.Refusal{Status: 400, Detail: "Shown.", Reason: errors.New("inner")}}, 400, "Shown.", "inner"},
		{scripted{err: &source.Refusal{Status: 200, Detail: "Shown."}}, 401, "Shown.", "inner"},
		{scripted{id: ""}, 400, "", ""},
		{scripted{id: "a b"}, 400, "", ""},
	} {
		store := newMemory()
		r := receiver(t, store, &diary{}, with(tt.adapter))
		w := httptest.NewRecorder()
		r.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/v1/sources/mdm", strings.NewReader("{}")))
		text := w.Body.String()
		if w.Code != tt.status || !strings.Contains(text, tt.shown) || (tt.hidden != "" && strings.Contains(text, tt.hidden)) {
			t.Errorf("%+v: %d %s", tt.adapter, w.Code, text)
		}
		if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%d with WWW-Authenticate %q", w.Code, w.Header().Get("WWW-Authenticate"))
		}
		mustEmpty(t, store, ingest.KindInbox)
	}
}

func TestDoorAnswersWithAnEmptyBody(t *testing.T) {
	store, d := newMemory(), &diary{}
	w := httptest.NewRecorder()
	receiver(t, store, d).Handler().ServeHTTP(w, request(t, "1", body(`{"serial":"C02"}`, `{"firewall":true}`)))
	if w.Code != http.StatusAccepted || w.Body.Len() != 0 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if len(store.kind(ingest.KindInbox)) != 1 || len(d.have("accepted mdm 1")) != 1 {
		t.Errorf("not in the inbox, or not told: %q", d.lines)
	}
	req := request(t, "2", body(`{"serial":"C02"}`, `{"firewall":true}`))
	req.Header.Set("Content-Encoding", "Identity")
	w = httptest.NewRecorder()
	if receiver(t, store, d).Handler().ServeHTTP(w, req); w.Code != http.StatusAccepted {
		t.Errorf("identity is no coding: %d", w.Code)
	}
}

// A 202 is said after the write, never instead of it; a write whose answer was lost is not promised either.
func TestDoorSays503WhenNothingIsKept(t *testing.T) {
	for _, op := range []string{"Record delivery", "PutRecord inbox"} {
		for _, lost := range []bool{false, true} {
			fail := func(got string) error {
				if got == op {
					return errDown
				}
				return nil
			}
			inner := newMemory()
			store := &wrapped{memory: inner, before: fail}
			if lost {
				store = &wrapped{memory: inner, after: fail}
			}
			d := &diary{}
			w := httptest.NewRecorder()
			req := request(t, "1", body(`{"serial":"C02"}`, `{"firewall":true}`))
			receiver(t, store, d).Handler().ServeHTTP(w, req)
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
				t.Errorf("%s, lost %v: %d, Retry-After %q", op, lost, w.Code, w.Header().Get("Retry-After"))
			}
			if problemOf(t, w.Result(), errDown.Error()) != "store" || len(d.have(`refused "mdm" 503`)) != 1 {
				t.Errorf("told %q", d.lines)
			}
		}
	}
}

// A store that hangs must not hold the sender for ever.
func TestDoorGivesUpOnAHangingStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &hanging{newMemory()}
		began := time.Now()
		if code := post(t, receiver(t, store, &diary{}), "1", body(`{"serial":"C02"}`, `{"firewall":true}`)); code != 503 {
			t.Errorf("status %d", code)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestRedeliveryIsAcknowledgedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, d := newMemory(), &diary{}
		r := receiver(t, store, d)
		delivery := body(`{"serial":"C02"}`, `{"firewall":true}`)
		must(t, r, "1", delivery)
		must(t, r, "1", delivery) // waits in the inbox
		stop := start(t, r)
		defer stop()
		synctest.Wait()
		must(t, r, "1", delivery) // was applied
		time.Sleep(75 * time.Hour)
		must(t, r, "1", delivery) // with a new timestamp
		synctest.Wait()
		if got := d.have("applied"); len(got) != 1 || store.writes != 1 || len(d.have("repeated mdm 1")) != 3 {
			t.Errorf("%d posture writes, %q", store.writes, d.lines)
		}
		time.Sleep(22 * time.Hour) // 97 h: forgotten; what is applied again changes nothing
		must(t, r, "1", delivery)
		synctest.Wait()
		if got := d.have("applied mdm 1 changed=false"); len(got) != 1 || store.writes != 1 {
			t.Errorf("%d posture writes, %q", store.writes, d.lines)
		}
		mustEmpty(t, store, ingest.KindInbox)
	})
}

// One id for other bytes would lose them if it were taken for a repetition.
func TestAnIDIsNotUsedForOtherBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, d := newMemory(), &diary{}
		r := receiver(t, store, d)
		first, other := body(`{"serial":"C02"}`, `{"firewall":true}`), body(`{"serial":"C02"}`, `{"firewall":false}`)
		must(t, r, "1", first)
		if code := post(t, r, "1", other); code != http.StatusConflict {
			t.Errorf("while the first waits: %d", code)
		}
		stop := start(t, r)
		defer stop()
		synctest.Wait()
		if code := post(t, r, "1", other); code != http.StatusConflict {
			t.Errorf("after the first was applied: %d", code)
		}
	})
}

// Over a real connection: a body that is too long is not read, and the connection ends.
func TestTooLargeClosesTheConnection(t *testing.T) {
	r := receiver(t, newMemory(), &diary{}, func(o *ingest.Options) { o.MaxBody = 100 })
	server := httptest.NewServer(r.Handler())
	defer server.Close()
	for name, head := range map[string]string{
		"by length": "Content-Length: 100000000000\r\n\r\n",
		"chunked":   "Transfer-Encoding: chunked\r\n\r\n65\r\n" + strings.Repeat("x", 0x65) + "\r\n",
	} {
		connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(connection, "POST /v1/sources/mdm HTTP/1.1\r\nHost: x\r\n%s", head)
		reader := bufio.NewReader(connection)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if response.StatusCode != http.StatusRequestEntityTooLarge || !response.Close {
			t.Errorf("%s: %d, close %v", name, response.StatusCode, response.Close)
		}
		problemOf(t, response)
		began := time.Now()
		if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: the connection goes on: %v after %s", name, err, time.Since(began))
		}
	}
}

// hanging answers when the caller gives up.
type hanging struct{ *memory }

func (h *hanging) Record(ctx context.Context, _, _ string) (signals.Record, error) {
	<-ctx.Done()
	return signals.Record{}, ctx.Err()
}
