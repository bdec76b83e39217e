package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// The names that SPIRE's agent gives to secrets beside SPIFFE IDs and trust domains ("Envoy SDS support" in its
// documentation of the agent).
const (
	defaultSVID   = "default" // the caller's first X.509-SVID
	defaultBundle = "ROOTCA"  // the bundle of that identity's trust domain
	allBundles    = "ALL"     // a validator of the SVIDs of every trust domain
)

// secret makes what Envoy calls by that name.
func (v view) secret(name string, validator bool) (*tlsv3.Secret, error) {
	if name == allBundles {
		return v.validator(name, v.domainNames())
	}
	for i, svid := range v.svids {
		if name == svid.id.String() || name == defaultSVID && i == 0 {
			return certificate(name, svid)
		}
	}
	for _, domain := range v.domainNames() {
		if name != domain.IDString() && (name != defaultBundle || domain != v.svids[0].id.TrustDomain()) {
			continue
		}
		if validator {
			return v.validator(name, []spiffeid.TrustDomain{domain})
		}
		return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{
			ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: v.bundle(domain)},
		}}, nil
	}
	return nil, status.Errorf(codes.InvalidArgument, "workload is not authorized for the requested identities [%q]", name)
}

func certificate(name string, svid *issued) (*tlsv3.Secret, error) {
	key, err := svid.pair.KeyPEM()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: inline(svid.pair.CertificatePEM()), PrivateKey: inline(key),
	}}}, nil
}

// validator is Envoy's own judge of X.509-SVIDs: each trust domain's by its own bundle alone.
func (v view) validator(name string, domains []spiffeid.TrustDomain) (*tlsv3.Secret, error) {
	config := &tlsv3.SPIFFECertValidatorConfig{}
	for _, domain := range domains {
		config.TrustDomains = append(config.TrustDomains, &tlsv3.SPIFFECertValidatorConfig_TrustDomain{
			Name: domain.Name(), TrustBundle: v.bundle(domain),
		})
	}
	packed, err := anypb.New(config)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{CustomValidatorConfig: &corev3.TypedExtensionConfig{
			Name: "envoy.tls.cert_validator.spiffe", TypedConfig: packed,
		}},
	}}, nil
}

func (v view) bundle(domain spiffeid.TrustDomain) *corev3.DataSource {
	var bundle []byte
	for _, authority := range v.authorities(domain) {
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw})...)
	}
	return inline(bundle)
}

func inline(data []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: data}}
}

// packed is one secret as it is sent, with the digest of its content for a version.
type packed struct {
	name, version string
	resource      *anypb.Any
}

// pack makes the secrets of those names, in one order and each once.
func (v view) pack(names []string, validator bool) ([]packed, error) {
	names = slices.Clone(names)
	slices.Sort(names)
	var list []packed
	for _, name := range slices.Compact(names) {
		secret, err := v.secret(name, validator)
		if err != nil {
			return nil, err
		}
		value, err := proto.MarshalOptions{Deterministic: true}.Marshal(secret)
		if err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		sum := sha256.Sum256(value)
		list = append(list, packed{name: name, version: hex.EncodeToString(sum[:8]),
			resource: &anypb.Any{TypeUrl: secretType, Value: value}})
	}
	return list, nil
}

// versionOf names several secrets.
func versionOf(list []packed) string {
	sum := sha256.New()
	for _, p := range list {
		fmt.Fprintln(sum, p.name, p.version)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}
