package e2e_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/assertion/verify"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

const gatewayName = "https://gateway.acme.example"

// bareRoute keeps the client's token from its upstream.
const bareRoute = `---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: bare, owner: workplace}
spec: {hosts: [app.acme.example], path: /bare/**, tier: internal, audiences: [employees], upstream: portal, token: remove}
`

// heard is what an application was told, by a request that it let in.
type heard struct {
	Claims  verify.Claims
	Headers http.Header
}

// TestUpstreamsKnowWhoCalls: an application that asks for the assertion lets in what came through Envoy, and nothing else; it
// never sees what a client says of itself, nor the token where the route keeps it back; and what it says itself as tiergate
// never reaches the client.
func TestUpstreamsKnowWhoCalls(t *testing.T) {
	t.Parallel()
	s := anAssertingCompany(t)
	v := made(verify.New(verify.Options{Issuer: gatewayName, Audience: "portal",
		JWKSURL: "http://" + s.Ports.ServeMetrics + "/.well-known/jwks.json"}))(t)
	standIn(t, s, v)
	eventually(t, s, stage.Request{As: "ana", Host: stage.PortalHost, Path: "/x"}, http.StatusOK) // the application has its keys
	forgery := http.Header{"X-Tiergate-Assertion": {forged, "a.b.c"}, "X-Tiergate-Subject": {forged}}
	for _, http1 := range []bool{true, false} {
		for _, path := range []string{"/x", "/bare/x"} {
			a := s.Ask(soon(t, 10*time.Second), stage.Request{As: "ana", Host: stage.PortalHost, Path: path, HTTP1: http1, Header: forgery})
			var h heard
			if err := json.Unmarshal(a.Body, &h); a.Err != nil || a.Status != 200 || err != nil {
				t.Fatalf("%s, HTTP/1 %t: %d %s %v", path, http1, a.Status, a.Body, a.Err)
			}
			judgeHeard(t, path, &h)
			judgeAnswered(t, path, a.Header)
		}
	}
	a := s.Ask(soon(t, 10*time.Second), stage.Request{As: "ana", Host: stage.PortalHost, Path: "/vault/x", Header: forgery})
	if a.Status == 200 || a.Header.Get("X-Tiergate-Decision-Id") == "" {
		t.Errorf("a refusal has lost its id: %d %v", a.Status, a.Header)
	}
	// Who goes past Envoy has no assertion, or somebody's for another upstream.
	direct := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		Certificates: []tls.Certificate{s.Cast.Pairs["envoy"].TLS()}, InsecureSkipVerify: true}}}
	defer direct.CloseIdleConnections()
	for _, said := range []string{"", "a.b.c"} {
		request := made(http.NewRequestWithContext(soon(t, 20*time.Second), http.MethodGet, "https://"+s.Ports.Portal+"/x", http.NoBody))(t)
		if said != "" {
			request.Header.Set(verify.Header, said)
		}
		response, err := direct.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("past Envoy with %q: %d", said, response.StatusCode)
		}
	}
}

func judgeHeard(t *testing.T, path string, h *heard) {
	t.Helper()
	route := map[bool]string{true: "bare", false: "portal"}[strings.HasPrefix(path, "/bare")]
	c := h.Claims
	if c.Subject != "corp/"+ana || c.Tiergate.User == nil || c.Tiergate.User.Name != ana || c.Tiergate.Route != route ||
		c.Tiergate.Tier != "internal" || c.Tiergate.Device == "" || c.Tiergate.Device != h.Headers.Get("X-Tiergate-Device") {
		t.Errorf("%s: the application was told %+v", path, c)
	}
	if len(h.Headers.Values(verify.Header)) != 1 || h.Headers.Get("X-Tiergate-Subject") != c.Subject {
		t.Errorf("%s: the application got %v", path, h.Headers)
	}
	if got := h.Headers.Get("Authorization") != ""; got != (route == "portal") {
		t.Errorf("%s: the token came: %t", path, got)
	}
}

// judgeAnswered wants nothing of what an application said as tiergate, and the id of the decision.
func judgeAnswered(t *testing.T, path string, answered http.Header) {
	t.Helper()
	for name, values := range answered {
		ours := strings.HasPrefix(strings.ToLower(name), "x-tiergate-")
		if ours && name != "X-Tiergate-Decision-Id" || strings.Contains(strings.Join(values, " "), forged) {
			t.Errorf("%s: the client was told %s: %q", path, name, values)
		}
	}
	if ids := answered.Values("X-Tiergate-Decision-Id"); len(ids) != 1 || len(ids[0]) != 36 {
		t.Errorf("%s: ids %q", path, ids)
	}
	if answered.Get("X-App") != "kept" {
		t.Errorf("%s: the application's own header is gone", path)
	}
}

func anAssertingCompany(t *testing.T) *stage.Stage {
	t.Helper()
	s := made(stage.New(stage.Options{Store: stage.StoreEmbedded}))(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	settings := string(made(os.ReadFile(s.Settings()))(t)) + "\nassertion: {issuer: \"" + gatewayName + "\"}\n"
	routes := s.Path("policy", "access", "routes.yaml")
	text := string(made(os.ReadFile(routes))(t)) + moreRoutes + bareRoute
	for file, content := range map[string]string{s.Settings(): settings, routes: text} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Start(soon(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := makeHealthy(soon(t, time.Minute), s, "ana-laptop"); err != nil {
		t.Fatal(err)
	}
	return s
}

// standIn takes the place of the portal with an application that verifies, and that says what only tiergate may say.
func standIn(t *testing.T, s *stage.Stage, v *verify.Verifier) {
	t.Helper()
	if err := s.Kill("portal"); err != nil {
		t.Fatal(err)
	}
	listener := made(net.Listen("tcp", s.Ports.Portal))(t)
	application := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := verify.FromContext(r.Context())
		w.Header()["x-tiergate-decision-id"] = []string{forged, forged}
		w.Header().Set("X-Tiergate-Anything", forged)
		w.Header().Set("X-Tiergate-Subject", forged)
		w.Header().Set("X-App", "kept")
		_ = json.NewEncoder(w).Encode(heard{claims, r.Header})
	})
	server := &http.Server{Handler: v.Require(application), ReadHeaderTimeout: 10 * time.Second, TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{s.Cast.Pairs["portal"].TLS()}, ClientCAs: devca.Pool(s.Cast.Workloads),
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = v.Run(ctx) })
	running.Go(func() { _ = server.ServeTLS(listener, "", "") })
	t.Cleanup(func() {
		cancel()
		_ = server.Close() // nothing is to be finished
		running.Wait()
	})
}
