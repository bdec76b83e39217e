package redisstore

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/replica"
	"github.com/tiergate/tiergate/signals/source/standard"
)

const hookSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"

// newKey makes the key of a receiver as openssl would write it.
func newKey(t testing.TB) *signals.Sealer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := signals.NewSealer(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// wired is all between a webhook and a decision: receiver, Valkey, replica, policy and the ext_authz service. Who asks is
// whom the test says; everything else is real.
type wired struct {
	live     *server
	raw      *Store        // what a stranger with the password has
	store    signals.Store // what the receiver has
	receiver *ingest.Receiver
	checks   authv3.AuthorizationClient

	mu   sync.Mutex
	told []string
}

func (w *wired) tell(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, fmt.Sprintf(format, args...))
}

// heard returns the first thing told that begins so.
func (w *wired) heard(beginning string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, line := range w.told {
		if strings.HasPrefix(line, beginning) {
			return true
		}
	}
	return false
}

// newWired starts all of it; seal false: as with store.redis.unsealed.
func newWired(t *testing.T, seal bool) *wired {
	t.Helper()
	w := &wired{live: serve(t)}
	w.raw = w.live.open(t, nil)
	w.store = w.raw
	var believed signals.Postures = w.raw
	if seal {
		key := newKey(t)
		w.store, believed = signals.Sealed(w.raw, key, key.Checker()), signals.CheckedPostures(w.raw, key.Checker())
	}
	adapter, err := standard.New([]string{hookSecret})
	if err != nil {
		t.Fatal(err)
	}
	w.receiver, err = ingest.New(w.store, ingest.Options{
		Sources: []ingest.Source{{Name: "mdm", Adapter: adapter, Attests: []string{"disk_encryption", "compromised", "firewall"}}},
		Events: ingest.Events{
			Distrusted:   func(what, key string, _ error) { w.tell("distrusted %s %s", what, key) },
			DeadLettered: func(_, id, reason string) { w.tell("dead %s %s", id, reason) },
		}})
	if err != nil {
		t.Fatal(err)
	}
	var server *authz.Server
	copied := replica.New(believed, replica.Options{
		OnChange: func(p *signals.Posture) { server.PostureChanged(p) },
		OnRemove: func(d signals.DeviceID) { server.PostureRemoved(d) },
		Events: replica.Events{
			Regressed: func(d signals.DeviceID, _, _ signals.Revision) { w.tell("regressed %s", d) },
			Forgetful: func(d signals.DeviceID, _ int) { w.tell("forgetful %s", d) },
			Gone:      func(d signals.DeviceID) { w.tell("gone %s", d) },
			Corrupt:   func(d signals.DeviceID, _ error) { w.tell("corrupt %s", d) },
			Contested: func(a signals.Alias, _ []signals.DeviceID) { w.tell("contested %s", a) },
		}})
	server = authz.New(authz.Options{Devices: copied, Peers: named{}, Tokens: ana{}})
	server.SetPolicy(laptopPolicy(t))
	w.run(t, server, copied)
	return w
}

func (w *wired) run(t *testing.T, server *authz.Server, copied *replica.Replica) {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	g := grpc.NewServer(server.ServerOptions()...)
	server.Register(g)
	client, err := grpc.NewClient("passthrough:x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	w.checks = authv3.NewAuthorizationClient(client)
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, run := range []func() error{
		func() error { return copied.Run(ctx) }, func() error { return w.receiver.Run(ctx) }, func() error { return g.Serve(listener) },
	} {
		all.Go(func() {
			if err := run(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		stop()
		_ = client.Close()
		g.Stop()
		all.Wait()
	})
	<-copied.Loaded()
}

// named takes the name that Envoy gives for the serial number of the device that asks.
type named struct{}

func (named) Peer(_, principal string, at time.Time) identity.Peer {
	return identity.Peer{Device: serialOf(principal), Certificate: identity.Validity{NotBefore: at.Add(-1), NotAfter: at.Add(time.Hour)}}
}

func (named) Behind(p identity.Peer, _ []string, _ time.Time) identity.Peer { return p }

func serialOf(serial string) signals.Alias {
	return signals.Alias{Kind: signals.AliasSerial, Value: serial}
}

// ana is who holds every token.
type ana struct{}

func (ana) Judge(_ *token.Credential, at time.Time) (token.Proof, error) {
	return token.Proof{Proven: identity.Proven{User: &identity.User{Issuer: "corp", Name: "ana",
		Token: identity.Validity{NotBefore: at.Add(-1), NotAfter: at.Add(time.Hour)}}}}, nil
}

// laptopPolicy admits a device whose disk is encrypted and that nobody reports as compromised.
func laptopPolicy(t *testing.T) *policy.Policy {
	t.Helper()
	meta := func(name string) policy.Meta { return policy.Meta{Name: name, Owner: "iam"} }
	recorded := false
	p, faults := policy.New(policy.Spec{
		Governance: []policy.Governance{{Meta: policy.Meta{Name: "g"}, Accountable: policy.Contact{Name: "a", Contact: "b"},
			Teams: map[string]policy.Team{"iam": {Contact: "iam@acme.example"}}}},
		Baselines: []policy.Baseline{{Meta: meta("laptops"), Signals: map[string]policy.Signal{
			"disk":  {Expr: "device.disk_encryption", MaxAge: time.Hour, Fix: policy.Fix{Text: "Encrypt it."}},
			"clean": {Expr: "!device.compromised", MaxAge: time.Hour, Fix: policy.Fix{Text: "Hand it in."}},
		}}},
		Tiers: []policy.Tier{{Meta: meta("laptop"), Identify: policy.IdentifyUserDevice, SharedDevices: true,
			Require: []policy.Demand{{Signal: "disk"}}, DenyUnless: []policy.DenyUnless{{Signal: "clean"}}}},
		Audiences: []policy.Audience{{Meta: meta("all"), Members: []policy.Member{{Issuer: "corp"}}}},
		Upstreams: []policy.Upstream{{Meta: meta("app"), Endpoints: []string{"127.0.0.1:1"}, Plaintext: true}},
		Routes: []policy.Route{{Meta: meta("app"), Hosts: []string{"app.example"}, Path: "/**", Tier: "laptop",
			Audiences: []string{"all"}, Upstream: "app"}},
	}, policy.World{Evidence: &recorded})
	if faults != nil {
		t.Fatal(faults)
	}
	return p
}

// allowed asks for a device.
func (w *wired) allowed(t *testing.T, serial string) bool {
	t.Helper()
	return admits(t, w.checks, serial)
}

// admits asks an ext_authz service whether a device is let in.
func admits(t *testing.T, checks authv3.AuthorizationClient, serial string) bool {
	t.Helper()
	response, err := checks.Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Principal: serial},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: "GET", Host: "app.example", Path: "/x", HeaderMap: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
				{Key: "authorization", RawValue: []byte("Bearer x")}}},
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return codes.Code(response.GetStatus().GetCode()) == codes.OK
}

// until waits for what must come to be.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to be: %s", what)
		}
	}
}

func hook(serial, attributes string) string {
	at := time.Now().UTC().Format(time.RFC3339Nano)
	return `{"type":"device.posture.updated","timestamp":"` + at + `","data":{"device":{"serial":"` + serial + `"},"observed_at":"` + at +
		`","attributes":` + attributes + `}}`
}

// post delivers and returns the status.
func (w *wired) post(t *testing.T, id, body string) int {
	t.Helper()
	header, err := standard.Sign(hookSecret, id, time.Now(), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/sources/mdm", bytes.NewReader([]byte(body)))
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	w.receiver.Handler().ServeHTTP(answer, req)
	return answer.Code
}

// report delivers what has to be taken.
func (w *wired) report(t *testing.T, id, serial, attributes string) {
	t.Helper()
	body, status := hook(serial, attributes), 0
	until(t, "delivery "+id+" is accepted", func() bool { // a sender comes again when a busy machine was slow
		if status = w.post(t, id, body); status != http.StatusAccepted && status != http.StatusServiceUnavailable {
			t.Fatalf("delivery %s: %d", id, status)
		}
		return status == http.StatusAccepted
	})
}

// device returns whose name a serial number is.
func (w *wired) device(t *testing.T, serial string) signals.DeviceID {
	t.Helper()
	var device signals.DeviceID
	until(t, serial+" is a device", func() bool {
		record, err := w.store.Record(t.Context(), ingest.KindAlias, serialOf(serial).String())
		if errors.Is(err, signals.ErrCorrupt) {
			t.Fatal(err)
		}
		if err != nil { // it is not there yet, or a busy machine was slow
			return false
		}
		claim, err := ingest.ReadClaim(record)
		device = claim.Device
		return err == nil
	})
	return device
}
