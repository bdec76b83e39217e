package policy

import (
	"fmt"
	"slices"

	"github.com/tiergate/tiergate/authz/identity"
)

func (c *compiler) upstreams() {
	for i := range c.spec.Upstreams {
		u := &c.spec.Upstreams[i]
		c.owner(KindUpstream, u.Meta)
		c.endpoints(u)
		c.upstreamIdentity(u)
		if !slices.Contains([]Protocol{"", ProtocolHTTP1, ProtocolHTTP2}, u.Protocol) {
			c.fault(KindUpstream, u.Meta.Name, "spec.protocol", fmt.Sprintf("protocol is %q", u.Protocol),
				"write http1 or http2; gRPC needs http2")
		}
	}
}

func (c *compiler) endpoints(u *Upstream) {
	if len(u.Endpoints) == 0 {
		c.fault(KindUpstream, u.Meta.Name, "spec.endpoints", "the upstream has no endpoint", `endpoints: ["127.0.0.1:8443"]`)
	}
	for i, text := range u.Endpoints {
		field := fmt.Sprintf("spec.endpoints[%d]", i)
		switch e, err := ParseEndpoint(text); {
		case err != nil:
			c.fault(KindUpstream, u.Meta.Name, field, err.Error(), "write for instance 127.0.0.1:8443 or payroll.acme.example:8443")
		case !e.Literal() && u.Plaintext:
			c.fault(KindUpstream, u.Meta.Name, field, fmt.Sprintf("%q is no IP address and port", text),
				"write a literal address: in plaintext nothing would tell that the name leads somewhere else")
		case slices.Contains(u.Endpoints[:i], text):
			c.fault(KindUpstream, u.Meta.Name, field, fmt.Sprintf("endpoint %s is listed twice", text), "remove one")
		}
	}
}

// upstreamIdentity wants exactly one word on who answers: an identity, a name, or that nobody vouches for it.
func (c *compiler) upstreamIdentity(u *Upstream) {
	fault := func(field, message, help string) { c.fault(KindUpstream, u.Meta.Name, field, message, help) }
	switch {
	case u.SPIFFEID != "" && u.DNSName != "":
		fault("spec.dnsName", "an upstream with a spiffeID is not known by a DNS name, too", "remove one of the two")
	case u.SPIFFEID != "" && u.Plaintext:
		fault("spec.plaintext", "an upstream with a spiffeID is not plaintext", "remove one of the two")
	case u.DNSName != "" && u.Plaintext:
		fault("spec.plaintext", "an upstream with a dnsName is not plaintext", "remove one of the two")
	case u.SPIFFEID != "":
		if _, err := identity.ParseSPIFFEID(u.SPIFFEID); err != nil {
			fault("spec.spiffeID", err.Error(), "spiffeID: spiffe://example.org/payroll")
		}
	case u.DNSName != "":
		if err := checkDNSName(u.DNSName); err != nil {
			fault("spec.dnsName", fmt.Sprintf("%q is no DNS name: %v", u.DNSName, err), "dnsName: payroll.example.org")
		}
	case !u.Plaintext:
		fault("spec.spiffeID", "the upstream has no identity, so anybody could answer for it",
			"spiffeID: spiffe://DOMAIN/…, dnsName: NAME, or plaintext: true to say that you accept it")
	}
}

// webSocket wants a route that can have the handshake and an upstream that takes it: it is a GET of HTTP/1.1 (RFC 6455,
// section 4.1), and few servers speak the other one, of RFC 8441.
func (c *compiler) webSocket(r *Route) {
	if !r.WebSocket {
		return
	}
	if len(r.Methods) > 0 && !slices.Contains(r.Methods, "GET") {
		c.fault(KindRoute, r.Meta.Name, "spec.webSocket", "a WebSocket begins with GET, which the route does not list",
			"add GET to methods")
	}
	for i := range c.spec.Upstreams {
		if u := &c.spec.Upstreams[i]; u.Meta.Name == r.Upstream && u.Protocol == ProtocolHTTP2 {
			c.fault(KindRoute, r.Meta.Name, "spec.webSocket", fmt.Sprintf("upstream %q speaks http2, and WebSockets reach "+
				"upstreams over HTTP/1.1", r.Upstream),
				"lead the route to an upstream with protocol http1; it may have the same endpoints")
		}
	}
}
