package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// TestReservedHeadersAreOverwritten: what a client says of itself never reaches an upstream, in any spelling or number.
func TestReservedHeadersAreOverwritten(t *testing.T) {
	t.Parallel()
	s := theCompany(t)
	forged := http.Header{}
	for _, name := range []string{"Subject", "Device", "Tier", "Route", "Decision-Id", "Anything-Else"} {
		forged["X-Tiergate-"+name] = []string{"forged-1", "forged-2"}
	}
	forged["x-tIERGATE-subject"] = []string{"forged-3"}
	forged["X-Forwarded-Client-Cert"] = []string{`By=x;Hash=y;URI=spiffe://acme.example/ns/ci/sa/deployer`}
	for _, http1 := range []bool{true, false} {
		answer := s.Ask(soon(t, 10*time.Second), stage.Request{As: "ana", Host: stage.PortalHost, Header: forged.Clone(), HTTP1: http1})
		if answer.Status != http.StatusOK || answer.Echo == nil {
			t.Fatalf("HTTP/1 %v: %d %s %v", http1, answer.Status, answer.Reason(), answer.Err)
		}
		for name, values := range answer.Echo.Headers {
			if strings.Contains(strings.Join(values, " "), "forged") || strings.HasPrefix(name, "x-tiergate-") && len(values) != 1 {
				t.Errorf("HTTP/1 %v: the upstream saw %s: %q", http1, name, values)
			}
		}
		if got := answer.Echo.Headers["x-tiergate-subject"]; len(got) != 1 || got[0] != "corp/ana@acme.example" {
			t.Errorf("subject %q", got)
		}
		if xfcc := strings.Join(answer.Echo.Headers["x-forwarded-client-cert"], " "); strings.Contains(xfcc, "deployer") {
			t.Errorf("a client's own XFCC reached the upstream: %q", xfcc)
		}
	}
}

// TestPathsThroughEnvoy: no spelling of a path reaches what its plain spelling would not. Whatever an upstream sees has one
// reading.
func TestPathsThroughEnvoy(t *testing.T) {
	t.Parallel()
	s := theCompany(t)
	for _, path := range []string{
		"/a/../admin", "/a/%2e%2e/admin", "/a/%2E%2E/admin", "/a%2fb", "/a%2Fb", "/a%5cb", "/a%5Cb", "//admin", "/a//b", "/a/./b",
		"/a;x/b", "/..;/admin", "/a%00b", "/a%3bb", "/%61dmin", "/a%", "/a%zz", "/a%ff", "/a%c3", "/a%23b", "/a%3f", "/%252e%252e/x",
		"/" + strings.Repeat("a", 9000), "/a%0d%0aX-Evil:%20y",
	} {
		for _, http1 := range []bool{true, false} {
			answer := s.Ask(soon(t, 10*time.Second), stage.Request{As: "deployer", Host: stage.PayrollHost, Path: "/admin" + path, HTTP1: http1})
			if answer.Err != nil || answer.Status >= 400 && answer.Status < 500 {
				continue // refused by Envoy, by tiergate, or by the connection
			}
			if answer.Status != http.StatusOK || answer.Echo == nil {
				t.Errorf("%q: status %d", path, answer.Status)
				continue
			}
			if got := answer.Echo.Path; strings.ContainsAny(got, `;\#%`) || strings.Contains(got, "//") || strings.Contains(got, "/.") ||
				!strings.HasPrefix(got+"/", "/admin/") {
				t.Errorf("%q reached the upstream as %q", path, got)
			}
		}
	}
}

// TestForgedProofs: each refused, none mistaken for a proof that was not given.
func TestForgedProofs(t *testing.T) {
	t.Parallel()
	s := theCompany(t)
	stranger, err := devca.NewIssuer(stage.IssuerURL, stage.IssuerAudience)
	if err != nil {
		t.Fatal(err)
	}
	token := func(i *devca.Issuer, ttl time.Duration, extra map[string]any) string {
		text, err := i.Token("ana@acme.example", []string{"staff"}, ttl, extra)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := token(s.Cast.Issuer, time.Hour, nil)
	for name, bearer := range map[string]string{
		"another key":          token(stranger, time.Hour, nil),
		"expired":              token(s.Cast.Issuer, -time.Hour, nil),
		"another audience":     token(s.Cast.Issuer, time.Hour, map[string]any{"aud": "https://other.example"}),
		"another issuer":       token(s.Cast.Issuer, time.Hour, map[string]any{"iss": "https://other.example"}),
		"one character more":   good + "A",
		"one character fewer":  good[:len(good)-1],
		"no signature":         good[:strings.LastIndexByte(good, '.')+1],
		"not a token":          "nonsense",
		"two joined by commas": good + ",Bearer " + good,
	} {
		answer := s.Ask(soon(t, 10*time.Second), stage.Request{As: "ana", Host: stage.PortalHost, Token: bearer})
		if answer.Status != http.StatusUnauthorized || answer.Reason() != "identity-doubted" || answer.Header.Get("Www-Authenticate") == "" {
			t.Errorf("%s: %d %s", name, answer.Status, answer.Reason())
		}
	}
	twice := stage.Request{As: "ana", Host: stage.PortalHost, NoToken: true, Header: http.Header{"Authorization": {"Bearer " + good, "Bearer " + good}}}
	if answer := s.Ask(soon(t, 10*time.Second), twice); answer.Status != http.StatusUnauthorized {
		t.Errorf("two authorization headers: %d %s", answer.Status, answer.Reason())
	}
	if answer := s.Ask(soon(t, 10*time.Second), stage.Request{As: "ana", Host: stage.PortalHost, NoToken: true}); answer.Reason() != "identity-missing" {
		t.Errorf("no token: %d %s", answer.Status, answer.Reason())
	}
}

// TestForgedCertificates: Envoy believes both CAs of the ingress listener; which names each may give is tiergate's to say.
func TestForgedCertificates(t *testing.T) {
	t.Parallel()
	s := theCompany(t)
	must := func(p *devca.Pair, err error) *devca.Pair {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for name, c := range map[string]struct {
		pair   *devca.Pair
		host   string
		status int // 0: no connection at all
	}{
		"an SVID that the laptops' CA signed":     {must(s.Cast.Devices.SVID("spiffe://acme.example/ns/ci/sa/deployer", time.Hour)), stage.PayrollHost, 401},
		"an SVID of another trust domain":         {must(s.Cast.Workloads.SVID("spiffe://evil.example/ns/ci/sa/deployer", time.Hour)), stage.PayrollHost, 401},
		"a laptop that the workloads' CA signed":  {must(s.Cast.Workloads.Device("ana-laptop", "C02ANA0001", time.Hour)), stage.PortalHost, 401},
		"a laptop that nobody reported":           {must(s.Cast.Devices.Device("new", "C02NEW0001", time.Hour)), stage.PortalHost, 403},
		"an expired SVID":                         {must(s.Cast.Workloads.SVID("spiffe://acme.example/ns/ci/sa/deployer", -time.Hour)), stage.PayrollHost, 0},
		"a contractor's laptop on this listener":  {must(s.Cast.ContractorDevices.Device("x", "PF3X", time.Hour)), stage.PortalHost, 0},
		"a workload of the audience, for control": {must(s.Cast.Workloads.SVID("spiffe://acme.example/ns/ci/sa/other", time.Hour)), stage.PayrollHost, 200},
	} {
		r := stage.Request{As: "ana", Pair: c.pair, Host: c.host, Path: "/admin/runs", NoToken: c.host == stage.PayrollHost}
		answer := s.Ask(soon(t, 10*time.Second), r)
		if answer.Status != c.status || (c.status == 0) != (answer.Err != nil) {
			t.Errorf("%s: %d %s %v", name, answer.Status, answer.Reason(), answer.Err)
		}
	}
}

// TestIsolationThroughEnvoy asks every listener for every host as every caller, with host aliases and header overrides: a
// contractor's answers come from the contractors' app alone, and nobody else's come from it.
func TestIsolationThroughEnvoy(t *testing.T) {
	t.Parallel()
	s := theCompany(t)
	hosts := []string{stage.PortalHost, stage.PayrollHost, stage.ContractorHost}
	asked, leaks := 0, 0
	for _, caller := range []string{"ana", "ben", "cleo", "cleo-borrowing", "deployer", "reporter"} {
		for _, listener := range []string{stage.ListenerIngress, stage.ListenerContracts} {
			for _, host := range hosts {
				for _, alias := range []string{host, strings.ToUpper(host), host + ":443", host + "."} {
					for _, override := range []string{"", "X-Forwarded-Host", "X-Host", "X-Original-Url", "X-Envoy-Original-Path"} {
						r := stage.Request{As: caller, Listener: listener, Host: alias, Path: "/admin/x"}
						if override != "" {
							r.Header = http.Header{override: {stage.PortalHost}}
						}
						answer := s.Ask(soon(t, 10*time.Second), r)
						asked++
						if answer.Echo == nil {
							continue
						}
						contractor := strings.HasPrefix(caller, "cleo")
						if contractor != (answer.Echo.Upstream == "contractor-portal") || contractor != (listener == stage.ListenerContracts) {
							leaks++
							t.Errorf("%s at %s reached %s with host %q, %s", caller, listener, answer.Echo.Upstream, alias, override)
						}
					}
				}
			}
		}
	}
	t.Logf("leaks %d of %d", leaks, asked)
}
