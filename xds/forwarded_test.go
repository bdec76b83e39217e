package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"testing"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
)

// TestEnvoyForwards: with forwarders, authz sees what a proxy sends and, behind it, Envoy's own element of its peer; the
// upstream sees nothing of either, whatever the client does to its header.
func TestEnvoyForwards(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	in := acme(t, pki)
	in.Settings.Forwarders = true
	r := newRig(t, pki, in)
	r.settled(r.build(r.in))
	const said = `By=spiffe://acme.example/ana;URI=spiffe://acme.example/root;Subject="CN=a\",b"`
	for _, http2 := range []bool{false, true} {
		for _, c := range []struct {
			sent http.Header
			want string // what authz sees before Envoy's own element
		}{
			{http.Header{}, ""},
			{http.Header{"X-Forwarded-Client-Cert": {said}}, said + ","},
			{http.Header{"X-FORWARDED-CLIENT-CERT": {said}}, said + ","},
			{http.Header{"X-Forwarded-Client-Cert": {"By=x", said}}, "By=x," + said + ","},
			{http.Header{"X-Forwarded-Client-Cert": {""}}, ""},
			// Over HTTP/1, Envoy takes away what Connection names, before it appends.
			{http.Header{"X-Forwarded-Client-Cert": {said}, "Connection": {"x-forwarded-client-cert"}}, ""},
		} {
			if http2 && c.sent.Get("Connection") != "" {
				continue
			}
			client := r.client("ingress", ana, http2)
			got := client.do("GET", "app.acme.example", "/", c.sent.Clone())
			for name, values := range got.echo(t).Header {
				if strings.EqualFold(name, forwardedHeader) {
					t.Errorf("sent %q, HTTP/2 %t: the upstream saw %q", c.sent, http2, values)
				}
			}
			leaf := sha256.Sum256(client.config.Certificates[0].Certificate[0])
			own := "By=spiffe://acme.example/envoy;Hash=" + hex.EncodeToString(leaf[:])
			if seen := headersNamed(r.authz.last(), forwardedHeader); !slices.Equal(seen, []string{c.want + own}) {
				t.Errorf("sent %q, HTTP/2 %t: authz saw %q", c.sent, http2, seen)
			}
		}
	}
}

// TestForwardersChangeOnlyThat: the setting does what is said of it and nothing else, on every listener and route table.
func TestForwardersChangeOnlyThat(t *testing.T) {
	pki := newAuthority(t)
	in := acme(t, pki)
	in.Settings.AuthzSocket, in.Settings.CheckTimeout = "/run/authz.sock", MaxCheckTimeout
	pair := pki.issue(t, "spiffe://acme.example/envoy")
	in.Settings.Client, in.Settings.UpstreamCA = &pair, pki.caPEM
	for i := range in.Settings.Listeners {
		l := &in.Settings.Listeners[i]
		l.Address, l.Certificate, l.ClientCA = freeport.For(t), pair, pki.caPEM
	}
	in.Settings.Forwarders = true
	with, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := with.Consistent(); err != nil {
		t.Error(err)
	}
	for _, table := range with.resources.routes {
		if !slices.Equal(table.GetRequestHeadersToRemove(), []string{forwardedHeader}) {
			t.Errorf("%s removes %q", table.GetName(), table.GetRequestHeadersToRemove())
		}
	}
	for _, l := range with.resources.listeners {
		repack(t, l.GetFilterChains()[0].GetFilters()[0].GetTypedConfig(), &hcmv3.HttpConnectionManager{},
			func(h *hcmv3.HttpConnectionManager) {
				if h.GetForwardClientCertDetails() != hcmv3.HttpConnectionManager_APPEND_FORWARD ||
					h.GetSetCurrentClientCertDetails() != nil {
					t.Errorf("%s: %s", l.GetName(), h.GetForwardClientCertDetails())
				}
			})
	}
}
