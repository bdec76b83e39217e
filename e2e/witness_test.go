package e2e_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// caseHeader tells which request of a corpus an upstream sees.
const caseHeader = "x-case"

// sighting is a request that reached an upstream, whether or not anybody got an answer to it.
type sighting struct {
	stage.Echo
	Trailers map[string][]string
}

// header is the one value of a header; none or several are "".
func (s sighting) header(name string) string {
	if values := s.Headers[name]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// witness is an upstream that remembers all that reached it.
type witness struct {
	name string

	mu  sync.Mutex
	all []sighting
}

// stand ends an upstream of a stage and takes its place and its SVID.
func stand(t *testing.T, s *stage.Stage, name, address string) *witness {
	t.Helper()
	if err := s.Kill(name); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{name: name}
	server := &http.Server{Handler: w, ReadHeaderTimeout: 10 * time.Second, TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{s.Cast.Pairs[name].TLS()}, ClientCAs: devca.Pool(s.Cast.Workloads),
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(listener, "", "") // ends with the test, by Close
	}()
	t.Cleanup(func() {
		_ = server.Close() // nothing is to be finished
		<-done
	})
	return w
}

func (w *witness) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // trailers come after it
	seen := sighting{Echo: stage.Echo{Upstream: w.name, Method: r.Method, Host: r.Host, Path: r.RequestURI,
		Headers: map[string][]string{}}, Trailers: map[string][]string{}}
	for name, values := range r.Header {
		seen.Headers[strings.ToLower(name)] = values
	}
	maps.Copy(seen.Trailers, r.Trailer)
	w.mu.Lock()
	w.all = append(w.all, seen)
	w.mu.Unlock()
	out.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(out).Encode(seen.Echo) // fails only if nobody waits for it
}

// seen hands out what has reached the upstream since the last time.
func (w *witness) seen() []sighting {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.Clone(w.all)
	w.all = nil
	return all
}

// witnessed is a company whose routes split a host: what ana may reach and what nobody here may stand side by side.
type witnessed struct {
	*stage.Stage
	upstreams []*witness
	policy    *played // as our own code compiles it
}

const moreRoutes = `---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: vault, owner: workplace}
spec: {hosts: [app.acme.example], path: /vault/**, tier: internal, audiences: [executives], upstream: portal}
---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: team, owner: workplace}
spec: {hosts: [app.acme.example], path: "/team/{id}", methods: [GET], tier: internal, audiences: [employees], upstream: portal}
---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: team-secret, owner: workplace}
spec: {hosts: [app.acme.example], path: /team/secret, methods: [GET], tier: internal, audiences: [executives], upstream: portal}
---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: notes, owner: workplace}
spec: {hosts: [app.acme.example], path: "/team/{id}/notes/*", methods: [GET], tier: internal, audiences: [employees], upstream: portal}
---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: rpc, owner: workplace}
spec: {hosts: [app.acme.example], path: /acme.Notes/*, methods: [POST], tier: internal, audiences: [employees], upstream: portal}
`

func aWitnessedCompany(t *testing.T, store string) *witnessed {
	t.Helper()
	s, err := stage.New(stage.Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	file := s.Path("policy", "access", "routes.yaml")
	routes, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, append(routes, moreRoutes...), 0o600)
	}
	if err == nil {
		err = s.Start(soon(t, time.Minute))
	}
	if err == nil {
		err = makeHealthy(soon(t, time.Minute), s, "ana-laptop")
	}
	if err != nil {
		t.Fatal(err)
	}
	w := &witnessed{Stage: s, policy: &played{dir: s.Dir}}
	w.policy.load(t)
	w.upstreams = []*witness{stand(t, s, "portal", s.Ports.Portal), stand(t, s, "payroll", s.Ports.Payroll)}
	return w
}

// seen is what has reached any upstream since the last time.
func (w *witnessed) seen() (all []sighting) {
	for _, u := range w.upstreams {
		all = append(all, u.seen()...)
	}
	return all
}
