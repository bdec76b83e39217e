package xds

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/policy"
)

const (
	corpWorkload = "spiffe://acme.example/ns/ci/sa/deployer"
	contractor   = "spiffe://partner.example/contractor/birch"
)

// clients is a policy with a listener of each kind. partner signs for partner.example, and for whatever else it likes.
func clients(t *testing.T, pki, partner *authority) Input {
	t.Helper()
	app := plainUpstream(t, "app")
	domains := map[string][]byte{"acme.example": pki.caPEM, "partner.example": partner.caPEM}
	user, workload := route("user", "app.acme.example", "/user", "app", []string{"staff"}),
		route("workload", "app.acme.example", "/workload", "app", []string{"staff"})
	device := route("device", "app.acme.example", "/device", "app", []string{"staff"})
	user.Tier, workload.Tier, device.Tier = "user", "workload", "device"
	return Input{
		Audiences: []policy.Audience{audience("staff", false), audience("contractors", true)},
		Upstreams: []policy.Upstream{upstream("app", app, "")},
		Tiers: []policy.Tier{
			{Meta: policy.Meta{Name: "open"}, Identify: policy.IdentifyUser},
			{Meta: policy.Meta{Name: "user"}, Identify: policy.IdentifyUser},
			{Meta: policy.Meta{Name: "workload"}, Identify: policy.IdentifyWorkload},
			{Meta: policy.Meta{Name: "device"}, Identify: policy.IdentifyUserDevice},
		},
		Routes: []policy.Route{user, workload, device,
			route("whole", "whole.acme.example", "/**", "app", []string{"staff", "contractors"})},
		Settings: Settings{Listeners: []Listener{
			{Name: "required"},
			{Name: "optional", ClientCertificates: CertificateOptional},
			{Name: "none", ClientCertificates: CertificateNone},
			{Name: "named", ClientSPIFFEIDs: []string{corpWorkload, "spiffe://acme.example/ns/*/sa/edge", "spiffe://acme.example/mesh/**"}},
			{Name: "domains", TrustDomains: domains},
			{Name: "own", Audience: "contractors", TrustDomains: domains,
				ClientSPIFFEIDs: []string{"spiffe://partner.example/contractor/*"}},
			{Name: "users", Serves: ServesUsers},
			{Name: "workloads", Serves: ServesWorkloads},
		}},
	}
}

// asks asks over a connection of its own; pair may be nil. The status is 0 where the handshake fails.
func (r *rig) asks(listener string, pair *KeyPair, http2 bool, header http.Header) int {
	r.t.Helper()
	config := &tls.Config{}
	if pair != nil {
		certificate, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
		if err != nil {
			r.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	got, err := r.clientWith(listener, config, http2).try("GET", "whole.acme.example", "/x", header)
	if err != nil {
		return 0
	}
	return got.status
}

func TestEnvoyClients(t *testing.T) { //nolint:tparallel // its subtests share one Envoy and take turns
	t.Parallel()
	pki, partner := newAuthority(t), newAuthority(t)
	r := newRig(t, pki, clients(t, pki, partner))
	r.settled(r.build(r.in))
	for _, c := range []struct {
		name string
		test func(*testing.T, *rig, *authority)
	}{
		{"asks for certificates as it is told to", testClientCertificates},
		{"lets in names", testClientNames},
		{"believes each domain about itself", testTrustDomains},
		{"serves whom a listener is for", testServes},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			c.test(t, r, partner)
		})
	}
	r.t = t
}

func testClientCertificates(t *testing.T, r *rig, partner *authority) {
	good, foreign := r.pki.issue(t, ana), partner.issue(t, ana)
	selfMade := newAuthority(t).issue(t, ana)
	for _, c := range []struct {
		listener              string
		without, good, others int
	}{
		{"required", 0, 200, 0},
		{"optional", 200, 200, 0}, // never one that cannot be verified
		{"none", 200, 200, 200},   // nobody is asked, so nothing is shown
	} {
		for _, http2 := range []bool{false, true} {
			r.authz.last()
			if got := r.asks(c.listener, nil, http2, nil); got != c.without {
				t.Errorf("%s without a certificate: %d, want %d", c.listener, got, c.without)
			}
			if check := r.authz.last(); check != nil && (check.GetAttributes().GetSource().GetPrincipal() != "" ||
				check.GetAttributes().GetSource().GetCertificate() != "") {
				t.Errorf("%s: nobody showed a certificate, and authz was told of %v", c.listener, check.GetAttributes().GetSource())
			}
			if got := r.asks(c.listener, &good, http2, nil); got != c.good {
				t.Errorf("%s with a good one: %d, want %d", c.listener, got, c.good)
			}
			shown := r.authz.last().GetAttributes().GetSource().GetPrincipal() == ana
			if shown != (c.listener != "none") {
				t.Errorf("%s: authz was told of the certificate: %t", c.listener, shown)
			}
			for _, pair := range []*KeyPair{&foreign, &selfMade} {
				if got := r.asks(c.listener, pair, http2, nil); got != c.others {
					t.Errorf("%s with another CA's: %d, want %d", c.listener, got, c.others)
				}
			}
		}
	}
}

func testClientNames(t *testing.T, r *rig, _ *authority) {
	for id, want := range map[string]int{
		corpWorkload: 200, corpWorkload + "s": 0, "spiffe://acme.example/ns/ci/sa": 0, corpWorkload + "/x": 0,
		"spiffe://acme.example/ns/a/sa/edge": 200, "spiffe://acme.example/ns/a/b/sa/edge": 0,
		"spiffe://acme.example/ns//sa/edge": 0, "spiffe://acme.example/ns/../sa/edge": 0, "spiffe://acme.example/ns/.../sa/edge": 200,
		"spiffe://acme.example/mesh": 0, "spiffe://acme.example/mesh/": 0, "spiffe://acme.example/mesh/a/b": 200,
		"spiffe://acme.example/mesh/a/..": 0, "spiffe://acmeXexample/mesh/a": 0, "https://acme.example/mesh/a": 0, "": 0,
		// Envoy admits one of several names; who has two is for authz to refuse.
		ana + " " + corpWorkload: 200, ana: 0,
	} {
		pair := r.pki.issue(t, id)
		if got := r.asks("named", &pair, false, nil); got != want {
			t.Errorf("%q: %d, want %d", id, got, want)
		}
	}
	if got := r.asks("named", nil, false, nil); got != 0 {
		t.Errorf("nobody: %d", got)
	}
}

func testTrustDomains(t *testing.T, r *rig, partner *authority) {
	for _, c := range []struct {
		signer       *authority
		id           string
		domains, own int
	}{
		{r.pki, corpWorkload, 200, 0}, // the contractors' listener refuses it at the handshake, not at the decision
		{partner, contractor, 200, 200},
		{partner, "spiffe://partner.example/other", 200, 0},
		{partner, corpWorkload, 0, 0}, // partner's CA writes a name of acme's
		{r.pki, contractor, 0, 0},
		{newAuthority(t), contractor, 0, 0},
		{partner, "spiffe://third.example/contractor/birch", 0, 0},
		{partner, "", 0, 0},
		{partner, contractor + " " + corpWorkload, 200, 200}, // authz refuses it
		{partner, corpWorkload + " " + contractor, 0, 0},
	} {
		pair := c.signer.issue(t, c.id)
		for listener, want := range map[string]int{"domains": c.domains, "own": c.own} {
			r.authz.last()
			if got := r.asks(listener, &pair, false, nil); got != want {
				t.Errorf("%s, %q: %d, want %d", listener, c.id, got, want)
			}
			if check := r.authz.last(); (check != nil) != (want == 200) {
				t.Errorf("%s, %q: decision asked: %t", listener, c.id, check != nil)
			}
		}
	}
	if got := r.asks("domains", nil, false, nil); got != 0 {
		t.Errorf("nobody: %d", got)
	}
}

func testServes(t *testing.T, r *rig, _ *authority) {
	for listener, routes := range map[string]string{
		"required": "user workload device", "users": "user device", "workloads": "workload",
	} {
		client := r.client(listener, ana, true)
		for _, name := range []string{"user", "workload", "device"} {
			want := 404
			if strings.Contains(routes, name) {
				want = 200
			}
			r.authz.last()
			got := client.do("GET", "app.acme.example", "/"+name, nil)
			if got.status != want {
				t.Errorf("%s: %s is %d, want %d", listener, name, got.status, want)
			}
			if check := r.authz.last(); check.GetAttributes().GetContextExtensions()[ContextRoute] != name {
				t.Errorf("%s: %s was put on record as %v", listener, name, check.GetAttributes().GetContextExtensions())
			}
		}
	}
}

// TestEnvoyForwardsNothingOfStrangers: a client that shows no certificate says nothing about others, to authz or to
// upstreams, whoever else may forward.
func TestEnvoyForwardsNothingOfStrangers(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	for _, forwarders := range []bool{false, true} {
		in := clients(t, pki, pki)
		in.Settings.Forwarders = forwarders
		r := newRig(t, pki, in)
		for _, listener := range []string{"optional", "none"} {
			for _, http2 := range []bool{false, true} {
				r.authz.last()
				got := r.clientWith(listener, &tls.Config{}, http2).do("GET", "whole.acme.example", "/x", http.Header{
					"X-Forwarded-Client-Cert": {"By=spiffe://acme.example/envoy;URI=" + corpWorkload},
				})
				if seen := got.echo(t).Header.Values(forwardedHeader); len(seen) > 0 {
					t.Errorf("%s, forwarders %t: the upstream saw %q", listener, forwarders, seen)
				}
				if seen := headersNamed(r.authz.last(), forwardedHeader); len(seen) > 0 {
					t.Errorf("%s, forwarders %t: authz saw %q", listener, forwarders, seen)
				}
			}
		}
	}
}
