package ssf_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/signals/ssf"
)

// TestReceiverPlan mirrors the modules of the OpenID conformance suite's openid-ssf-receiver-test-plan and
// openid-ssf-receiver-caep-test-plan, by push and by poll.
func TestReceiverPlan(t *testing.T) {
	t.Parallel()
	for _, push := range []bool{true, false} {
		name := map[bool]string{true: "push", false: "poll"}[push]
		for _, module := range []struct {
			name string
			run  func(t *testing.T, push bool)
		}{
			{"happy-path", happyPath}, {"create-delete", createDelete}, {"status-update", statusUpdate}, {"verification", verification},
			{"unsolicited-verification", unsolicited}, {"supported-events", supportedEvents}, {"invalid-SET-rejection", invalidSETs},
			{"verification-wrong-state", wrongState}, {"wrong-subject", wrongSubject}, {"stream-issuer-mismatch", issuerMismatch},
			{"transmitter-initiated-status-change", transmitterStatus}, {"verification-behind-queued-events", behindQueue},
			{"redelivered-SET", redelivered}, {"removed-subject-event", removedSubject}, {"access-token-expiry", tokenExpiry},
			{"CAEP-interop", caepInterop},
		} {
			t.Run(name+"/"+module.name, func(t *testing.T) { t.Parallel(); module.run(t, push) })
		}
	}
}

func (w *world) mustTake(claims object) {
	w.t.Helper()
	if err := w.deliver(w.tr.sign(claims)); err != "" {
		w.t.Errorf("%v is refused: %s", claims, err)
	}
}

// happyPath: create, read, update, replace and delete, with an event on the way that has its effect and no other.
func happyPath(t *testing.T, push bool) {
	w := newWorld(t, push)
	w.wait("a verification", func() bool { return w.said("verified asked=true") == 1 })
	w.mustTake(w.tr.set(caepURI+"session-revoked", object{"event_timestamp": time.Now().Unix()}, user("ana")))
	w.heard("session-revoked", 1)
	if r, revoked := w.table().Revoked("corp", "ana", "", "", time.Now().Add(-time.Minute), time.Time{}); !revoked || r.Stream != "login" {
		t.Errorf("ana: %+v, %v", r, revoked)
	}
	if _, revoked := w.table().Revoked("corp", "ben", "", "", time.Now().Add(-time.Minute), time.Time{}); revoked {
		t.Error("ben is revoked")
	}
	if _, revoked := w.table().Revoked("corp", "ana", "", "", time.Now().Add(time.Minute), time.Time{}); revoked {
		t.Error("a later login is void")
	}
	before := w.calls("GET /stream")
	w.again(func(m *ssf.ManagerOptions) { m.Keys, m.Events = nil, []string{caepURI + "session-revoked"} })
	if w.calls("GET /stream") != before+1 || w.calls("PATCH /stream") != 1 || w.calls("PUT /stream") != 0 {
		t.Errorf("read %d times, updated %d", w.calls("GET /stream")-before, w.calls("PATCH /stream"))
	}
	w.tr.mu.Lock()
	w.tr.wrong = func(_ string, rw http.ResponseWriter) bool { // a transmitter that only replaces
		if w.tr.calls[len(w.tr.calls)-1] != "PATCH /stream" {
			return false
		}
		rw.WriteHeader(http.StatusMethodNotAllowed)
		return true
	}
	w.tr.mu.Unlock()
	id := w.manager.Status().StreamID
	w.again(func(m *ssf.ManagerOptions) { m.Keys = nil })
	w.tr.mu.Lock()
	requested, _ := w.tr.streams[id]["events_requested"].([]any)
	delivery, _ := w.tr.streams[id]["delivery"].(object)
	w.tr.mu.Unlock()
	if w.calls("PUT /stream") != 1 || len(requested) != len(ssf.EventTypes()) || delivery["method"] == nil {
		t.Errorf("replaced %d times by a stream with %d events and delivery %v", w.calls("PUT /stream"), len(requested), delivery)
	}
	w.mustTake(w.tr.set(caepURI+"session-revoked", object{}, user("ben")))
	if err := w.manager.Delete(t.Context()); err != nil || w.calls("DELETE /stream") != 1 {
		t.Errorf("deleted %d times: %v", w.calls("DELETE /stream"), err)
	}
}

func createDelete(t *testing.T, push bool) {
	w := newWorld(t, push)
	if w.calls("POST /stream") != 1 {
		t.Errorf("%d streams were made", w.calls("POST /stream"))
	}
	if err := w.manager.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.wait("the deletion", func() bool { return w.manager.Status().State == "deleted" })
	time.Sleep(50 * time.Millisecond)
	w.tr.mu.Lock()
	defer w.tr.mu.Unlock()
	if len(w.tr.streams) != 0 || w.tr.made != 1 {
		t.Errorf("streams %v, made %d", w.tr.streams, w.tr.made)
	}
	if err := w.manager.Verify(t.Context()); err == nil {
		t.Error("a stream that is deleted was verified")
	}
}

// statusUpdate: the receiver has the stream paused, disabled and enabled again, and then deletes it.
func statusUpdate(t *testing.T, push bool) {
	w := newWorld(t, push)
	id := w.manager.Status().StreamID
	for _, status := range []string{"paused", "disabled", "enabled"} {
		if err := w.manager.SetStatus(t.Context(), status, "why "+status); err != nil {
			t.Fatal(err)
		}
		w.tr.mu.Lock()
		at := w.tr.status[id]
		w.tr.mu.Unlock()
		if s := w.manager.Status(); s.State != status || s.Reason != "why "+status || at != status || w.said("updated "+status) != 1 {
			t.Errorf("%s: the transmitter has %q, we have %+v", status, at, s)
		}
	}
	if err := w.manager.SetStatus(t.Context(), "asleep", ""); err == nil || w.calls("POST /status") != 3 {
		t.Errorf("%v, after %d requests", err, w.calls("POST /status"))
	}
	if err := w.manager.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.manager.SetStatus(t.Context(), "enabled", ""); err == nil {
		t.Error("a stream that is deleted was enabled")
	}
}

// transmitterStatus: the transmitter announces by stream-updated that it pauses, disables and enables; an event that it held back
// meanwhile counts.
func transmitterStatus(t *testing.T, push bool) {
	w := newWorld(t, push)
	id := object{"format": "opaque", "id": w.manager.Status().StreamID}
	for i, status := range []string{"paused", "disabled", "enabled"} {
		claims := w.tr.set(ssfURI+"stream-updated", object{"status": status, "reason": "why " + status,
			"event_timestamp": time.Now().Unix() + int64(i)}, id)
		w.mustTake(claims)
		w.wait(status, func() bool { s := w.manager.Status(); return s.State == status && s.Reason == "why "+status })
	}
	w.mustTake(w.tr.set(caepURI+"session-revoked", object{"event_timestamp": time.Now().Unix() - 15}, user("ana")))
	w.heard("session-revoked", 1)
}

func verification(t *testing.T, push bool) {
	w := newWorld(t, push, func(_ *world, _ *ssf.Options, m *ssf.ManagerOptions) { m.VerifyEvery = 0 })
	if err := w.manager.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := w.manager.Status().Asked
	w.wait("the verification", func() bool { return w.manager.Status().Verified.Equal(asked) && !asked.IsZero() })
	w.tr.mu.Lock()
	w.tr.wrong = func(path string, rw http.ResponseWriter) bool { // min_verification_interval
		if path != "/verify" {
			return false
		}
		rw.Header().Set("Retry-After", "7")
		rw.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	w.tr.mu.Unlock()
	if err := w.manager.Verify(t.Context()); err == nil || !strings.Contains(err.Error(), "7s") {
		t.Errorf("asked too often: %v", err)
	}
}

func unsolicited(t *testing.T, push bool) {
	w := newWorld(t, push)
	w.mustTake(w.tr.verification(w.manager.Status().StreamID, ""))
	w.wait("it", func() bool { return w.said("verified asked=false") == 1 })
}

func invalidSETs(t *testing.T, push bool) {
	w := newWorld(t, push)
	good := func() object { return w.tr.set(caepURI+"session-revoked", object{}, user("ana")) }
	with := func(name string, value any) object { c := good(); c[name] = value; return c }
	tampered := strings.Split(w.tr.sign(good()), ".")
	tampered[2] = strings.Split(w.tr.sign(good()), ".")[2]
	for _, c := range []struct{ name, set, want string }{
		{"bad signature", strings.Join(tampered, "."), "400 invalid_key"},
		{"key not in JWKS", signAs(otherRSA(), jose.RS256, object{"kid": "k2"}, good()), "400 invalid_key"},
		{"another key under the kid", signAs(otherRSA(), jose.RS256, nil, good()), "400 invalid_key"},
		{"wrong iss", w.tr.sign(with("iss", "https://evil.example")), "400 invalid_issuer"},
		{"wrong aud", w.tr.sign(with("aud", "https://elsewhere.example")), "400 invalid_audience"},
		{"no SET", "hello", "400 invalid_request"},
	} {
		if got := w.deliver(c.set); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if w.said("accepted") > 1 { // the verification
		t.Errorf("accepted %d", w.said("accepted"))
	}
	if n := w.table().Len(); n != 0 {
		t.Errorf("%d revocations", n)
	}
}

func wrongState(t *testing.T, push bool) {
	w := newWorld(t, push, func(_ *world, _ *ssf.Options, m *ssf.ManagerOptions) { m.VerifyEvery = 0 })
	w.tr.mu.Lock()
	w.tr.holdBack = true
	w.tr.mu.Unlock()
	if err := w.manager.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.tr.mu.Lock()
	state := w.tr.states[len(w.tr.states)-1]
	w.tr.mu.Unlock()
	id := w.manager.Status().StreamID
	for _, wrong := range []string{"another", state[:len(state)-1], "B" + state[1:]} {
		if got := w.deliver(w.tr.sign(w.tr.verification(id, wrong))); got != "400 invalid_state" {
			t.Errorf("state %q: %q", wrong, got)
		}
	}
	if !w.manager.Status().Verified.IsZero() {
		t.Error("a wrong state has verified the stream")
	}
	w.mustTake(w.tr.verification(id, state))
	w.wait("the right one", func() bool { return !w.manager.Status().Verified.IsZero() })
}

func wrongSubject(t *testing.T, push bool) {
	w := newWorld(t, push)
	for _, kind := range []string{"verification", "stream-updated"} {
		claims := w.tr.set(ssfURI+kind, object{"status": "disabled"}, object{"format": "opaque", "id": "another"})
		if got := w.deliver(w.tr.sign(claims)); got != "400 invalid_request" {
			t.Errorf("%s of another stream: %q", kind, got)
		}
	}
	if state := w.manager.Status().State; state != "enabled" {
		t.Errorf("state %s", state)
	}
}

func issuerMismatch(t *testing.T, push bool) {
	w := prepare(t, push, func(w *world, _ *ssf.Options, _ *ssf.ManagerOptions) { w.tr.streamIss = "https://evil.example" })
	w.wait("the fault", func() bool { return strings.Contains(w.manager.Status().Fault, "evil.example") })
	v := prepare(t, push, func(w *world, _ *ssf.Options, _ *ssf.ManagerOptions) {
		w.tr.metadata = object{"issuer": "https://evil.example"}
	})
	v.wait("the fault", func() bool { return strings.Contains(v.manager.Status().Fault, "byte for byte") })
	if v.calls("POST /stream") != 0 || v.said("fetched keys") != 0 {
		t.Error("metadata of another issuer were used")
	}
}

func behindQueue(t *testing.T, push bool) {
	w := newWorld(t, push, func(_ *world, _ *ssf.Options, m *ssf.ManagerOptions) { m.VerifyEvery = 0 })
	w.tr.mu.Lock()
	w.tr.holdBack = true
	w.tr.mu.Unlock()
	if err := w.manager.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		w.mustTake(w.tr.set(caepURI+"session-revoked", object{}, user(fmt.Sprint("user", i))))
	}
	w.tr.mu.Lock()
	state := w.tr.states[0]
	w.tr.mu.Unlock()
	w.mustTake(w.tr.verification(w.manager.Status().StreamID, state))
	w.heard("session-revoked", 10)
	w.wait("the verification", func() bool { return !w.manager.Status().Verified.IsZero() })
}

func redelivered(t *testing.T, push bool) {
	w := newWorld(t, push)
	claims := w.tr.set(caepURI+"session-revoked", object{}, user("ana"))
	set := w.tr.sign(claims)
	again := signAs(rsaKey(), jose.PS256, nil, claims) // never verified: the stream takes RS256 alone
	for range 3 {
		if err := w.deliver(set); err != "" {
			t.Errorf("redelivered: %s", err)
		}
	}
	if got := w.deliver(again); got != "400 invalid_key" {
		t.Errorf("PS256: %q", got)
	}
	w.wait("both repetitions", func() bool { return w.said("repeated "+claims["jti"].(string)) >= 2 })
	w.heard("session-revoked", 1)
	time.Sleep(20 * time.Millisecond)
	if n := w.said("heard session-revoked"); n != 1 {
		t.Errorf("applied %d times", n)
	}
}

func removedSubject(t *testing.T, push bool) {
	w := newWorld(t, push)
	subject := `{"format":"email","email":"ana@acme.example"}`
	for _, add := range []bool{true, false} {
		if err := w.manager.Subject(t.Context(), []byte(subject), add); err != nil {
			t.Fatal(err)
		}
	}
	w.tr.mu.Lock()
	if got := strings.Join(w.tr.subjects, " "); !strings.Contains(got, "/subject:add {") || !strings.Contains(got, "/subject:remove {") ||
		strings.Count(got, "ana@acme.example") != 2 {
		t.Errorf("subjects %s", got)
	}
	w.tr.mu.Unlock()
	w.mustTake(w.tr.set(riscURI+"account-disabled", object{"reason": "hijacking"}, object{"format": "email", "email": "Ana@acme.example"}))
	w.heard("account-disabled", 1)
	if _, revoked := w.table().RevokedEmail("corp", "ana@ACME.example", "", "", time.Now().Add(-time.Hour), time.Time{}); !revoked {
		t.Error("an event about a removed subject has no effect")
	}
}

func tokenExpiry(t *testing.T, push bool) {
	w := newWorld(t, push)
	w.tr.mu.Lock()
	w.tr.token = "t2" // the old one is refused from now on
	before := w.tr.grants
	w.tr.mu.Unlock()
	if err := w.manager.Verify(t.Context()); err != nil {
		t.Errorf("after the token expired: %v", err)
	}
	w.mustTake(w.tr.set(caepURI+"session-revoked", object{}, user("ana")))
	w.tr.mu.Lock()
	defer w.tr.mu.Unlock()
	if w.tr.grants == before {
		t.Error("no new token was fetched")
	}
}
