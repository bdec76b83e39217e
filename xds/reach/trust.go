package reach

import (
	"strings"

	"github.com/tiergate/tiergate/xds/dump"
)

// Trust says who gets past the TLS handshake of a filter chain.
type Trust struct {
	// Certificate is "none" (plaintext, or nobody is asked for one), "optional" or "required".
	Certificate string `json:"certificate"`
	// Authorities are where the CA certificates stand: "secret NAME", "file PATH", "inline", or for the SPIFFE validator
	// "trust domain NAME". None: a certificate that is shown is not verified.
	Authorities []string `json:"authorities"`
	// Names are matchers of which one must fit a name of the certificate, such as "URI prefix spiffe://a.example/"; none: any.
	Names []string `json:"names"`
	// Loose says what else lets more in: untrusted certificates are accepted, for one.
	Loose string `json:"loose"`
}

func trustOf(c *dump.Config, tls dump.Value) Trust {
	t := Trust{Certificate: "none"}
	if !tls.Has() {
		return t
	}
	if !tls.Is("DownstreamTlsContext") && !tls.Get("common_tls_context").Has() {
		t.Loose = "the transport socket " + tls.Type() + " is not understood"
		return t
	}
	common := tls.Get("common_tls_context")
	t.context(common.Get("validation_context"))
	t.secret(c, common.Get("validation_context_sds_secret_config"))
	combined := common.Get("combined_validation_context")
	t.context(combined.Get("default_validation_context"))
	t.secret(c, combined.Get("validation_context_sds_secret_config"))
	switch {
	case tls.Get("require_client_certificate").Bool():
		t.Certificate = "required"
	case len(t.Authorities) > 0:
		t.Certificate = "optional"
	}
	return t
}

func (t *Trust) secret(c *dump.Config, reference dump.Value) {
	name := reference.Get("name").Text()
	if name == "" {
		return
	}
	t.Authorities = append(t.Authorities, "secret "+name)
	if known, ok := c.Secret(name); ok {
		inner := Trust{}
		inner.context(known.Value.Get("validation_context"))
		t.Names = append(t.Names, inner.Names...)
		for _, a := range inner.Authorities {
			if strings.HasPrefix(a, "trust domain ") {
				t.Authorities = append(t.Authorities, a)
			}
		}
		if inner.Loose != "" {
			t.Loose = inner.Loose
		}
	}
}

func (t *Trust) context(v dump.Value) {
	if ca := v.Get("trusted_ca"); ca.Has() {
		t.Authorities = append(t.Authorities, sourceOf(ca))
	}
	if provider := v.Get("ca_certificate_provider_instance"); provider.Has() {
		t.Authorities = append(t.Authorities, "provider "+provider.Get("instance_name").Text())
	}
	for _, domain := range v.Get("custom_validator_config").Config().Get("trust_domains").List() {
		t.Authorities = append(t.Authorities, "trust domain "+domain.Get("name").Text())
	}
	for _, m := range v.Get("match_typed_subject_alt_names").List() {
		t.Names = append(t.Names, m.Get("san_type").Enum("", "EMAIL", "DNS", "URI", "IP_ADDRESS", "OTHER_NAME")+" "+
			textMatch(m.Get("matcher")))
	}
	for _, m := range v.Get("match_subject_alt_names").List() {
		t.Names = append(t.Names, textMatch(m))
	}
	if v.Get("trust_chain_verification").Enum("", "ACCEPT_UNTRUSTED") == "ACCEPT_UNTRUSTED" {
		t.Loose = "trust_chain_verification is ACCEPT_UNTRUSTED: any certificate gets in"
	}
}

func sourceOf(v dump.Value) string {
	if file := v.Get("filename").Text(); file != "" {
		return "file " + file
	}
	if name := v.Get("environment_variable").Text(); name != "" {
		return "environment " + name
	}
	return "inline"
}

// textMatch writes an envoy.type.matcher.v3.StringMatcher as words.
func textMatch(m dump.Value) string {
	for _, kind := range []string{"exact", "prefix", "suffix", "contains"} {
		if v := m.Get(kind); v.Has() {
			return kind + " " + v.Text()
		}
	}
	if v := m.Get("safe_regex", "regex"); v.Has() {
		return "regex " + v.Text()
	}
	return "a matcher that is not understood"
}
