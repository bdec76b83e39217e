package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/tiergate/tiergate/authz/policy"
)

// upstreamTLS is TLS with exactly one identity on the other side: a SPIFFE ID, then with our own certificate shown, or a
// DNS name, then with ours shown where there is one. It is nil only where the policy says plaintext.
func (b *builder) upstreamTLS(u policy.Upstream) *corev3.TransportSocket {
	if !b.upstreamIdentity(u) {
		return nil
	}
	common := &tlsv3.CommonTlsContext{
		TlsParams:     tlsParameters(),
		AlpnProtocols: []string{"http/1.1"},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
			CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
				DefaultValidationContext: &tlsv3.CertificateValidationContext{
					MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{expected(u)},
				},
				ValidationContextSdsSecretConfig: b.upstreamTrust(),
			},
		},
	}
	if u.Protocol == policy.ProtocolHTTP2 {
		common.AlpnProtocols = []string{"h2"}
	}
	if client := b.in.Settings.Client; client != nil {
		common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{b.shown(upstreamClient, *client, "envoy.client")}
	}
	return b.transportSocket(&tlsv3.UpstreamTlsContext{
		Sni:              u.DNSName,
		MaxSessionKeys:   number(0), // no resumption: every connection shows its certificate
		CommonTlsContext: common,
	})
}

// upstreamIdentity reports whether there is an identity to be had, and faults whatever is neither that nor plaintext.
func (b *builder) upstreamIdentity(u policy.Upstream) bool {
	settings, named := b.in.Settings, u.SPIFFEID != "" || u.DNSName != ""
	switch {
	case u.Plaintext && named:
		b.upstreamFault(u, "spec.plaintext", "plaintext has no identity to compare with spiffeID or dnsName",
			"write one of them")
	case u.Plaintext:
	case !named:
		b.upstreamFault(u, "spec.spiffeID", "nothing says whom to find there",
			"write spiffeID for mTLS, dnsName for TLS, or plaintext: true if the path to it is protected otherwise")
	case u.SPIFFEID != "" && u.DNSName != "":
		b.upstreamFault(u, "spec.dnsName", "an upstream has one identity, and spiffeID names it", "write one of the two")
	case u.SPIFFEID != "" && settings.Client == nil:
		b.upstreamFault(u, "spec.spiffeID", "mTLS needs a certificate to show, and the settings have none",
			"set envoy.client in the settings")
	case settings.UpstreamCA == nil && settings.Client == nil:
		b.upstreamFault(u, "spec.dnsName", "TLS needs a CA to verify by, and the settings have none",
			"set envoy.upstreamCAFile in the settings")
	default:
		return true
	}
	return false
}

// expected is the one name that the upstream's certificate must have. A DNS name is compared as RFC 9525, section 6.3,
// says: without regard to case, and a wildcard in the certificate stands for the first label.
func expected(u policy.Upstream) *tlsv3.SubjectAltNameMatcher {
	kind, name := tlsv3.SubjectAltNameMatcher_URI, u.SPIFFEID
	if u.DNSName != "" {
		kind, name = tlsv3.SubjectAltNameMatcher_DNS, u.DNSName
	}
	return &tlsv3.SubjectAltNameMatcher{
		SanType: kind,
		Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}},
	}
}
