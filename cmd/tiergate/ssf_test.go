package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/revocation"
	"github.com/tiergate/tiergate/signals/ssf"
)

// aTransmitter is polled: it has one stream, and gives out each SET until it is acknowledged.
type aTransmitter struct {
	url string
	key *rsa.PrivateKey

	mu     sync.Mutex
	made   bool
	status string
	sets   map[string]string
}

func (x *aTransmitter) put(uri string, event, subject map[string]any) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: x.key},
		(&jose.SignerOptions{}).WithType("secevent+jwt").WithHeader("kid", "k"))
	if err != nil {
		panic(err)
	}
	id := rand.Text()
	payload, _ := json.Marshal(map[string]any{"iss": x.url, "aud": "acme", "iat": time.Now().Unix(), "jti": id,
		"sub_id": subject,
		"events": map[string]any{"https://schemas.openid.net/secevent/" + uri: event}})
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	x.sets[id], _ = signed.CompactSerialize()
}

func (x *aTransmitter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var body struct {
		Ack         []string
		State       string
		Description string
		Events      []string `json:"events_requested"`
		Status      string
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	say := func(value any) { _ = json.NewEncoder(w).Encode(value) }
	stream := map[string]any{"stream_id": "s1", "iss": x.url, "aud": "acme", "description": body.Description,
		"events_requested": body.Events, "delivery": map[string]any{"method": ssf.MethodPoll, "endpoint_url": x.url + "/poll"}}
	switch key := r.Method + " " + r.URL.Path; {
	case key == "GET /.well-known/ssf-configuration":
		say(map[string]any{"issuer": x.url, "jwks_uri": x.url + "/keys", "configuration_endpoint": x.url + "/stream",
			"verification_endpoint": x.url + "/verify", "status_endpoint": x.url + "/status"})
	case key == "GET /keys":
		say(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: x.key.Public(), KeyID: "k"}}})
	case r.Header.Get("Authorization") != "Bearer made-by-hand":
		w.WriteHeader(http.StatusUnauthorized)
	case key == "POST /stream":
		x.made = true
		say(stream)
	case key == "GET /stream":
		say([]any{})
	case key == "POST /status":
		x.status = body.Status
		fallthrough
	case key == "GET /status":
		say(map[string]any{"stream_id": "s1", "status": x.status})
	case key == "POST /verify":
		x.put("ssf/event-type/verification", map[string]any{"state": body.State}, map[string]any{"format": "opaque", "id": "s1"})
	case key == "POST /poll":
		for _, id := range body.Ack {
			delete(x.sets, id)
		}
		say(map[string]any{"sets": x.sets})
	}
}

// TestSSFFromTheSettings: a transmitter as a settings file describes it, in a receiver as `ingest` and `serve` make it: the stream
// is made, verified by the verb, and a session-revoked is in the store.
func TestSSFFromTheSettings(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	x := &aTransmitter{key: key, sets: map[string]string{}, status: "enabled"}
	server := httptest.NewServer(x)
	defer server.Close()
	x.url = server.URL
	dir := t.TempDir()
	for name, text := range map[string]string{"token": "made-by-hand", "jwks.json": "{}", "settings.yaml": fmt.Sprintf(`
store: {embedded: {file: db}}
ingest: {listen: "127.0.0.1:0"}
log: {level: error}
identity: {issuers: [{name: corp, issuer: "https://idp.acme.example", audiences: [apps], jwksFile: jwks.json}]}
ssf:
  - name: login
    issuer: %s
    audiences: [acme]
    delivery: poll
    transmitter: {tokenFile: token, verifyEvery: 0s}
    poll: {every: 1s}
    users: {issuer: corp, maxTokenLife: 1h}
`, server.URL)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settings, err := loadSettings(filepath.Join(dir, "settings.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := newObserver(settings.Log)
	if err != nil {
		t.Fatal(err)
	}
	newKeyCounts(o) // as serve does for its issuers
	store, err := boltstore.Open(settings.Store.Embedded.File)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	parts, verbs, _, err := receiverParts(settings, store, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- runParts(ctx, parts) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	ask := func(method, body string) (int, string) {
		w := httptest.NewRecorder()
		verbs.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/v1/ssf", strings.NewReader(body)))
		return w.Code, w.Body.String()
	}
	await := func(what string, is func() bool) {
		t.Helper()
		for range 200 {
			if is() {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		_, all := ask(http.MethodGet, "")
		t.Fatalf("never came: %s: %s", what, all)
	}
	await("the stream", func() bool { _, all := ask("GET", ""); return strings.Contains(all, `"state":"enabled"`) })
	if status, said := ask("POST", `{"stream":"login","do":"verify"}`); status != http.StatusOK {
		t.Errorf("verify: %d %s", status, said)
	}
	await("the verification", func() bool { _, all := ask("GET", ""); return strings.Contains(all, `"verified":`) })
	if status, _ := ask("POST", `{"stream":"nobody","do":"verify"}`); status != http.StatusNotFound {
		t.Errorf("a stream that is not there: %d", status)
	}
	for _, want := range []string{"paused", "enabled"} {
		if status, said := ask("POST", `{"stream":"login","do":"status","status":"`+want+`"}`); status != http.StatusOK ||
			!strings.Contains(said, `"state":"`+want+`"`) {
			t.Errorf("%s: %d %s", want, status, said)
		}
	}
	x.mu.Lock()
	x.put("caep/event-type/session-revoked", map[string]any{}, map[string]any{"format": "iss_sub",
		"iss": "https://idp.acme.example", "sub": "ana"})
	x.mu.Unlock()
	var found revocation.Revocation
	await("the revocation", func() bool {
		_, err := store.EachRecord(t.Context(), revocation.Kind, func(r signals.Record) (err error) {
			found, err = revocation.Read(r)
			return err
		})
		return err == nil && found.User == "ana"
	})
	if found.Issuer != "corp" || found.Stream != "login" || found.Until.Sub(found.NotBefore) > 2*time.Hour {
		t.Errorf("%+v", found)
	}
}
