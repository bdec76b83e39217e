package xds

import (
	"regexp"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/tiergate/tiergate/authz/identity"
)

// downstreamTLS lets in who has a certificate that the listener's own CA signed, with a name that the listener's settings
// admit, or, where the settings say so, who has none at all. A certificate that is shown and is not good ends the
// handshake. Sessions are not resumed: a client that is no longer trusted, or whose certificate ran out, would come back
// without showing anything.
func (b *builder) downstreamTLS(l Listener) *corev3.TransportSocket {
	context := &tlsv3.DownstreamTlsContext{
		SessionTicketKeysType: &tlsv3.DownstreamTlsContext_DisableStatelessSessionResumption{
			DisableStatelessSessionResumption: true,
		},
		DisableStatefulSessionResumption: true,
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams:     tlsParameters(),
			AlpnProtocols: []string{"h2", "http/1.1"},
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{
				b.shown(certificateOf(l), l.Certificate, settingsField(l, "tls")),
			},
		},
	}
	if l.ClientCertificates == CertificateRequired {
		context.RequireClientCertificate = yes()
	}
	if l.ClientCertificates != CertificateNone {
		b.secrets[clientCAOf(l)] = b.clientTrust(l)
		setClientTrust(context.GetCommonTlsContext(), secretOverADS(clientCAOf(l)), b.clientNames(l))
	}
	return b.transportSocket(context)
}

// setClientTrust takes who may sign from the secret and which names are let in from here: the names are the listener's
// own, and change only with the settings.
func setClientTrust(common *tlsv3.CommonTlsContext, secret *tlsv3.SdsSecretConfig, names []*tlsv3.SubjectAltNameMatcher) {
	if len(names) == 0 {
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
			ValidationContextSdsSecretConfig: secret,
		}
		return
	}
	common.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{
		CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: names},
			ValidationContextSdsSecretConfig: secret,
		},
	}
}

// clientNames match the URI names of clients, one matcher for each of the listener's IDs and patterns; any of them will do,
// on any URI name of the certificate. authz goes further: it refuses a certificate with two.
func (b *builder) clientNames(l Listener) []*tlsv3.SubjectAltNameMatcher {
	var matchers []*tlsv3.SubjectAltNameMatcher
	for _, text := range l.ClientSPIFFEIDs {
		pattern, err := identity.ParseSPIFFEPattern(text)
		if err != nil {
			b.settingsFault(settingsField(l, "clientSPIFFEIDs"), err.Error(),
				"write spiffe://TRUST-DOMAIN/PATH; a whole segment may be *, and the last ** for all below")
			continue
		}
		matchers = append(matchers, &tlsv3.SubjectAltNameMatcher{
			SanType: tlsv3.SubjectAltNameMatcher_URI, Matcher: spiffeMatcher(pattern),
		})
	}
	return matchers
}

// spiffeMatcher covers exactly the SPIFFE IDs that the pattern covers; Envoy matches an expression against the whole name.
// What is no SPIFFE ID, such as a name with a dot segment, is not let in either (SPIFFE ID specification, section 2.2).
//
//	spiffe://d/a         exact
//	spiffe://d/*/b       spiffe://d/SEGMENT/b
//	spiffe://d/a/**      spiffe://d/a(?:/SEGMENT)+
func spiffeMatcher(pattern identity.SPIFFEPattern) *matcherv3.StringMatcher {
	text := pattern.String()
	if !strings.Contains(text, "*") {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: text}}
	}
	// Any segment that is not "." or "..".
	const segment = `(?:\.{0,2}[A-Za-z0-9_-][A-Za-z0-9._-]*|\.{3,}[A-Za-z0-9._-]*)`
	fixed, below := strings.CutSuffix(text, "/**")
	regex := strings.ReplaceAll(regexp.QuoteMeta(fixed), `/\*`, "/"+segment)
	if below {
		regex += "(?:/" + segment + ")+"
	}
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{
		SafeRegex: &matcherv3.RegexMatcher{Regex: regex},
	}}
}

// downstreamTLS wants of a listener what was intended for it, and no other listener's secrets.
func (c *checker) downstreamTLS(l *listenerv3.Listener, chain *listenerv3.FilterChain) {
	var context tlsv3.DownstreamTlsContext
	where := "listener " + l.GetName()
	if !c.unpack(where, chain.GetTransportSocket().GetTypedConfig(), &context) {
		return
	}
	common := context.GetCommonTlsContext()
	for _, config := range common.GetTlsCertificateSdsSecretConfigs() {
		c.secret(where, config, l.GetName()+"/")
	}
	asked := c.snapshot.resources.certificates[l.GetName()]
	if asked == CertificateRequired && !context.GetRequireClientCertificate().GetValue() {
		c.fail("%s: does not demand a client certificate", where)
	}
	if asked == CertificateNone {
		if common.GetValidationContextType() != nil || context.GetRequireClientCertificate().GetValue() {
			c.fail("%s: asks for client certificates, and is not meant to", where)
		}
		return
	}
	trusted, combined := common.GetValidationContextSdsSecretConfig(), common.GetCombinedValidationContext()
	if combined != nil {
		trusted = combined.GetValidationContextSdsSecretConfig()
		c.clientNames(where, combined.GetDefaultValidationContext())
	}
	if trusted.GetSdsConfig().GetAds() == nil { // the agent's bundles are not ours to pick from
		c.fail("%s: who may connect is not said by this process", where)
	}
	c.secret(where, trusted, l.GetName()+"/")
	for _, secret := range c.snapshot.resources.secrets {
		if secret.GetName() == trusted.GetName() {
			c.clientTrust(where, secret.GetValidationContext())
		}
	}
}

// clientNames wants names and nothing else beside the secret: what else is said there could loosen it.
func (c *checker) clientNames(where string, names *tlsv3.CertificateValidationContext) {
	if len(names.GetMatchTypedSubjectAltNames()) == 0 {
		c.fail("%s: its combined_validation_context names nobody", where)
	}
	for _, m := range names.GetMatchTypedSubjectAltNames() {
		if m.GetSanType() != tlsv3.SubjectAltNameMatcher_URI {
			c.fail("%s: lets clients in by names that are no URI", where)
		}
	}
	c.verifies(where, names)
}
