package xds

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
)

const ana = "spiffe://acme.example/ana"

// acme is a policy with two audiences, one of them isolated, and every kind of pattern.
func acme(t *testing.T, pki *authority) Input {
	t.Helper()
	secure, impostor := freeport.For(t), freeport.For(t)
	tlsUpstream(t, pki, "secure", "spiffe://acme.example/payroll", secure)
	tlsUpstream(t, pki, "impostor", "spiffe://acme.example/other", impostor)
	staff, both, outside := []string{"employees"}, []string{"employees", "contractors"}, []string{"contractors"}
	return Input{
		Audiences: []policy.Audience{audience("employees", false), audience("contractors", true)},
		Upstreams: []policy.Upstream{
			upstream("app", plainUpstream(t, "app"), ""),
			upstream("admin", plainUpstream(t, "admin"), ""),
			upstream("partner", plainUpstream(t, "partner"), ""),
			upstream("secure", secure, "spiffe://acme.example/payroll"),
			upstream("impostor", impostor, "spiffe://acme.example/payroll"),
		},
		Routes: []policy.Route{
			route("app", "app.acme.example", "/**", "app", staff),
			route("root", "app.acme.example", "/", "app", staff),
			route("admin", "app.acme.example", "/admin/**", "admin", staff, "GET"),
			route("item-read", "app.acme.example", "/api/{id}", "app", both, "GET", "HEAD"),
			route("item-write", "app.acme.example", "/api/{id}", "admin", staff, "POST"),
			route("item-special", "app.acme.example", "/api/special", "admin", staff),
			route("deep", "app.acme.example", "/t/{tenant}/files/**", "admin", staff),
			route("tenants", "*.tenants.acme.example", "/**", "app", staff),
			// As long as a host and a path may be: Envoy must not find the expressions too large.
			route("long", "*."+strings.Repeat(strings.Repeat("a", 60)+".", 3)+"example", "/l/"+strings.Repeat("{x}/", 60)+"**",
				"app", staff, "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
			route("tenant-one", "one.tenants.acme.example", "/only", "admin", staff),
			route("outside-only", "app.acme.example", "/outside/**", "partner", outside),
			route("outside-host", "three.tenants.acme.example", "/**", "partner", outside),
			route("partner", "partner.acme.example", "/**", "partner", outside),
			route("secure", "secure.acme.example", "/**", "secure", staff),
			route("impostor", "impostor.acme.example", "/**", "impostor", staff),
		},
		Settings: Settings{Listeners: twoListeners()},
	}
}

func twoListeners() []Listener {
	return []Listener{{Name: "ingress"}, {Name: "contractors", Audience: "contractors"}}
}

func TestEnvoy(t *testing.T) { //nolint:tparallel // its subtests share one Envoy and take turns
	t.Parallel()
	pki := newAuthority(t)
	r := newRig(t, pki, acme(t, pki))
	r.settled(r.build(r.in))
	for _, c := range []struct {
		name string
		test func(*testing.T, *rig)
	}{
		{"tells the decision service what a decision needs", testCheckRequest},
		{"takes headers only from tiergate", testHeaders},
		{"routes as the policy says", testRouting},
		{"has one reading of a path", testPaths},
		{"does not know the other audience's hosts", testIsolation},
		{"admits only certificates of its own CA", testCertificates},
		{"trusts upstreams by their identity", testUpstreamIdentity},
		{"lets a decision change nothing else", testMutations},
		{"cannot be switched off through admin", testAdmin},
		{"answers 503 when nobody decides", testNobodyDecides},
		{"writes an access log without queries", testAccessLog},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			r.authz.set(nil)
			r.authz.last()
			c.test(t, r)
		})
	}
	r.t = t
	if n := r.stat("server.envoy_bug_failures"); n != 0 {
		t.Errorf("Envoy counted %d bugs of its own", n)
	}
}

func testCheckRequest(t *testing.T, r *rig) {
	got := r.client("ingress", ana, true).do("GET", "app.acme.example", "/x?q=1", nil)
	if e := got.echo(t); got.status != 200 || e.Upstream != "app" || e.Path != "/x?q=1" {
		t.Fatalf("got %d from %+v", got.status, e)
	}
	check := r.authz.last().GetAttributes()
	want := map[string]string{ContextRoute: "app", ContextTable: "table-1", ContextListener: "ingress", ContextUpstream: "app"}
	if got := check.GetContextExtensions(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("context extensions %v, want %v", got, want)
	}
	if got := check.GetSource().GetPrincipal(); got != ana {
		t.Errorf("principal %q", got)
	}
	if !strings.HasPrefix(check.GetSource().GetCertificate(), "-----BEGIN%20CERTIFICATE-----") {
		t.Errorf("certificate %q", check.GetSource().GetCertificate())
	}
	if got := check.GetTlsSession().GetSni(); got != "envoy.acme.example" {
		t.Errorf("SNI %q", got)
	}
	if check.GetRequest().GetHttp().GetHeaderMap() == nil || check.GetRequest().GetHttp().GetHeaders() != nil {
		t.Error("headers do not come as raw bytes")
	}
	if body := check.GetRequest().GetHttp().GetBody(); body != "" {
		t.Errorf("body %q", body)
	}
}

func testHeaders(t *testing.T, r *rig) {
	for _, http2 := range []bool{false, true} {
		header := http.Header{
			"X-Tiergate-Subject": {"root", "admin"}, "X-TIERGATE-Tier": {"none"}, "X-Tiergate-": {"x"},
			"X-Forwarded-Client-Cert": {"URI=spiffe://acme.example/root"}, "X-Envoy-Internal": {"true"},
			"X-Envoy-Upstream-Rq-Timeout-Ms": {"1"}, "X-Envoy-Upstream-Stream-Duration-Ms": {"1"},
			"X-Envoy-Expected-Rq-Timeout-Ms": {"1"}, "X-Envoy-Original-Path": {"/admin"},
			"X-Envoy-External-Address": {"10.0.0.1"}, "X-Request-Id": {"mine"},
			"Authorization": {"a", "b"}, "Dpop": {"c", "caf\xe9"}, "Cookie": {"a=1"}, "Accept": {"text/html"}, "X-Other": {"x"},
		}
		if http2 { // without it, a client on a private address is what Envoy calls internal
			header.Set("X-Forwarded-For", "10.0.0.1")
		}
		got := r.client("ingress", ana, http2).do("GET", "app.acme.example", "/", header)
		e := got.echo(t)
		if v := e.Header.Values("X-Tiergate-Subject"); !slices.Equal(v, []string{"corp/ana"}) {
			t.Errorf("the upstream saw subject %q", v)
		}
		// The one x-envoy header that is left is Envoy's own word on where the client is.
		if v := e.Header.Values("X-Envoy-External-Address"); !slices.Equal(v, []string{"127.0.0.1"}) {
			t.Errorf("the upstream saw the external address %q", v)
		}
		if v := e.Header.Get("X-Request-Id"); v == "mine" {
			t.Error("a client chose its request id")
		}
		e.Header.Del("X-Envoy-External-Address")
		for name := range e.Header {
			lower := strings.ToLower(name)
			if strings.HasPrefix(lower, "x-envoy-") ||
				strings.HasPrefix(lower, HeaderPrefix) && lower != "x-tiergate-subject" {
				t.Errorf("the upstream saw %s: %q", name, e.Header[name])
			}
		}
		check := r.authz.last()
		for _, h := range check.GetAttributes().GetRequest().GetHttp().GetHeaderMap().GetHeaders() {
			if !slices.Contains([]string{"authorization", "dpop", "accept"}, h.GetKey()) {
				t.Errorf("the decision service saw %s: %q", h.GetKey(), h.GetRawValue())
			}
		}
		if xfcc := e.Header.Values("X-Forwarded-Client-Cert"); len(xfcc) != 1 || strings.Contains(xfcc[0], "root") ||
			!strings.Contains(xfcc[0], ana) {
			t.Errorf("the upstream saw x-forwarded-client-cert %q", xfcc)
		}
		if got := headersNamed(check, "accept"); !slices.Equal(got, []string{"text/html"}) {
			t.Errorf("accept became %q", got)
		}
		// Envoy itself joins authorization, one of the headers that it knows by name, whatever is asked of the filter.
		if got := headersNamed(check, "authorization"); !slices.Equal(got, []string{"a,b"}) {
			t.Errorf("two credentials became %q", got)
		}
		if got := headersNamed(check, "dpop"); !slices.Equal(got, []string{"c", "caf\xe9"}) {
			t.Errorf("two headers of one name, one of them no text, became %q", got)
		}
	}
}

func testRouting(t *testing.T, r *rig) {
	for _, c := range []struct {
		request, route, upstream string
		status                   int
	}{
		{"GET app.acme.example/", "root", "app", 200},
		{"GET APP.acme.example:8443/", "root", "app", 200},
		{"GET app.acme.example./", "root", "app", 200},
		{"GET app.acme.example/other", "app", "app", 200},
		{"GET app.acme.example/admin", "admin", "admin", 200},
		{"GET app.acme.example/admin/", "admin", "admin", 200},
		{"GET app.acme.example/admin/a/b?x=/c", "admin", "admin", 200},
		{"GET app.acme.example/administrator", "app", "app", 200},
		{"GET app.acme.example/ADMIN/x", "app", "app", 200},
		{"POST app.acme.example/admin/x", "", "", 403},
		{"get app.acme.example/admin/x", "-", "", 400},
		{"GET app.acme.example/api/7", "item-read", "app", 200},
		{"HEAD app.acme.example/api/7", "item-read", "", 200},
		{"GET app.acme.example/api/7/", "item-read", "app", 200},
		{"POST app.acme.example/api/7", "item-write", "admin", 200},
		{"PUT app.acme.example/api/7", "", "", 403},
		{"OPTIONS app.acme.example/api/7", "", "", 403},
		{"GET app.acme.example/api/special", "item-special", "admin", 200},
		{"PUT app.acme.example/api/special/", "item-special", "admin", 200},
		{"GET app.acme.example/api", "app", "app", 200},
		{"GET app.acme.example/api/7/x", "app", "app", 200},
		{"GET app.acme.example/t/a/files", "deep", "admin", 200},
		{"GET app.acme.example/t/a/files/x/y", "deep", "admin", 200},
		{"GET app.acme.example/t/a/filesystem", "app", "app", 200},
		{"GET two.tenants.acme.example/x", "tenants", "app", 200},
		{"GET TWO.tenants.acme.example:1/x", "tenants", "app", 200},
		{"GET a.two.tenants.acme.example/x", "", "", 404},
		{"GET one.tenants.acme.example/only", "tenant-one", "admin", 200},
		{"GET one.tenants.acme.example/x", "-", "", 404},
		{"GET app.acme.example/outside/x", "outside-only", "", 404},
		{"GET three.tenants.acme.example/x", "outside-host", "", 404},
		{"GET tenants.acme.example/x", "-", "", 404},
		{"GET unknown.example/", "-", "", 404},
	} {
		method, target, _ := strings.Cut(c.request, " ")
		host, path, _ := strings.Cut(target, "/")
		r.authz.last()
		got := r.client("ingress", ana, false).do(method, host, "/"+path, nil)
		if got.status != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.request, got.status, c.status, got.body)
			continue
		}
		if c.upstream != "" && got.echo(t).Upstream != c.upstream {
			t.Errorf("%s: upstream %s, want %s", c.request, got.echo(t).Upstream, c.upstream)
		}
		check := r.authz.last()
		if asked := check != nil; asked != (c.route != "-") {
			t.Errorf("%s: asked for a decision: %t", c.request, asked)
		} else if asked && check.GetAttributes().GetContextExtensions()[ContextRoute] != c.route {
			t.Errorf("%s: route %q, want %q", c.request, check.GetAttributes().GetContextExtensions()[ContextRoute], c.route)
		}
	}
}

func testPaths(t *testing.T, r *rig) {
	c := r.client("ingress", ana, false)
	for _, p := range []struct {
		path, seen string // seen by authz; empty: refused before
	}{
		{"/admin/x", "/admin/x"},
		{"/public/../admin", "/admin"},
		{"/public/%2e%2e/admin", "/admin"},
		{"/public/%2E%2E/admin", "/admin"},
		{"/./admin", "/admin"},
		{"/public/..;/admin", "/admin"},
		{"//admin//x", "/admin/x"},
		{"/adm%69n/x", "/admin/x"},
		{"/admin%2fx", ""}, {"/admin%2Fx", ""}, {"/public/..%2fadmin", ""},
		{"/admin%5cx", ""}, {"/admin%5Cx", ""},
		{"/admin%00", ""},
		{"/admin#x", ""},
		{"admin", ""},
	} {
		r.authz.last()
		code := c.raw("GET " + p.path + " HTTP/1.1\r\nHost: app.acme.example\r\nConnection: close\r\n\r\n")
		check := r.authz.last()
		switch {
		case p.seen == "" && (code != 400 && code != 404 || check != nil):
			t.Errorf("%q: %d, decision asked: %t; want a refusal", p.path, code, check != nil)
		case p.seen != "" && (code != 200 || pathOf(check) != p.seen):
			t.Errorf("%q: %d, seen as %q, want %q", p.path, code, pathOf(check), p.seen)
		}
	}
	// What Envoy leaves with two readings, authz refuses: it must see it as it came.
	for _, path := range []string{"/public/%252e%252e/admin", "/admin;x=1"} {
		r.authz.last()
		c.raw("GET " + path + " HTTP/1.1\r\nHost: app.acme.example\r\nConnection: close\r\n\r\n")
		seen := pathOf(r.authz.last())
		if _, err := policy.SplitRequestPath(seen); err == nil {
			t.Errorf("%q reached the decision as %q, which has one reading", path, seen)
		}
	}
	underscore := "GET / HTTP/1.1\r\nHost: app.acme.example\r\nx_tiergate_subject: a\r\nConnection: close\r\n\r\n"
	if code := c.raw(underscore); code != 400 {
		t.Errorf("a header with an underscore: %d, want 400", code)
	}
}

func pathOf(check *authv3.CheckRequest) string {
	return check.GetAttributes().GetRequest().GetHttp().GetPath()
}

func testIsolation(t *testing.T, r *rig) {
	for _, c := range []struct {
		listener, method, host, path string
		status                       int
		asked                        bool
	}{
		{"contractors", "GET", "partner.acme.example", "/", 200, true},
		{"contractors", "GET", "app.acme.example", "/api/7", 200, true},
		{"contractors", "GET", "app.acme.example", "/outside/x", 200, true},
		{"contractors", "GET", "three.tenants.acme.example", "/x", 200, true},
		// A shared host: what others have there is put on record and leads nowhere, whatever the decision.
		{"contractors", "POST", "app.acme.example", "/api/7", 404, true},
		{"contractors", "PUT", "app.acme.example", "/api/7", 403, true},
		{"contractors", "GET", "app.acme.example", "/", 404, true},
		{"contractors", "GET", "app.acme.example", "/admin/x", 404, true},
		// A host of others: there is no such host.
		{"contractors", "GET", "secure.acme.example", "/", 404, false},
		{"contractors", "GET", "two.tenants.acme.example", "/", 404, false},
		{"ingress", "GET", "partner.acme.example", "/", 404, false},
	} {
		r.authz.last()
		got := r.client(c.listener, ana, true).do(c.method, c.host, c.path, nil)
		check := r.authz.last()
		if got.status != c.status || (check != nil) != c.asked {
			t.Errorf("%+v: got %d, decision asked: %t", c, got.status, check != nil)
		}
		if check != nil && check.GetAttributes().GetContextExtensions()[ContextListener] != c.listener {
			t.Errorf("%+v: listener %q", c, check.GetAttributes().GetContextExtensions()[ContextListener])
		}
	}
}

func testCertificates(t *testing.T, r *rig) {
	foreign := newAuthority(t).issue(t, ana)
	expired := r.pki.issueUntil(t, ana, time.Now().Add(-time.Minute))
	for name, pair := range map[string]*KeyPair{"none": nil, "foreign": &foreign, "expired": &expired} {
		config := &tls.Config{}
		if pair != nil {
			certificate, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{certificate}
		}
		if got, err := r.clientWith("ingress", config, false).try("GET", "app.acme.example", "/", nil); err == nil {
			t.Errorf("certificate %s: got %d", name, got.status)
		}
	}
	old := r.client("ingress", ana, false)
	old.http.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS11
	if got, err := old.try("GET", "app.acme.example", "/", nil); err == nil {
		t.Errorf("TLS 1.1: got %d", got.status)
	}
	resuming := r.client("ingress", ana, false)
	transport := resuming.http.Transport.(*http.Transport)
	transport.TLSClientConfig.ClientSessionCache, transport.DisableKeepAlives = tls.NewLRUClientSessionCache(8), true
	for range 2 {
		resuming.do("GET", "app.acme.example", "/", nil)
	}
	if n := r.stat("listener.+ssl.session_reused"); n != 0 {
		t.Errorf("%d sessions were resumed", n)
	}
}

func testUpstreamIdentity(t *testing.T, r *rig) {
	c := r.client("ingress", ana, true)
	if got := c.do("GET", "secure.acme.example", "/", nil); got.status != 200 || got.echo(t).Upstream != "secure" {
		t.Errorf("secure: %d %s", got.status, got.body)
	}
	if got := c.do("GET", "impostor.acme.example", "/", nil); got.status != 503 {
		t.Errorf("impostor: %d %s", got.status, got.body)
	}
}
