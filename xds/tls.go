package xds

import (
	"crypto/tls"
	"crypto/x509"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
)

const (
	tlsTransport   = "envoy.transport_sockets.tls"
	upstreamPrefix = "upstream-"
	upstreamClient = upstreamPrefix + "client" // the secret that Envoy shows to upstreams
	upstreamCA     = upstreamPrefix + "ca"     // the secret that says who signs upstreams
)

func certificateOf(l Listener) string { return l.Name + "/certificate" }
func clientCAOf(l Listener) string    { return l.Name + "/client-ca" }

// keyPair makes a secret of a certificate chain and its key, which must belong together.
func (b *builder) keyPair(name string, pair KeyPair, field string) *tlsv3.Secret {
	if _, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM); err != nil {
		b.settingsFault(field, "the certificate and key cannot be used: "+err.Error(),
			"give a PEM certificate chain and the private key of its first certificate")
	}
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: inline(pair.CertPEM), PrivateKey: inline(pair.KeyPEM),
	}}}
}

func (b *builder) trustedCA(name string, ca []byte, field string) *tlsv3.Secret {
	if !x509.NewCertPool().AppendCertsFromPEM(ca) {
		b.settingsFault(field, "there is no CA certificate in it", "give at least one CA certificate as PEM")
	}
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(ca)},
	}}
}

func inline(data []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: data}}
}

func tlsParameters() *tlsv3.TlsParameters {
	return &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2}
}

func secretOverADS(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: overADS()}
}

func overADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

func (b *builder) transportSocket(context proto.Message) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name:       tlsTransport,
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: b.pack(context)},
	}
}
