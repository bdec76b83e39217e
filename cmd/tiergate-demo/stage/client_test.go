package stage

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// door stands where Envoy will: it demands a client certificate, like the listener in the settings.
func door(t *testing.T, s *Stage, address string, handler http.HandlerFunc) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close()
	server.Listener, server.EnableHTTP2 = listener, true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{s.Cast.Pairs["ingress"].TLS()}, MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: devca.Pool(s.Cast.Devices, s.Cast.Workloads)}
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
}

func TestAsk(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	door(t, s, s.Ports.Ingress, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s%s cert=%s auth=%t x=%v", r.Proto, r.Method, r.Host, r.RequestURI,
			r.TLS.PeerCertificates[0].Subject.CommonName, strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey"),
			r.Header.Values("X-Forged"))
	})
	forged := http.Header{"x-forged": {"a", "b"}}
	for name, row := range map[string]struct {
		request Request
		want    string
	}{
		"http2": {Request{As: "ana", Host: PortalHost, Path: "/a?b=c"},
			"HTTP/2.0 GET app.acme.example/a?b=c cert=ana-laptop auth=true x=[]"},
		"http1": {Request{As: "ana", Host: PortalHost, HTTP1: true, Header: forged},
			"HTTP/1.1 GET app.acme.example/ cert=ana-laptop auth=true x=[a b]"},
		"no token": {Request{As: "ben", Host: PortalHost, NoToken: true, Method: "POST", Body: []byte("x")},
			"HTTP/2.0 POST app.acme.example/ cert=ben-laptop auth=false x=[]"},
		"own pair and token": {Request{Pair: s.Cast.Pairs["deployer"], Token: "eyJ", Host: PayrollHost, Path: "/admin"},
			"HTTP/2.0 GET payroll.acme.example/admin cert= auth=true x=[]"},
		"paths are sent as written": {Request{As: "ana", Host: PortalHost, Path: "/a/../%2Fb;c"},
			"HTTP/2.0 GET app.acme.example/a/../%2Fb;c cert=ana-laptop auth=true x=[]"},
		"two slashes": {Request{As: "ana", Host: PortalHost, Path: "//admin?x", HTTP1: true},
			"HTTP/1.1 GET app.acme.example//admin?x cert=ana-laptop auth=true x=[]"},
	} {
		answer := s.Ask(t.Context(), row.request)
		if answer.Err != nil || string(answer.Body) != row.want {
			t.Errorf("%s: %q, %v; want %q", name, answer.Body, answer.Err, row.want)
		}
		if answer.Took <= 0 || answer.Reason() != "" {
			t.Errorf("%s: took %s, reason %q", name, answer.Took, answer.Reason())
		}
	}
}

func TestAskFails(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	door(t, s, s.Ports.Ingress, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		fmt.Fprint(w, "no json")
	})
	for name, request := range map[string]Request{
		"unknown caller":     {As: "eve", Host: PortalHost},
		"unknown listener":   {As: "ana", Listener: "public", Host: PortalHost},
		"nobody listens":     {As: "cleo", Listener: ListenerContracts, Host: PortalHost},
		"foreign device":     {As: "cleo", Host: PortalHost},
		"no certificate":     {Host: PortalHost},
		"other name":         {As: "ana", Host: "evil.example"},
		"no method":          {As: "ana", Host: PortalHost, Method: "G T"},
		"problem of no JSON": {As: "ana", Host: PortalHost, Path: "/?type=application/problem%2Bjson"},
		"echo of no JSON":    {As: "ana", Host: PortalHost, Path: "/?type=" + strings.ReplaceAll(echoType, "+", "%2B")},
	} {
		if answer := s.Ask(t.Context(), request); answer.Err == nil {
			t.Errorf("%s: answered %d %q", name, answer.Status, answer.Body)
		}
	}
}

// TestUpstream runs the real thing between the stage's certificates.
func TestUpstream(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	u := Upstream{Name: "portal", Listen: s.Ports.Portal, CertFile: s.Path("pki", "portal.pem"),
		KeyFile: s.Path("pki", "portal.key"), CAFile: s.Path("pki", "workloads-ca.pem"), Admit: EnvoyID}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for start := time.Now(); accepts(ctx, u.Listen) != nil; time.Sleep(time.Millisecond) {
		if time.Since(start) > 30*time.Second {
			t.Fatal("it does not listen")
		}
	}
	answer, err := askUpstream(t, s, "envoy", u.Listen)
	if err != nil {
		t.Fatal(err)
	}
	echo := answer.Echo
	if echo == nil || echo.Upstream != "portal" || echo.Peer != EnvoyID || echo.Path != "/x?y=1" || answer.Reason() != "allowed" {
		t.Fatalf("echo %+v", echo)
	}
	if got := echo.Headers["x-tiergate-subject"]; len(got) != 2 {
		t.Errorf("a doubled header shows as %q", got)
	}
	if strings.Contains(string(answer.Body), "secret-token") {
		t.Error("the echo holds a credential")
	}
	for _, other := range []string{"deployer", "ana-laptop", ""} {
		if _, err := askUpstream(t, s, other, u.Listen); err == nil {
			t.Errorf("the upstream talked to %q", other)
		}
	}
}

// askUpstream connects directly, as Envoy does.
func askUpstream(t *testing.T, s *Stage, certificate, address string) (Answer, error) {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true} // what is under test is whom the upstream admits
	if pair := s.Cast.Pairs[certificate]; pair != nil {
		config.Certificates = []tls.Certificate{pair.TLS()}
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/x?y=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"X-Tiergate-Subject": {"a", "b"}, "Authorization": {"Bearer secret-token"},
		"Cookie": {"secret-token"}}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	answer := Answer{Status: response.StatusCode, Header: response.Header, Body: make([]byte, 64<<10)}
	n, _ := response.Body.Read(answer.Body)
	answer.Body = answer.Body[:n]
	return answer, answer.decode()
}

func TestUpstreamRefusesToStart(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	good := Upstream{Name: "portal", Listen: s.Ports.Portal, CertFile: s.Path("pki", "portal.pem"),
		KeyFile: s.Path("pki", "portal.key"), CAFile: s.Path("pki", "workloads-ca.pem"), Admit: EnvoyID}
	noCert, noCA, emptyCA, taken := good, good, good, good
	noCert.CertFile, noCA.CAFile, emptyCA.CAFile = "/nonexistent", "/nonexistent", s.Settings()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken.Listen = listener.Addr().String()
	for name, u := range map[string]Upstream{"no certificate": noCert, "no CA": noCA, "empty CA": emptyCA, "port taken": taken} {
		if err := u.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "upstream portal") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestValkey starts the real one the way the demo does.
func TestValkey(t *testing.T) {
	s := newStage(t, StoreRedis)
	if err := s.Processes.Start(t.Context(), s.valkey()); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill("valkey"); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context(), "valkey"); err != nil {
		t.Fatal(err)
	}
	if s.Processes.Pid("valkey") == 0 {
		t.Error("it did not come back")
	}
}

// TestClientKnowsNoCast: what a Client cannot honour is an error and not left out in silence.
func TestClientKnowsNoCast(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	c := NewClient(s.Cast.Servers)
	for name, r := range map[string]Request{
		"a caller":   {As: "ana", Address: s.Ports.Ingress, Host: PortalHost},
		"a listener": {Listener: ListenerIngress, Address: s.Ports.Ingress, Host: PortalHost},
		"no address": {Pair: s.Cast.Pairs["deployer"], Host: PortalHost},
	} {
		if answer := c.Ask(t.Context(), r); answer.Err == nil || !strings.Contains(answer.Err.Error(), "ask the Stage") {
			t.Errorf("%s: %v", name, answer.Err)
		}
	}
	c.Close()
	if answer := c.Ask(t.Context(), Request{Address: s.Ports.Ingress, Host: PortalHost}); answer.Err == nil {
		t.Error("a closed client asked")
	}
}
