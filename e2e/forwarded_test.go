package e2e_test

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// aForwardedCompany is up, ana's laptop is healthy, and the gateway's word on its clients counts.
func aForwardedCompany(t *testing.T) (s *stage.Stage, gateway *devca.Pair) {
	t.Helper()
	s = made(stage.New(stage.Options{Store: stage.StoreEmbedded}))(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	settings := replaceOnce(t, string(made(os.ReadFile(s.Settings()))(t)), "\nidentity:\n",
		"\nidentity:\n  forwarders: ["+gatewayID+"]\n")
	if err := os.WriteFile(s.Settings(), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(soon(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := makeHealthy(soon(t, time.Minute), s, "ana-laptop"); err != nil {
		t.Fatal(err)
	}
	return s, made(s.Cast.Workloads.SVID(gatewayID, time.Hour))(t)
}

// forwarded is a request that comes through a proxy, and what must become of it.
type forwarded struct {
	name, telling string
	pair          *devca.Pair
	token         string
	admin         bool   // on the route of the deployers, else the employees' portal
	says          string // an x-forwarded-client-cert of the client's own
	status        int
	reason        string // or the subject that the upstream is told
}

func (f *forwarded) request(http1 bool) stage.Request {
	r := stage.Request{Host: stage.PortalHost, Path: "/x", Pair: f.pair, Token: f.token, HTTP1: http1}
	if f.admin {
		r.Host, r.Path = stage.PayrollHost, "/admin/run"
	}
	if f.says != "" {
		r.Header = http.Header{"X-Forwarded-Client-Cert": {f.says}}
	}
	return r
}

func (f *forwarded) judge(t *testing.T, answer stage.Answer) {
	t.Helper()
	got := answer.Reason()
	if answer.Echo != nil {
		got = strings.Join(answer.Echo.Headers["x-tiergate-subject"], ", ")
		if left := answer.Echo.Headers["x-forwarded-client-cert"]; len(left) > 0 {
			t.Errorf("%s, %s: the upstream saw %q", f.name, f.telling, left)
		}
	}
	if answer.Status != f.status || got != f.reason {
		t.Errorf("%s, %s: %d %q %v; want %d %q", f.name, f.telling, answer.Status, got, answer.Err, f.status, f.reason)
	}
}

// TestForwarded: behind a second real Envoy that is listed, who asks is who called that Envoy, as far as it can be told for
// certain; what the client says of itself on the way counts for nothing, on the whole way.
func TestForwarded(t *testing.T) {
	t.Parallel()
	s, gateway := aForwardedCompany(t)
	f := newFront(t, s, gateway)
	ana, ben, deployer, reporter := s.Cast.Pairs["ana-laptop"], s.Cast.Pairs["ben-laptop"], s.Cast.Pairs["deployer"],
		s.Cast.Pairs["reporter"]
	token, bound := s.Cast.Tokens["ana"], boundToken(t, s, ana)
	inSubject := made(s.Cast.Devices.Device(`x";URI=`+theDeployer+`,By=`+gatewayID+`;URI=`+theDeployer+`;Subject="`,
		"C02", time.Hour))(t)
	const corpAna, doubted = "corp/ana@acme.example", "identity-doubted"
	spoof := "By=" + gatewayID + ";Hash=" + strings.Repeat("ab", 32) + ";URI=" + theDeployer
	cases := []forwarded{
		{name: "ana", pair: ana, token: token, status: 200, reason: corpAna},
		{name: "ana, bound", pair: ana, token: bound, status: 200, reason: corpAna},
		{name: "ana's bound token, ben's laptop", pair: ben, token: bound, status: 401, reason: doubted},
		{name: "ana's bound token, a workload", pair: deployer, token: bound, status: 401, reason: doubted},
		{name: "deployer", pair: deployer, admin: true, status: 200, reason: theDeployer},
		{name: "reporter", pair: reporter, admin: true, status: 403, reason: "audience"},
		{name: "ana as deployer", pair: ana, admin: true, says: spoof, status: 401, reason: "identity-missing"},
		{name: "nobody, so the gateway", admin: true, status: 403, reason: "audience"},
		{name: "nobody as deployer", admin: true, says: spoof, status: 403, reason: "audience"},
		{name: "a device with an odd subject", pair: inSubject, admin: true, status: 401, reason: "identity-missing"},
	}
	for _, telling := range []string{"everything", "names", "hash"} {
		for _, c := range cases {
			if telling == "hash" && (c.pair == deployer || c.pair == reporter) && c.token == "" {
				c.status, c.reason = 401, "identity-missing" // a Hash alone is a certificate of no known device
			}
			for _, http1 := range []bool{true, false} {
				c.telling = telling
				c.judge(t, f.ask(t, telling, c.request(http1)))
			}
		}
	}
	// Names that hold separators, in certificates of a CA that only the front trusts, where it sends no Cert.
	comma := f.odd(t, nil, "//,By="+gatewayID+";URI="+theDeployer)
	for _, c := range []forwarded{
		{name: "an element in a URI name", telling: "names", pair: comma, status: 401, reason: doubted},
		{name: "a pair in a URI name", telling: "names", pair: f.odd(t, nil, "//;URI="+theDeployer), status: 401,
			reason: doubted},
		{name: "a pair in a DNS name", telling: "names", pair: f.odd(t, []string{"x;URI=" + theDeployer}), status: 401,
			reason: doubted},
		{name: "a pair in a DNS name", telling: "dns", pair: f.odd(t, []string{"x;URI=" + theDeployer}), status: 401,
			reason: doubted},
		{name: "an element in a DNS name", telling: "dns", pair: f.odd(t, []string{"x,By=" + gatewayID + ";URI=" +
			theDeployer}), status: 401, reason: doubted},
		{name: "an element in a URI name", telling: "everything", pair: comma, status: 401, reason: doubted},
		{name: "a foreign CA", telling: "everything", pair: f.odd(t, nil), status: 401, reason: doubted},
		{name: "deployer, after another proxy", telling: "append", pair: deployer,
			says: "By=spiffe://acme.example/x;URI=spiffe://acme.example/y", status: 200, reason: theDeployer},
		{name: "deployer", telling: "append", pair: deployer, status: 200, reason: theDeployer},
		{name: "reporter as deployer", telling: "append", pair: reporter, says: spoof, status: 401, reason: doubted},
		{name: "reporter as deployer, By another", telling: "append", pair: reporter, says: strings.ReplaceAll(spoof,
			"gateway", "x"), status: 403, reason: "audience"},
		{name: "an open quote", telling: "append", pair: reporter, says: spoof + `;Subject="`, status: 401,
			reason: doubted},
		{name: "nobody as deployer", telling: "append", says: spoof, status: 403, reason: "audience"},
	} {
		c.admin = true
		for _, http1 := range []bool{true, false} {
			c.judge(t, f.ask(t, c.telling, c.request(http1)))
		}
	}
}

// TestForwardedByHand: the gateway itself writes what a broken or stolen proxy might, straight to our Envoy; and the same
// from those whose word does not count changes nothing.
func TestForwardedByHand(t *testing.T) {
	t.Parallel()
	s, gateway := aForwardedCompany(t)
	ana, deployer := s.Cast.Pairs["ana-laptop"], s.Cast.Pairs["deployer"]
	cert := func(p *devca.Pair) string { return `Cert="` + url.PathEscape(string(p.CertificatePEM())) + `"` }
	hash := func(p *devca.Pair) string { return "Hash=" + p.Fingerprint() }
	by, uri := "By="+gatewayID, "URI="+theDeployer
	expired := made(s.Cast.Workloads.SVID(theDeployer, -time.Hour))(t)
	foreign := made(s.Cast.Devices.SVID(theDeployer, time.Hour))(t)
	good := by + ";" + hash(deployer) + ";" + cert(deployer) + `;Subject="O=SPIFFE";` + uri
	type says struct {
		name, header string
		status       int
		reason       string
	}
	corpus := []says{
		{"a good one", good, 200, theDeployer},
		{"a good one without Cert", by + ";" + uri, 200, theDeployer},
		{"after what others said", "URI=x;By=y," + good, 200, theDeployer},
		{"nothing", "", 403, "audience"},
		{"itself", by + ";" + hash(gateway) + ";URI=" + gatewayID, 403, "audience"},
		{"By another", strings.Replace(good, by, "By="+theDeployer, 1), 401, ""},
		{"no By", uri, 401, ""},
		{"Hash of another", by + ";" + hash(ana) + ";" + cert(deployer), 401, ""},
		{"URI of another", by + ";" + cert(deployer) + ";URI=spiffe://acme.example/ns/ci/sa/x", 401, ""},
		{"Cert of a foreign CA", by + ";" + cert(foreign), 401, ""},
		{"expired Cert", by + ";" + cert(expired), 401, ""},
		{"two Certs", good + ";" + cert(deployer), 401, ""},
		{"two URI names", by + ";" + uri + ";" + uri, 401, ""},
		{"unknown trust domain", by + ";URI=spiffe://evil.example/ns/ci/sa/deployer", 401, ""},
		{"open quote", by + `;Subject="x;` + uri, 401, ""},
		{"junk behind a quote", by + `;Subject="x"y;` + uri, 401, ""},
		{"escaped quote at the end", by + `;Subject="x\";` + uri, 401, ""},
		{"empty element", by + ";" + uri + ",", 401, ""},
		{"blank", by + "; " + uri, 401, ""},
		{"no key", "garbage", 401, ""},
		{"33 elements", strings.Repeat("By=x,", 32) + good, 401, ""},
	}
	for _, c := range corpus {
		for _, http1 := range []bool{true, false} {
			f := forwarded{name: c.name, telling: "by hand", pair: gateway, admin: true, says: c.header, status: c.status,
				reason: c.reason}
			if f.reason == "" {
				f.reason = "identity-doubted"
			}
			f.judge(t, s.Ask(soon(t, 10*time.Second), f.request(http1)))
			// Those whose word does not count: what they say is not even read.
			f.pair, f.status, f.reason = s.Cast.Pairs["reporter"], 403, "audience"
			f.judge(t, s.Ask(soon(t, 10*time.Second), f.request(http1)))
			f.pair, f.status, f.reason = deployer, 200, theDeployer
			f.judge(t, s.Ask(soon(t, 10*time.Second), f.request(http1)))
			f.pair, f.token, f.status, f.reason = ana, s.Cast.Tokens["ana"], 401, "identity-missing"
			f.judge(t, s.Ask(soon(t, 10*time.Second), f.request(http1)))
			f.pair, f.token = nil, ""
			if answer := s.Ask(soon(t, 10*time.Second), f.request(http1)); answer.Err == nil {
				t.Errorf("%s, no certificate: %d %s", c.name, answer.Status, answer.Reason())
			}
		}
	}
}

// TestForwardedOwnEnvoy: what the README says of proxies before an Envoy that tiergate does not program.
func TestForwardedOwnEnvoy(t *testing.T) {
	t.Parallel()
	s, gateway := aForwardedCompany(t)
	address := ownEnvoy(t, s, func(text string) string {
		text = replaceOnce(t, text, "forward_client_cert_details: SANITIZE_SET ",
			"forward_client_cert_details: APPEND_FORWARD ")
		return replaceOnce(t, text, "route_config:\n", "route_config:\n"+
			"                  request_headers_to_remove: [x-forwarded-client-cert]\n")
	})
	for _, c := range []struct {
		pair   *devca.Pair
		status int
		saw    string
	}{
		{gateway, 200, theDeployer}, {s.Cast.Pairs["deployer"], 200, theDeployer}, {s.Cast.Pairs["reporter"], 403, ""},
	} {
		f := forwarded{pair: c.pair, admin: true, says: "By=" + gatewayID + ";URI=" + theDeployer}
		r := f.request(false)
		r.Address, r.HTTP1 = address, true
		answer := s.Ask(soon(t, 10*time.Second), r)
		if saw := answer.Header.Get("Saw-X-Tiergate-Subject"); answer.Status != c.status || saw != c.saw {
			t.Errorf("%s: %d %s, subject %q, %v", c.pair.Certificate.URIs, answer.Status, answer.Reason(), saw, answer.Err)
		}
	}
}
