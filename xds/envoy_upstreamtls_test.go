package xds

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tiergate/tiergate/authz/policy"
)

// whoAsks answers with the SNI, the protocol and the SPIFFE ID that the client showed.
func whoAsks(w http.ResponseWriter, r *http.Request) {
	shown := "nobody"
	if certs := r.TLS.PeerCertificates; len(certs) > 0 {
		shown = certs[0].URIs[0].String()
	}
	fmt.Fprintf(w, "%s %s %s", r.TLS.ServerName, r.Proto, shown)
}

// byName replaces the address by the name that stands for it on every machine.
func byName(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return "localhost:" + port
}

func TestUpstreamsByName(t *testing.T) { //nolint:tparallel // its subtests share one Envoy and take turns
	t.Parallel()
	pki, strange := newAuthority(t), newAuthority(t)
	serve := func(a *authority, certificate tls.Certificate) string {
		return tlsServer(t, a, certificate, http.HandlerFunc(whoAsks))
	}
	own := serve(pki, pki.named(t, nil, "payroll.acme.example"))
	calls := pki.named(t, []string{"spiffe://acme.example/calls"})
	in := Input{
		Audiences: []policy.Audience{audience("employees", false)},
		Settings:  Settings{Listeners: []Listener{{Name: "ingress"}}},
	}
	for name, u := range map[string]policy.Upstream{
		"own":      {DNSName: "payroll.acme.example", Endpoints: []string{own}},
		"resolved": {DNSName: "payroll.acme.example", Endpoints: []string{byName(t, own)}},
		"wildcard": {DNSName: "payroll.acme.example", Endpoints: []string{serve(pki, pki.named(t, nil, "*.acme.example"))}},
		"other":    {DNSName: "payroll.acme.example", Endpoints: []string{serve(pki, pki.named(t, nil, "other.acme.example"))}},
		"longer": {DNSName: "payroll.acme.example",
			Endpoints: []string{serve(pki, pki.named(t, nil, "payroll.acme.example.evil.example"))}},
		"deeper":   {DNSName: "a.payroll.acme.example", Endpoints: []string{serve(pki, pki.named(t, nil, "*.acme.example"))}},
		"stranger": {DNSName: "payroll.acme.example", Endpoints: []string{serve(strange, strange.named(t, nil, "payroll.acme.example"))}},
		// A URI that reads like the name, and a name that reads like the ID.
		"uri":      {DNSName: "payroll.acme.example", Endpoints: []string{serve(pki, pki.named(t, []string{"spiffe://acme.example/payroll"}))}},
		"impostor": {SPIFFEID: "spiffe://acme.example/payroll", Endpoints: []string{byName(t, own)}},
		"workload": {SPIFFEID: "spiffe://acme.example/payroll",
			Endpoints: []string{byName(t, serve(pki, pki.named(t, []string{"spiffe://acme.example/payroll"})))}},
		"calls": {SPIFFEID: "spiffe://acme.example/calls", Protocol: policy.ProtocolHTTP2,
			Endpoints: []string{byName(t, grpcServer(t, "calls", grpc.Creds(credentials.NewTLS(&tls.Config{
				Certificates: []tls.Certificate{calls}, ClientCAs: pki.pool(), ClientAuth: tls.RequireAndVerifyClientCert,
			}))))}},
		"nowhere": {DNSName: "nowhere.invalid", Endpoints: []string{"nowhere.invalid:443"}},
	} {
		u.Meta.Name = name
		in.Upstreams = append(in.Upstreams, u)
		host := name + ".acme.example"
		if name == "calls" {
			host = "envoy.acme.example"
		}
		in.Routes = append(in.Routes, route(name, host, "/**", name, []string{"employees"}))
	}
	began := time.Now()
	r := newRig(t, pki, in)
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("with a name that does not resolve Envoy began after %v", took)
	}
	r.settled(r.build(r.in))
	t.Run("with a certificate to show", func(t *testing.T) {
		r.t = t
		r.finds(map[string]string{
			"own":      "payroll.acme.example HTTP/1.1 spiffe://acme.example/envoy",
			"resolved": "payroll.acme.example HTTP/1.1 spiffe://acme.example/envoy",
			"wildcard": "payroll.acme.example HTTP/1.1 spiffe://acme.example/envoy",
			"workload": " HTTP/1.1 spiffe://acme.example/envoy",
			"other":    "", "longer": "", "deeper": "", "stranger": "", "uri": "", "impostor": "", "nowhere": "",
		})
		got, err := r.grpcClient("ingress", ana).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
		if err != nil || got.GetServerId() != "calls" {
			t.Errorf("a call over mTLS: %v, %v", got, err)
		}
	})
	t.Run("without one", func(t *testing.T) {
		r.t = t
		bare := r.in
		bare.Settings.Client, bare.Upstreams, bare.Routes = nil, nil, nil
		for i, u := range r.in.Upstreams {
			if u.SPIFFEID == "" {
				bare.Upstreams, bare.Routes = append(bare.Upstreams, u), append(bare.Routes, r.in.Routes[i])
			}
		}
		r.settled(r.publish(bare))
		r.finds(map[string]string{"own": "payroll.acme.example HTTP/1.1 nobody", "other": "", "stranger": "", "nowhere": ""})
	})
	r.t = t
}

// finds asks each upstream once; an empty answer is one that Envoy does not get.
func (r *rig) finds(want map[string]string) {
	r.t.Helper()
	c := r.client("ingress", ana, true)
	for name, body := range want {
		got := c.do("GET", name+".acme.example", "/", nil)
		if body != "" && (got.status != 200 || got.body != body) || body == "" && got.status != 503 {
			r.t.Errorf("%s: %d %q, want %q", name, got.status, got.body, body)
		}
	}
}
