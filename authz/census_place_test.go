package authz

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/policy"
)

// TestPlaces: addresses of one network are one place, whatever is no address is the sidecar alone, and a proxy is its name.
func TestPlaces(t *testing.T) {
	for address, want := range map[string]string{
		"10.1.2.3": "edge from 10.1.0.0/16", "10.1.255.254": "edge from 10.1.0.0/16", "10.2.2.3": "edge from 10.2.0.0/16",
		"2001:db8:1:2::3": "edge from 2001:db8:1::/48", "2001:db8:1::": "edge from 2001:db8:1::/48", "2001:db8::1": "edge from 2001:db8::/48",
		"2001::1": "edge from 2001::/48", "::1": "edge from ::/48", "::": "edge from ::/48", "fe80:1:2:3:4:5:6:7": "edge from fe80:1:2::/48",
		"::ffff:10.1.2.3": "edge from ::/48",
		"":                "edge", "/run/x.sock": "edge", "a.b.c.d": "edge", "10": "edge", "10.1": "edge", "..": "edge", "1:2": "edge", ":": "edge",
		"300.1.2.3": "edge", "10.1.2.3%eth0": "edge from 10.1.0.0/16", strings.Repeat("1:", 500): "edge", "\xff:\xff:\xff:": "edge",
	} {
		if got := placeOf("edge", networkOf(address)); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
	if got := placeOf("edge", "spiffe://acme.example/gw"); got != "edge via spiffe://acme.example/gw" {
		t.Error(got)
	}
	for _, address := range []string{"10.1.2.3", "2001:db8:1:2::3"} {
		if n := testing.AllocsPerRun(100, func() { networkOf(address) }); n != 0 {
			t.Errorf("%s allocates %v times", address, n)
		}
	}
}

// FuzzPlacesAreNetworks: whatever stands in the message, a place is bounded, one line, and begins with the sidecar.
func FuzzPlacesAreNetworks(f *testing.F) {
	for _, address := range []string{"10.1.2.3", "2001:db8:1:2::3", "::", "", ":::", "1.", "spiffe://a/b"} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		network := networkOf(address)
		if strings.HasPrefix(network, spiffeScheme) {
			t.Fatalf("%q passes for a forwarder: %q", address, network)
		}
		place := placeOf("edge", network)
		if rest, ok := strings.CutPrefix(place, "edge"); !ok || len(place) > 60 || rest != "" && !strings.HasPrefix(rest, " from ") {
			t.Fatalf("%q is %q", address, place)
		}
	})
}

// TestCensusSeesOneIdentityFromManyPlaces: a credential that is used from elsewhere is seen at the one sidecar that it comes to.
func TestCensusSeesOneIdentityFromManyPlaces(t *testing.T) {
	t.Parallel()
	store := censusStore(t)
	c := NewCensus(store, CensusOptions{Sidecar: "edge", Writer: "edge 1", Now: func() time.Time { return censusDay }})
	const id = "spiffe://acme.example/agent"
	for _, peer := range []string{"10.1.2.3", "10.1.9.9", "192.0.2.7", "2001:db8:1:2::3", ""} {
		d := seenDecision(id, "orders", policy.Allow)
		d.peer = peer
		c.Saw(d)
	}
	forwarded := seenDecision(id, "orders", policy.Allow)
	forwarded.Subject.Forwarder, forwarded.peer = "spiffe://acme.example/gw", "203.0.113.9"
	c.Saw(forwarded)
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(maps.Keys(sightingOf(t, store, id).Places))
	if diff := cmp.Diff([]string{"edge", "edge from 10.1.0.0/16", "edge from 192.0.0.0/16", "edge from 2001:db8:1::/48",
		"edge via spiffe://acme.example/gw"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestReadersAgreeOnThePeer: of several addresses in one message the last kind counts, and one of the same kind is merged.
func TestReadersAgreeOnThePeer(t *testing.T) {
	t.Parallel()
	socket := func(address string) *corev3.Address {
		return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: address}}}
	}
	kinds := map[string]*corev3.Address{"a": socket("10.0.0.1"), "b": socket("10.0.0.2"), "none": socket(""),
		"pipe":     {Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/p"}}},
		"empty":    {Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{}}},
		"internal": {Address: &corev3.Address_EnvoyInternalAddress{EnvoyInternalAddress: &corev3.EnvoyInternalAddress{}}}}
	for first, a := range kinds {
		for second, b := range kinds {
			for third, c := range kinds {
				var message []byte
				for _, address := range []*corev3.Address{a, b, c} { // one message behind the other is merged
					message = append(message, marshal(t, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
						Request:     &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Method: "GET"}},
						Source:      &authv3.AttributeContext_Peer{Address: address},
						Destination: &authv3.AttributeContext_Peer{Address: socket("10.9.9.9")}}})...)
				}
				if !compareReaders(t, message) {
					t.Errorf("%s, %s, %s is refused", first, second, third)
				}
			}
		}
	}
	var r reader
	if err := r.read(marshal(t, fullRequest())); err != nil || r.call.Peer != "10.0.0.1" {
		t.Errorf("%q, %v", r.call.Peer, err)
	}
}
