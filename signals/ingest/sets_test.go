package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/revocation"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/ssf"
)

// said is a transmitter whose SETs are the names of users; "bad" is not taken, "later" cannot be judged now.
type said struct{}

func (said) Authenticate(d source.Delivery, _ time.Time) (string, error) {
	switch string(d.Body) {
	case "bad":
		return "", &source.Refusal{Status: http.StatusBadRequest, Reason: &ssf.Fault{Code: ssf.InvalidKey,
			Reason: errors.New("stranger")}}
	case "later":
		return "", &source.Refusal{Status: http.StatusServiceUnavailable, Reason: ssf.ErrNoKeys}
	}
	name, _, _ := strings.Cut(string(d.Body), "!") // what follows is only spelling
	return "jti-" + name, nil
}

func (said) Observe(source.Delivery) ([]signals.Observation, error) { return nil, nil }

func (said) Effects(d source.Delivery) ([]revocation.Revocation, error) {
	name, _, _ := strings.Cut(string(d.Body), "!")
	if name == "panic" {
		panic("a bug")
	}
	return []revocation.Revocation{{Sort: revocation.Ended, Issuer: "corp", User: name, NotBefore: d.Received,
		Until: d.Received.Add(time.Hour), Stream: d.Source}}, nil
}

func transmits(o *ingest.Options) {
	o.Sources = append(o.Sources, ingest.Source{Name: "login", Adapter: said{}, SETs: true})
}

func push(t testing.TB, r *ingest.Receiver, path, method, set string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(set)))
	return w
}

func revokedUsers(t testing.TB, store signals.Records) string {
	t.Helper()
	var names []string
	_, err := store.EachRecord(t.Context(), revocation.Kind, func(record signals.Record) error {
		r, err := revocation.Read(record)
		if err == nil {
			names = append(names, r.User)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return strings.Join(names, " ")
}

// TestSETDoor: every answer of the door, with its body, and that the doors of sources and of transmitters are two.
func TestSETDoor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		r := receiver(t, store, &diary{}, transmits)
		for _, c := range []struct {
			method, path, set string
			status            int
			err               string
		}{
			{"POST", "/v1/ssf/login", "ana", 202, ""}, {"POST", "/v1/ssf/login", "ana", 202, ""}, {"POST", "/v1/ssf/login",
				"ana!", 202, ""},
			{"POST", "/v1/ssf/login", "bad", 400, "invalid_key"}, {"POST", "/v1/ssf/login", "later", 503, ""},
			{"GET", "/v1/ssf/login", "", 405, "invalid_request"}, {"POST", "/v1/ssf/mdm", "ana", 404, "invalid_request"},
			{"POST", "/v1/ssf/nobody", "ana", 404, "invalid_request"}, {"POST", "/v1/ssf/login", strings.Repeat("x", 2<<20),
				413, "invalid_request"},
		} {
			w := push(t, r, c.path, c.method, c.set)
			body := w.Body.String()
			if w.Code != c.status || (c.err == "") != (body == "") || !strings.Contains(body, `"err":"`+c.err) && c.err != "" {
				t.Errorf("%s %s %.20q: %d %s", c.method, c.path, c.set, w.Code, body)
			}
			if c.err != "" && (w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Content-Language") != "en-US") {
				t.Errorf("%v", w.Header())
			}
			if c.status == 503 && w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
		if w := push(t, r, "/v1/sources/login", "POST", "ana"); w.Code != 404 {
			t.Errorf("a SET came through the sources' door: %d", w.Code)
		}
		if n := len(store.kind(ingest.KindInbox)); n != 1 {
			t.Errorf("%d entries for one event", n)
		}
		if err := r.KeepSET(t.Context(), "mdm", []byte("ana")); err == nil {
			t.Error("a source's name took a SET")
		}
	})
}

// TestSETCrash: a receiver dies, or loses its store, at every call that it makes, by push and by poll: what was acknowledged has
// its effect.
func TestSETCrash(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for _, dead := range []bool{false, true} {
			n, reached := 0, true
			for n = 1; reached && !t.Failed(); n++ {
				bubble(t, func(t *testing.T) { reached = setCrashAt(t, n, lost, dead) })
			}
			if n < 12 {
				t.Errorf("only %d calls were tried", n)
			}
		}
	}
}

func setCrashAt(t *testing.T, n int, lost, dead bool) (reached bool) {
	store := newMemory()
	broken, wasReached := breaking(store, n, lost, dead)
	first := receiver(t, broken, &diary{}, transmits)
	stop := start(t, first)
	pushed := push(t, first, "/v1/ssf/login", "POST", "ana").Code == http.StatusAccepted
	polled := first.KeepSET(t.Context(), "login", []byte("ben")) == nil
	time.Sleep(time.Second)
	stop()
	second := receiver(t, store, &diary{}, transmits)
	stop = start(t, second)
	time.Sleep(10 * time.Second)
	stop()
	users := revokedUsers(t, store)
	if pushed && !strings.Contains(users, "ana") || polled && !strings.Contains(users, "ben") {
		t.Errorf("call %d, lost %v, dead %v: acknowledged %v %v, and revoked are %q", n, lost, dead, pushed, polled, users)
	}
	mustEmpty(t, store, ingest.KindInbox)
	return wasReached()
}

// TestRevocationsJoin: the newest instant wins whatever came first; what is said again changes nothing; a stranger's record
// keeps ours from nothing.
func TestRevocationsJoin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, d := newMemory(), &diary{}
		r := receiver(t, store, d, transmits, func(o *ingest.Options) {
			o.Events.Revoked = func(_, id string, r revocation.Revocation) { d.write("revoked %s %s", id, r.User) }
			o.Events.Distrusted = func(what, _ string, _ error) { d.write("distrusted %s", what) }
		})
		stop := start(t, r)
		defer stop()
		key := revocation.Revocation{Sort: revocation.Ended, Issuer: "corp", User: "ben"}.Key()
		if err := store.PutRecord(t.Context(), signals.Record{Kind: revocation.Kind, Key: key, Revision: 1,
			Value: []byte("stranger")}, 0); err != nil {
			t.Fatal(err)
		}
		for _, set := range []string{"ana", "ben", "panic", "ana"} {
			if err := r.KeepSET(context.WithoutCancel(t.Context()), "login", []byte(set)); err != nil {
				t.Errorf("%s: %v", set, err)
			}
			time.Sleep(time.Second)
		}
		got := fmt.Sprint(d.have("revoked"), d.have("distrusted"))
		if got != "[revoked jti-ana ana revoked jti-ben ben] [distrusted revocation]" {
			t.Error(got)
		}
		beside, err := store.Record(t.Context(), revocation.Kind, key+"~2")
		if err != nil {
			t.Fatal(err)
		}
		if one, err := revocation.Read(beside); err != nil || one.User != "ben" {
			t.Errorf("%+v, %v", one, err)
		}
		if dead := d.have("dead"); len(dead) != 1 || !strings.Contains(dead[0], "which is a bug") {
			t.Errorf("%q", dead)
		}
	})
}
