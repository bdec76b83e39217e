package lint

import (
	"strings"

	"github.com/tiergate/tiergate/xds/dump"
)

const tlsAPI = "envoy.extensions.transport_sockets.tls.v3."

// tlsRules are about who gets a connection, and whom Envoy believes at the other end of its own.
var tlsRules = []rule{
	{code: "certificate-optional", severity: Weak, source: tlsAPI + "DownstreamTlsContext.require_client_certificate",
		chain: func(_ dump.Listener, c dump.Chain, s say) {
			v := c.TLS.Get("require_client_certificate")
			if validation(c.TLS).asked && !v.Bool() && !verifiesTokens(c) {
				s(v, "clients without a certificate get in, and nothing else here says who they are",
					"write require_client_certificate: true")
			}
		}},
	{code: "client-ca-missing", severity: Hole, source: tlsAPI + "CertificateValidationContext.trusted_ca",
		chain: func(_ dump.Listener, c dump.Chain, s say) {
			asked := validation(c.TLS)
			if (asked.asked || c.TLS.Get("require_client_certificate").Bool()) && !asked.anchored {
				s(c.TLS.Get("common_tls_context", "validation_context", "trusted_ca"),
					"any certificate will do: a client makes one in whatever name it likes", "write trusted_ca: {filename: …}")
			}
		}},
	{code: "untrusted-accepted", severity: Hole, source: tlsAPI + "CertificateValidationContext.trust_chain_verification",
		chain: func(_ dump.Listener, c dump.Chain, s say) {
			for _, v := range validation(c.TLS).contexts {
				if mode := v.Get("trust_chain_verification"); mode.Enum("VERIFY_TRUST_CHAIN", "ACCEPT_UNTRUSTED") == "ACCEPT_UNTRUSTED" {
					s(mode, "certificates that nobody trusted has signed are accepted", "write trust_chain_verification: VERIFY_TRUST_CHAIN")
				}
			}
		}},
	{code: "expired-accepted", severity: Weak, source: tlsAPI + "CertificateValidationContext.allow_expired_certificate",
		chain: func(_ dump.Listener, c dump.Chain, s say) {
			for _, v := range validation(c.TLS).contexts {
				if old := v.Get("allow_expired_certificate"); old.Bool() {
					s(old, "certificates count for ever", "write allow_expired_certificate: false")
				}
			}
		}},
	{code: "trust-too-wide", severity: Hole, source: tlsAPI + "SPIFFECertValidatorConfig.trust_domains", chain: tooWide},
	{code: "tls-old", severity: Weak, source: tlsAPI + "TlsParameters.tls_minimum_protocol_version; RFC 8996",
		chain:   func(_ dump.Listener, c dump.Chain, s say) { oldTLS(c.TLS, s) },
		cluster: func(_ *dump.Config, c dump.Cluster, s say) { oldTLS(c.TLS, s) }},
	{code: "session-resumption", severity: Weak, source: tlsAPI + "DownstreamTlsContext.disable_stateless_session_resumption",
		chain: func(_ dump.Listener, c dump.Chain, s say) {
			if !validation(c.TLS).asked {
				return
			}
			for _, field := range []string{"disable_stateless_session_resumption", "disable_stateful_session_resumption"} {
				if v := c.TLS.Get(field); !v.Bool() {
					s(v, "a client whose certificate ran out or is trusted no more comes back without showing it", "write "+field+": true")
				}
			}
		}},
	{code: "listener-plaintext", severity: Weak, source: "envoy.config.listener.v3.FilterChain.transport_socket", chain: clearListener},
	{code: "upstream-unverified", severity: Weak, source: tlsAPI + "UpstreamTlsContext; CertificateValidationContext.trusted_ca",
		cluster: func(_ *dump.Config, c dump.Cluster, s say) {
			if c.TLS.Is("UpstreamTlsContext") && !validation(c.TLS).anchored {
				s(c.TLS.Get("common_tls_context", "validation_context", "trusted_ca"),
					"Envoy verifies no certificate unless it is told to: anybody on the way may be the upstream", "write trusted_ca: {filename: …}")
			}
		}},
	{code: "upstream-any-name", severity: Weak, source: tlsAPI + "CertificateValidationContext.match_typed_subject_alt_names",
		cluster: func(_ *dump.Config, c dump.Cluster, s say) {
			if v := validation(c.TLS); c.TLS.Is("UpstreamTlsContext") && v.anchored && !v.named &&
				!c.TLS.Get("auto_sni_san_validation").Bool() {
				s(c.TLS.Get("common_tls_context", "validation_context", "match_typed_subject_alt_names"),
					"whoever has a certificate of that CA may be the upstream", "write match_typed_subject_alt_names: "+
						"[{san_type: URI, matcher: {exact: 'spiffe://…'}}]")
			}
		}},
}

// trust is what a TLS context demands of the other end.
type trust struct {
	asked    bool         // a certificate is looked at
	anchored bool         // something says who signs it; or a secret does, which is not to be seen
	named    bool         // names are compared
	contexts []dump.Value // CertificateValidationContext, those that are to be seen
	secrets  []dump.Value // the SdsSecretConfigs of the others
}

// validation reads what stands in the context itself.
func validation(tls dump.Value) trust {
	t := trust{}
	common := tls.Get("common_tls_context")
	combined := common.Get("combined_validation_context")
	for _, v := range []dump.Value{common.Get("validation_context"), combined.Get("default_validation_context")} {
		if v.Has() {
			t.contexts = append(t.contexts, v)
		}
	}
	for _, v := range []dump.Value{common.Get("validation_context_sds_secret_config"), combined.Get("validation_context_sds_secret_config")} {
		if v.Has() {
			t.secrets = append(t.secrets, v)
			t.anchored = true
		}
	}
	t.asked = len(t.contexts)+len(t.secrets) > 0
	for _, v := range t.contexts {
		for _, field := range []string{"trusted_ca", "ca_certificate_provider_instance", "custom_validator_config", "system_root_certs",
			"verify_certificate_spki", "verify_certificate_hash"} {
			t.anchored = t.anchored || v.Get(field).Has()
		}
		for _, field := range []string{"match_typed_subject_alt_names", "match_subject_alt_names"} {
			t.named = t.named || len(v.Get(field).List()) > 0
		}
	}
	return t
}

// trustOf is validation with those secrets looked up that are to be seen.
func trustOf(c *dump.Config, tls dump.Value) trust {
	t := validation(tls)
	for _, secret := range t.secrets {
		if known, ok := c.Secret(secret.Get("name").Text()); ok {
			t.contexts = append(t.contexts, known.Value.Get("validation_context"))
		}
	}
	return t
}

// verifiesTokens reports whether a filter of the chain knows clients by their tokens.
func verifiesTokens(c dump.Chain) bool {
	for _, h := range c.HTTP {
		for _, f := range h.Filters {
			if f.Config.Is("jwt_authn.v3.JwtAuthentication", "oauth2.v3.OAuth2") {
				return true
			}
		}
	}
	return false
}

// tooWide finds SPIFFE trust in several domains where nothing narrows down the names.
func tooWide(_ dump.Listener, c dump.Chain, s say) {
	t := validation(c.TLS)
	if t.named {
		return
	}
	const fix = "write combined_validation_context: {default_validation_context: {match_typed_subject_alt_names: " +
		"[{san_type: URI, matcher: {prefix: 'spiffe://DOMAIN/'}}]}}, or one trust domain"
	for _, v := range t.contexts {
		spiffe := v.Get("custom_validator_config").Config()
		if n := len(spiffe.Get("trust_domains").List()); n > 1 || spiffe.Get("trust_bundles").Has() {
			s(v.Get("custom_validator_config"), "every workload of every one of these trust domains gets a connection here", fix)
		}
	}
	for _, v := range t.secrets {
		if strings.EqualFold(v.Get("name").Text(), "ALL") {
			s(v, "the agent's ALL is every federated trust domain: every workload of every one gets a connection here", fix)
		}
	}
}

func oldTLS(tls dump.Value, s say) {
	for _, field := range []string{"tls_minimum_protocol_version", "tls_maximum_protocol_version"} {
		v := tls.Get("common_tls_context", "tls_params", field)
		if version := v.Enum("TLS_AUTO", "TLSv1_0", "TLSv1_1"); version == "TLSv1_0" || version == "TLSv1_1" {
			s(v, "TLS below 1.2 is deprecated, and broken", "write "+field+": TLSv1_2")
		}
	}
}

// clearListener finds HTTP in the clear on an address that other machines reach.
func clearListener(l dump.Listener, c dump.Chain, s say) {
	if c.TLS.Has() || len(c.HTTP) == 0 || !leadsAnywhere(c) {
		return
	}
	for _, address := range l.Addresses {
		if !local(address) {
			s(c.Value.Get("transport_socket"), "tokens cross the network to "+address+" in the clear, and no client has a certificate",
				"write a transport_socket with a DownstreamTlsContext, or an address of this machine")
			return
		}
	}
}

// leadsAnywhere reports whether some request of the chain goes on. Tables over RDS count as such.
func leadsAnywhere(c dump.Chain) bool {
	for _, h := range c.HTTP {
		if h.Scoped || h.Table != "" {
			return true
		}
		for _, t := range h.Inline {
			for _, host := range t.Hosts {
				for _, r := range host.Routes {
					if r.Leads() {
						return true
					}
				}
			}
		}
	}
	return false
}
