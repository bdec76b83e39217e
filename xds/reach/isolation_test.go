package reach_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/xds"
	"github.com/tiergate/tiergate/xds/dump"
	"github.com/tiergate/tiergate/xds/reach"
)

func aPair(t *testing.T) xds.KeyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return xds.KeyPair{CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}),
		KeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})}
}

// anyPolicy draws audiences, some isolated, upstreams with endpoints of their own, and routes on hosts that overlap.
func anyPolicy(t *rapid.T, pair xds.KeyPair) xds.Input {
	in := xds.Input{TableDigest: "t", Settings: xds.Settings{AuthzSocket: "/run/authz.sock", CheckTimeout: time.Second,
		Client: &pair, UpstreamCA: pair.CertPEM}}
	listener := func(name, audience string) {
		in.Settings.Listeners = append(in.Settings.Listeners, xds.Listener{Name: name, Audience: audience,
			Address: fmt.Sprintf("127.0.0.1:%d", 9000+len(in.Settings.Listeners)), Certificate: pair, ClientCA: pair.CertPEM})
	}
	var audiences []string
	for i := range rapid.IntRange(2, 5).Draw(t, "audiences") {
		name := fmt.Sprintf("audience-%d", i)
		isolated := i > 0 && rapid.Bool().Draw(t, name+" isolated")
		in.Audiences = append(in.Audiences, policy.Audience{Meta: policy.Meta{Name: name}, Isolated: isolated})
		audiences = append(audiences, name)
		if isolated {
			listener(name, name)
		}
	}
	listener("ingress", "")
	for i := range rapid.IntRange(1, 6).Draw(t, "upstreams") {
		u := policy.Upstream{Meta: policy.Meta{Name: fmt.Sprintf("u%d", i)}, Plaintext: rapid.Bool().Draw(t, "plaintext")}
		if !u.Plaintext {
			u.SPIFFEID = "spiffe://acme.example/" + u.Meta.Name
		}
		for j := range rapid.IntRange(1, 3).Draw(t, "endpoints") {
			u.Endpoints = append(u.Endpoints, fmt.Sprintf("10.0.%d.%d:80", i, j+1))
		}
		in.Upstreams = append(in.Upstreams, u)
	}
	hosts := []string{"a.example", "b.example", "*.example", "c.b.example"}
	paths := []string{"/", "/**", "/x", "/x/**", "/x/{id}", "/x/*/y"}
	used := map[string]bool{}
	for i := range rapid.IntRange(1, 15).Draw(t, "routes") {
		host, path := rapid.SampledFrom(hosts).Draw(t, "host"), rapid.SampledFrom(paths).Draw(t, "path")
		shape := host + strings.ReplaceAll(path, "{id}", "*")
		if used[shape] { // two routes for the same requests are a fault of the policy
			continue
		}
		used[shape] = true
		in.Routes = append(in.Routes, policy.Route{Meta: policy.Meta{Name: fmt.Sprintf("r%d", i)}, Hosts: []string{host}, Path: path,
			Tier: "open", Upstream: rapid.SampledFrom(in.Upstreams).Draw(t, "upstream").Meta.Name,
			Audiences: rapid.SliceOfNDistinct(rapid.SampledFrom(audiences), 1, 2, rapid.ID).Draw(t, "of")})
	}
	return in
}

// TestIsolatedListeners: whatever the policy, an isolated audience's listener reaches the endpoints of its own routes'
// upstreams and nothing else, every path is guarded and none is open. The other listeners reach what is shared or nobody's own.
func TestIsolatedListeners(t *testing.T) {
	t.Parallel()
	pair, paths := aPair(t), 0
	rapid.Check(t, func(t *rapid.T) {
		in := anyPolicy(t, pair)
		snapshot, err := xds.Build(in)
		if err != nil {
			t.Fatal(err)
		}
		read, err := dump.FromSnapshot(snapshot)
		if err != nil {
			t.Fatal(err)
		}
		all := reach.All(read)
		paths += len(all)
		for _, p := range all {
			if !p.Guarded || p.Open != "" || p.Trust.Certificate != "required" || len(p.Trust.Authorities) != 1 {
				t.Fatalf("not guarded, open or for anybody:\n%s", line(p))
			}
		}
		for _, l := range in.Settings.Listeners {
			ends, open := reach.Reaches(all, l.Name)
			if want := meantFor(in, l); !slices.Equal(ends, want) || len(open) > 0 {
				t.Fatalf("%s (audience %q) reaches %v, open %v; its routes name %v", l.Name, l.Audience, ends, open, want)
			}
		}
	})
	if paths == 0 {
		t.Error("no path was ever seen")
	}
}

// meantFor reads from the documents alone which endpoints a listener may reach. A route that another always catches leads
// nowhere by itself, but its upstream is one that the listener is meant to reach.
func meantFor(in xds.Input, l xds.Listener) []string {
	isolated := map[string]bool{}
	for _, a := range in.Audiences {
		isolated[a.Meta.Name] = a.Isolated
	}
	ends := []string{}
	for _, r := range in.Routes {
		for _, audience := range r.Audiences {
			if audience != l.Audience && (l.Audience != "" || isolated[audience]) {
				continue
			}
			for _, u := range in.Upstreams {
				if u.Meta.Name == r.Upstream {
					ends = append(ends, u.Endpoints...)
				}
			}
		}
	}
	slices.Sort(ends)
	return slices.Compact(ends)
}
