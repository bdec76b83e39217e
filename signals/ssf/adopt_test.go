package ssf_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals/ssf"
)

// conflicting is a transmitter that allows no further stream than those it has.
func conflicting(streams ...object) change {
	return func(w *world, _ *ssf.Options, _ *ssf.ManagerOptions) {
		for i, s := range streams {
			id := fmt.Sprintf("theirs-%d", i)
			w.tr.streams[id], w.tr.status[id] = object{"stream_id": id, "iss": w.tr.issuer(), "aud": audience,
				"description": "made in the console", "events_requested": []string{caepURI + "session-revoked"},
				"delivery": object{"method": "urn:ietf:rfc:8935", "endpoint_url": "https://old.example/"}}, "enabled"
			for name, value := range s {
				w.tr.streams[id][name] = value
			}
		}
		w.tr.wrong = func(_ string, rw http.ResponseWriter) bool {
			if w.tr.calls[len(w.tr.calls)-1] != "POST /stream" {
				return false
			}
			rw.WriteHeader(http.StatusConflict)
			return true
		}
	}
}

// TestConflict: a transmitter that allows one stream and has one says 409. That one is made ours, if it is of the issuer and for
// the audience of the settings; of several nobody can tell, and none is touched.
func TestConflict(t *testing.T) {
	t.Parallel()
	for _, push := range []bool{true, false} {
		t.Run(fmt.Sprintf("adopted, push %v", push), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, push, conflicting(object{}))
			if s := w.manager.Status(); s.StreamID != "theirs-0" || !slices.Contains(s.Delivered, caepURI+"credential-change") {
				t.Errorf("%+v", s)
			}
			if n := w.calls("PATCH /stream"); n != 1 {
				t.Errorf("changed %d times", n)
			}
			w.mustTake(w.tr.set(caepURI+"session-revoked", object{}, user("ana")))
			w.heard("session-revoked", 1)
			record, err := w.store.Record(t.Context(), ssf.KindStream, "login")
			if err != nil || !strings.Contains(string(record.Value), `"theirs-0"`) {
				t.Errorf("what is kept of it: %s, %v", record.Value, err)
			}
		})
	}
	for want, streams := range map[string][]object{
		"lists 2; delete one, or name ours in streamID": {{}, {}},
		"lists 0; delete one, or name ours in streamID": {},
		`of issuer "https://evil.example"`:              {{"iss": "https://evil.example"}},
		"add one to audiences":                          {{"aud": "https://another.example"}},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			w := prepare(t, false, conflicting(streams...))
			w.wait("the fault", func() bool { return strings.Contains(w.manager.Status().Fault, want) })
			if n := w.calls("PATCH /stream") + w.calls("DELETE /stream") + w.calls("POST /poll"); n != 0 {
				t.Errorf("somebody else's stream was changed or polled %d times", n)
			}
		})
	}
}

// TestConflictOfTwoReceivers: another receiver made the one stream between our look and our try; the next look finds it.
func TestConflictOfTwoReceivers(t *testing.T) {
	t.Parallel()
	w := prepare(t, false, conflicting(), func(w *world, _ *ssf.Options, _ *ssf.ManagerOptions) {
		refuse := w.tr.wrong
		w.tr.wrong = func(path string, rw http.ResponseWriter) bool {
			refused := refuse(path, rw)
			if refused {
				w.tr.streams["fellow"], w.tr.status["fellow"] = object{"stream_id": "fellow", "iss": w.tr.issuer(), "aud": audience,
					"description": "tiergate login", "events_requested": ssf.EventTypes(),
					"delivery": object{"method": "urn:ietf:rfc:8936", "endpoint_url": w.tr.server.URL + "/poll"}}, "enabled"
			}
			return refused
		}
	})
	w.wait("the fellow's stream", func() bool { s := w.manager.Status(); return s.StreamID == "fellow" && s.State == "enabled" })
	if n := w.calls("PATCH /stream"); n != 0 {
		t.Errorf("it was changed %d times", n)
	}
	w.mustTake(w.tr.set(caepURI+"session-revoked", object{}, user("ana")))
	w.heard("session-revoked", 1)
}

// TestFoundDisabled: a stream that the transmitter ended sending while nobody was here is told of when it is looked at, and again
// when it is enabled.
func TestFoundDisabled(t *testing.T) {
	t.Parallel()
	w := prepare(t, true, conflicting(object{}), func(w *world, _ *ssf.Options, _ *ssf.ManagerOptions) {
		w.tr.status["theirs-0"] = "disabled"
	})
	w.wait("the state", func() bool { return w.manager.Status().State == "disabled" && w.said("updated disabled") == 1 })
	if err := w.manager.SetStatus(t.Context(), "enabled", ""); err != nil {
		t.Fatal(err)
	}
	w.wait("the state", func() bool { return w.manager.Status().State == "enabled" && w.said("updated enabled") == 1 })
}

// TestStatusIsOnlyAskedFor: a transmitter that takes note (202) and has not done it yet is no transmitter that has.
func TestStatusIsOnlyAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	w.tr.mu.Lock()
	w.tr.wrong = func(_ string, rw http.ResponseWriter) bool {
		if w.tr.calls[len(w.tr.calls)-1] != "POST /status" {
			return false
		}
		rw.WriteHeader(http.StatusAccepted)
		return true
	}
	w.tr.mu.Unlock()
	if err := w.manager.SetStatus(t.Context(), "paused", ""); err == nil || !strings.Contains(err.Error(), "may take a while") {
		t.Errorf("%v", err)
	}
	if s := w.manager.Status(); s.State != "enabled" {
		t.Errorf("%+v", s)
	}
}
