package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// YAML writes the snapshot for people, in Envoy's own words and a fixed order. Private keys are left out and
// certificates are named by the SHA-256 of their PEM text.
func (s *Snapshot) YAML() ([]byte, error) {
	r := s.resources
	secrets := make([]*tlsv3.Secret, 0, len(r.secrets))
	for _, secret := range r.secrets {
		secrets = append(secrets, redacted(secret))
	}
	document := map[string]any{}
	for name, messages := range map[string][]proto.Message{
		"listeners": messagesOf(r.listeners), "route_configurations": messagesOf(r.routes),
		"clusters": messagesOf(r.clusters), "endpoints": messagesOf(r.endpoints), "secrets": messagesOf(secrets),
	} {
		values := make([]any, 0, len(messages))
		for _, m := range messages {
			value, err := plainValue(m)
			if err != nil {
				return nil, err
			}
			values = append(values, value)
		}
		document[name] = values
	}
	return writeYAML(document), nil
}

func messagesOf[M proto.Message](list []M) []proto.Message {
	all := make([]proto.Message, 0, len(list))
	for _, m := range list {
		all = append(all, m)
	}
	return all
}

// plainValue turns a message into maps, lists and scalars by way of its JSON form with the names of the API.
func plainValue(m proto.Message) (any, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("a %s cannot be written as text: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, fmt.Errorf("a %s cannot be written as text: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return wholeNumbers(value), nil
}

// wholeNumbers writes 1048576 as such, which JSON has decoded as a floating-point number.
func wholeNumbers(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			v[key] = wholeNumbers(v[key])
		}
	case []any:
		for i := range v {
			v[i] = wholeNumbers(v[i])
		}
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
	}
	return value
}

func redacted(secret *tlsv3.Secret) *tlsv3.Secret {
	copied := proto.CloneOf(secret)
	if pair := copied.GetTlsCertificate(); pair != nil {
		pair.PrivateKey = inlineText("[private key]")
		pair.CertificateChain = fingerprint(pair.GetCertificateChain())
	}
	context := copied.GetValidationContext()
	if context.GetTrustedCa() != nil {
		context.TrustedCa = fingerprint(context.GetTrustedCa())
	}
	if custom := context.GetCustomValidatorConfig(); custom != nil {
		redactDomains(custom.GetTypedConfig())
	}
	return copied
}

// redactDomains names each trust domain's certificates likewise. What is no such configuration stays as it is: it is public.
func redactDomains(packed *anypb.Any) {
	var validator tlsv3.SPIFFECertValidatorConfig
	if packed.UnmarshalTo(&validator) != nil {
		return
	}
	for _, domain := range validator.GetTrustDomains() {
		domain.TrustBundle = fingerprint(domain.GetTrustBundle())
	}
	_ = packed.MarshalFrom(&validator) // what was just read can be written
}

func fingerprint(source *corev3.DataSource) *corev3.DataSource {
	sum := sha256.Sum256(source.GetInlineBytes())
	return inlineText("sha256:" + hex.EncodeToString(sum[:]))
}

func inlineText(text string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: text}}
}
