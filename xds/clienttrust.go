package xds

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

const spiffeValidator = "envoy.tls.cert_validator.spiffe"

// clientTrust is the secret that says whose certificates a listener takes.
//
// Where only trust domains are named, each has its own CAs, and the CA of one cannot write the names of another
// (SPIFFECertValidatorConfig.trust_domains, exactly these). Where there is a pool of CAs beside them, such as those of
// devices, whose certificates have no SPIFFE ID for Envoy to choose a bundle by, all of them are one pool: any of these CAs
// can write any name as far as Envoy sees, and authz alone tells the domains apart.
func (b *builder) clientTrust(l Listener) *tlsv3.Secret {
	domains := bundles(l)
	if len(l.ClientCA) > 0 || len(domains) == 0 {
		pool := slices.Clone(l.ClientCA)
		for _, domain := range domains {
			pool = append(append(pool, '\n'), l.TrustDomains[domain]...) // a file may end without a newline
		}
		return b.trustedCA(clientCAOf(l), pool, settingsField(l, "clientCAFile"))
	}
	validator := &tlsv3.SPIFFECertValidatorConfig{}
	for _, domain := range domains {
		if !x509.NewCertPool().AppendCertsFromPEM(l.TrustDomains[domain]) {
			b.settingsFault(settingsField(l, "clientTrustDomains"),
				fmt.Sprintf("there is no CA certificate in the bundle of %s", domain), "give at least one CA certificate as PEM")
		}
		validator.TrustDomains = append(validator.TrustDomains, &tlsv3.SPIFFECertValidatorConfig_TrustDomain{
			Name: domain, TrustBundle: inline(l.TrustDomains[domain]),
		})
	}
	return &tlsv3.Secret{Name: clientCAOf(l), Type: &tlsv3.Secret_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{
			CustomValidatorConfig: &corev3.TypedExtensionConfig{Name: spiffeValidator, TypedConfig: b.pack(validator)},
		},
	}}
}

// bundles are, sorted, the listener's trust domains that have CA certificates by now.
func bundles(l Listener) []string {
	var names []string
	for _, domain := range slices.Sorted(maps.Keys(l.TrustDomains)) {
		if len(bytes.TrimSpace(l.TrustDomains[domain])) > 0 {
			names = append(names, domain)
		}
	}
	return names
}

// clientTrust wants either a pool of CAs or named trust domains, each with CAs of its own, and nothing that lets more in.
func (c *checker) clientTrust(where string, context *tlsv3.CertificateValidationContext) {
	c.verifies(where, context)
	custom := context.GetCustomValidatorConfig()
	if custom == nil {
		if len(context.GetTrustedCa().GetInlineBytes()) == 0 {
			c.fail("%s: no CA says who may connect", where)
		}
		return
	}
	var validator tlsv3.SPIFFECertValidatorConfig
	if custom.GetName() != spiffeValidator || !c.unpack(where, custom.GetTypedConfig(), &validator) {
		c.fail("%s: clients are verified by %q", where, custom.GetName())
		return
	}
	if validator.GetTrustBundles() != nil || len(validator.GetTrustDomains()) == 0 || context.GetTrustedCa() != nil {
		c.fail("%s: trusts more than the trust domains that it names", where)
	}
}

// verifies refuses what makes Envoy let in certificates that it could not verify.
func (c *checker) verifies(where string, context *tlsv3.CertificateValidationContext) {
	if context.GetTrustChainVerification() != tlsv3.CertificateValidationContext_VERIFY_TRUST_CHAIN ||
		context.GetAllowExpiredCertificate() || len(context.GetMatchSubjectAltNames()) > 0 || //nolint:staticcheck // to refuse it
		len(context.GetVerifyCertificateHash()) > 0 || len(context.GetVerifyCertificateSpki()) > 0 {
		c.fail("%s: lets in certificates that are not verified", where)
	}
}
