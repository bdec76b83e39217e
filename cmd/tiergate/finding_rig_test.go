package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/config"
)

// The policy of these tests: what is wrong counts after a second.
const findingPolicy = `apiVersion: tiergate.dev/v1alpha1
kind: Governance
metadata: {name: acme}
spec:
  accountable: {name: Head, contact: head@acme.example}
  teams:
    iam: {contact: iam@acme.example}
    endpoint: {contact: endpoint@acme.example, members: [eve@acme.example], approvers: [{issuer: corp, user: eve@acme.example}]}
    secops: {contact: secops@acme.example}
---
apiVersion: tiergate.dev/v1alpha1
kind: Baseline
metadata: {name: laptops, owner: endpoint}
spec:
  platforms: [macos]
  signals:
    disk-encrypted: {expr: device.disk_encryption, maxAge: 26h, fix: {text: Turn on FileVault.}}
---
apiVersion: tiergate.dev/v1alpha1
kind: Tier
metadata: {name: internal, owner: iam}
spec: {identify: user+device, sharedDevices: true, require: [disk-encrypted]}
---
apiVersion: tiergate.dev/v1alpha1
kind: Audience
metadata: {name: staff, owner: iam}
spec: {members: [{issuer: corp, group: staff}]}
---
apiVersion: tiergate.dev/v1alpha1
kind: Upstream
metadata: {name: app, owner: iam}
spec: {endpoints: ["127.0.0.1:9001"], plaintext: true}
---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: app, owner: iam}
spec: {hosts: [app.acme.example], path: /**, methods: [GET], tier: internal, audiences: [staff], upstream: app}
---
apiVersion: tiergate.dev/v1alpha1
kind: Monitor
metadata: {name: posture, owner: secops}
spec: {watch: [drift], severity: high, closeWithin: 1d, after: 1s}
`

const findingSettings = `runtimeDir: %[1]s
policy: {dir: policy}
store: {redis: {address: %[2]s, seal: {keyFile: seal.key, trustFiles: [seal.pub]}}}
identity:
  issuers: [{name: corp, issuer: "https://login.acme.example", audiences: [a], algorithms: [ES256], jwksFile: none.json}]
sources: [{name: mdm, type: standard, every: 1h, attests: [platform, disk_encryption], secretFiles: [mdm.whsec]}]
ingest: {listen: "%[3]s", metrics: {listen: "127.0.0.1:0"}}
outlets: [{name: soc, type: webhook, default: true, url: "%[4]s", secretFiles: [soc.whsec]}]
`

const whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// watchers are receivers that share a signed Valkey, and a webhook that is told; their clock can be set ahead.
type watchers struct {
	t            *testing.T
	dir, hook    string
	socket, mine string

	mu    sync.Mutex
	ahead time.Duration
	types []string // of the events that the webhook took
}

// receiving is one of them.
type receiving struct {
	settings, address, url string
	stop                   func()
}

func newWatchers(t *testing.T) *watchers {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &watchers{t: t, dir: dir, mine: filepath.Join(dir, "token")}
	sealFiles(t, dir, "seal")
	if err := os.Mkdir(filepath.Join(dir, "policy"), 0o700); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"policy/all.yaml": findingPolicy, "mdm.whsec": whsec, "soc.whsec": whsec, "none.json": `{"keys": []}`,
		"token": "eve@acme.example"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		var event struct {
			Type string `json:"type"`
		}
		if json.NewDecoder(req.Body).Decode(&event) == nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.types = append(w.types, event.Type)
		}
	}))
	t.Cleanup(hook.Close)
	w.hook, w.socket = hook.URL, valkey(t, dir)
	return w
}

func (w *watchers) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

// start is runIngest with the clock of the test, and people who come by TLS.
func (w *watchers) start(name string) *receiving {
	w.t.Helper()
	address := freeport.For(w.t)
	r := &receiving{settings: filepath.Join(w.dir, name+".yaml"), address: address}
	text := fmt.Sprintf(findingSettings, name, w.socket, r.address, w.hook)
	if err := os.WriteFile(r.settings, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	s, err := loadSettings(r.settings)
	if err != nil {
		w.t.Fatal(err)
	}
	o, err := newObserver(config.Log{Level: "error", Format: "json"})
	if err != nil {
		w.t.Fatal(err)
	}
	store, err := openStore(s)
	if err != nil {
		w.t.Fatal(err)
	}
	parts, verbs, _, err := receiverParts(s, store, o)
	if err != nil {
		w.t.Fatal(err)
	}
	followed := followPolicy(s, o)
	if followed.policy() == nil {
		w.t.Fatal(*followed.fault.Load())
	}
	desk, err := receiverDesk(s, store, ground{policy: followed.policy, missing: followed.missing}, o)
	if err != nil {
		w.t.Fatal(err)
	}
	desk.Now = w.now
	queue, found, err := receiverFindings(s, store, desk, o)
	if err != nil {
		w.t.Fatal(err)
	}
	socket, err := config.ListenUnix(filepath.Join(s.RuntimeDir, "ingest-admin.sock"))
	if err != nil {
		w.t.Fatal(err)
	}
	parts = append(append(parts, found.parts()...), part{"outlets", queue.Run}, part{"admin", func(ctx context.Context) error {
		return admin.Serve(ctx, socket, withFindings(withDesk(verbs, desk), found))
	}})
	closeTLS := w.people(r, found)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- runParts(ctx, parts) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		closeTLS()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
		_ = store.Close()
	})
	w.t.Cleanup(r.stop)
	return r
}

// people serves findings to whoever a token names.
func (w *watchers) people(r *receiving, found *findingDesk) (stop func()) {
	mux := http.NewServeMux()
	found.paths(mux, func(req *http.Request) (approvals.Caller, error) {
		name, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		if !ok || name == "nobody" {
			return approvals.Caller{}, errors.New("the token is not believed")
		}
		return approvals.Caller{Person: approvals.Person{Way: approvals.WayOIDC, Issuer: "corp", Name: name}}, nil
	})
	server := httptest.NewTLSServer(mux)
	r.url = server.URL
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(r.settings+".ca", ca, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return server.Close
}

// deliver tells a receiver of a laptop, signed as the source signs.
func (w *watchers) deliver(r *receiving, serial string, encrypted bool) {
	w.t.Helper()
	at := time.Now().UTC().Format(time.RFC3339Nano)
	body := fmt.Sprintf(`{"type":"device.posture.updated","timestamp":%[1]q,"data":{"device":{"serial":%[2]q,"id":%[2]q},"observed_at":%[1]q,
		"attributes":{"platform":"macos","disk_encryption":%[3]v}}}`, at, serial, encrypted)
	id, stamp := "msg_"+at, fmt.Sprint(time.Now().Unix())
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(whsec, "whsec_"))
	if err != nil {
		w.t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	w.soon("a receiver listens", func() bool {
		req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://"+r.address+"/v1/sources/mdm", strings.NewReader(body))
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("webhook-id", id)
		req.Header.Set("webhook-timestamp", stamp)
		req.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		raw, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusAccepted {
			w.t.Fatalf("%s: %s", answer.Status, raw)
		}
		return true
	})
}

func (w *watchers) soon(what string, is func() bool) {
	w.t.Helper()
	soon(w.t, what, is)
}

// told are the types of what the webhook took.
func (w *watchers) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.types, " ")
}

func (w *watchers) say(status int, args ...string) string {
	w.t.Helper()
	var stdout, stderr bytes.Buffer
	if got := run(w.t.Context(), args, &stdout, &stderr); got != status {
		w.t.Errorf("%q: exit %d, want %d: %s%s", args, got, status, &stdout, &stderr)
	}
	return stdout.String() + stderr.String()
}

// here asks over the socket, there over TLS as the person of the token.
func (w *watchers) here(r *receiving, status int, args ...string) string {
	w.t.Helper()
	return w.say(status, append(args, "--config", r.settings)...)
}

func (w *watchers) there(r *receiving, status int, args ...string) string {
	w.t.Helper()
	return w.say(status, append(args, "--server", r.url, "--ca", r.settings+".ca", "--token-file", w.mine)...)
}
