package xds

import (
	"regexp"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/identity"
)

// TestSPIFFEMatcherIsThePattern: Envoy lets in exactly the names that the pattern covers in authz.
func TestSPIFFEMatcherIsThePattern(t *testing.T) {
	segment := rapid.SampledFrom([]string{"a", "b", "ns", "*", ".", "..", "...", ".a", "..a", "a.b", "a*", "", "A_-1", "a+b", "%2e"})
	last := rapid.SampledFrom([]string{"", "/**", "/", "/*"})
	text := rapid.Custom(func(t *rapid.T) string {
		domain := rapid.SampledFrom([]string{"d.e", "dxe", "d.e.f"}).Draw(t, "domain")
		return "spiffe://" + domain + "/" + strings.Join(rapid.SliceOfN(segment, 0, 4).Draw(t, "path"), "/") + last.Draw(t, "last")
	})
	covered := 0
	rapid.Check(t, func(t *rapid.T) {
		pattern, err := identity.ParseSPIFFEPattern(text.Draw(t, "pattern"))
		if err != nil {
			return
		}
		name := text.Draw(t, "name")
		if rapid.Bool().Draw(t, "near") { // a name that could well be covered
			name = strings.NewReplacer("/**", "/a/b", "*", "ns").Replace(pattern.String())
		}
		id, err := identity.ParseSPIFFEID(name)
		want := err == nil && pattern.Match(id)
		matcher := spiffeMatcher(pattern)
		got := matcher.GetExact() == name
		if expression := matcher.GetSafeRegex().GetRegex(); expression != "" {
			got = regexp.MustCompile(`\A(?:` + expression + `)\z`).MatchString(name) // as Envoy does: RE2, the whole name
		}
		if got != want {
			t.Fatalf("%q and %s: Envoy %t, authz %t", name, pattern, got, want)
		}
		if want {
			covered++
		}
	})
	if covered == 0 {
		t.Error("no name was covered")
	}
}

// everyListener is written with one listener of each kind, health and both logs.
func everyListener(t *testing.T) Input {
	in := written(t)
	pair := fixedPair(t)
	in.Settings.Listeners = append(in.Settings.Listeners,
		Listener{Name: "tokens", Address: "127.0.0.1:9444", Certificate: pair, ClientCertificates: CertificateNone},
		Listener{Name: "laptops", Address: "127.0.0.1:9445", Certificate: pair, ClientCA: pair.CertPEM,
			ClientCertificates: CertificateOptional},
		Listener{Name: "mesh", Address: "127.0.0.1:9446", Certificate: pair,
			TrustDomains:    map[string][]byte{"acme.example": pair.CertPEM, "partner.example": pair.CertPEM, "late.example": nil},
			ClientSPIFFEIDs: []string{"spiffe://acme.example/ns/*/sa/edge", "spiffe://partner.example/gateway"}},
	)
	in.Settings.Health = "127.0.0.1:9447"
	in.Settings.AccessLogService = &AccessLogService{Socket: "/run/als.sock"}
	return in
}

func TestGoldenListeners(t *testing.T) {
	all := mustBuild(t, everyListener(t))
	shown := &Snapshot{resources: resources{
		listeners: []*listenerv3.Listener{listenerOf(t, all, "mesh"), listenerOf(t, all, healthListener)},
	}}
	for _, secret := range all.resources.secrets {
		if secret.GetName() == "mesh/client-ca" {
			shown.resources.secrets = append(shown.resources.secrets, secret)
		}
	}
	got, err := shown.YAML()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "listeners.yaml", got)
}

// Each hole is planted alone in a snapshot that is otherwise good, and must be found.
func TestConsistentFindsInListeners(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(t *testing.T, s *Snapshot)
		want  string
	}{
		{"a certificate where none is meant", inTLS("tokens", func(c *tlsv3.DownstreamTlsContext) { c.RequireClientCertificate = yes() }),
			"listener tokens: asks for client certificates, and is not meant to"},
		{"nobody's word on optional ones", inTLS("laptops", func(c *tlsv3.DownstreamTlsContext) {
			c.GetCommonTlsContext().ValidationContextType = nil
		}), "listener laptops: who may connect is not said"},
		{"required that became optional", inTLS("mesh", func(c *tlsv3.DownstreamTlsContext) { c.RequireClientCertificate = nil }),
			"listener mesh: does not demand a client certificate"},
		{"required that became none", func(_ *testing.T, s *Snapshot) { s.resources.certificates["mesh"] = CertificateNone },
			"listener mesh: asks for client certificates"},
		{"names gone", inNames(func(v *tlsv3.CertificateValidationContext) { v.MatchTypedSubjectAltNames = nil }), "names nobody"},
		{"names of hosts", inNames(func(v *tlsv3.CertificateValidationContext) {
			v.GetMatchTypedSubjectAltNames()[0].SanType = tlsv3.SubjectAltNameMatcher_DNS
		}), "lets clients in by names that are no URI"},
		{"whatever is shown", inNames(func(v *tlsv3.CertificateValidationContext) {
			v.TrustChainVerification = tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
		}), "lets in certificates that are not verified"},
		{"expired ones", inSecret("ingress", func(v *tlsv3.CertificateValidationContext) { v.AllowExpiredCertificate = true }),
			"listener ingress: lets in certificates that are not verified"},
		{"no CA", inSecret("laptops", func(v *tlsv3.CertificateValidationContext) { v.TrustedCa = nil }),
			"listener laptops: no CA says who may connect"},
		{"another validator", inSecret("mesh", func(v *tlsv3.CertificateValidationContext) { v.GetCustomValidatorConfig().Name = "x" }),
			`listener mesh: clients are verified by "x"`},
		{"every trust domain", inSecret("mesh", func(v *tlsv3.CertificateValidationContext) {
			packed := (&builder{}).pack(&tlsv3.SPIFFECertValidatorConfig{TrustBundles: inlineText("{}"),
				TrustDomains: []*tlsv3.SPIFFECertValidatorConfig_TrustDomain{{Name: "d", TrustBundle: inlineText("x")}}})
			v.GetCustomValidatorConfig().TypedConfig = packed
		}), "listener mesh: trusts more than the trust domains that it names"},
		{"upgrades on every route", inHCM("mesh", func(h *hcmv3.HttpConnectionManager) {
			h.GetUpgradeConfigs()[0].Enabled = wrapperspb.Bool(true)
		}), `listener mesh: upgrades to "websocket" whatever the route`},
		{"tunnels", inHCM("mesh", func(h *hcmv3.HttpConnectionManager) {
			h.UpgradeConfigs = append(h.GetUpgradeConfigs(), &hcmv3.HttpConnectionManager_UpgradeConfig{
				UpgradeType: "CONNECT", Enabled: wrapperspb.Bool(false)})
		}), `listener mesh: upgrades to "CONNECT"`},
		{"probes that lead on", inHCM(healthListener, func(h *hcmv3.HttpConnectionManager) {
			h.GetRouteConfig().GetVirtualHosts()[0].GetRoutes()[0].Name = "somewhere"
		}), "leads somewhere, and nobody is asked"},
		{"probes with routes of another", inHCM(healthListener, func(h *hcmv3.HttpConnectionManager) {
			h.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "ingress", ConfigSource: overADS()}}
		}), "leads somewhere, and nobody is asked"},
		{"probes that pass through", inHCM(healthListener, func(h *hcmv3.HttpConnectionManager) {
			answers := healthAnswers()
			answers.PassThroughMode = yes()
			h.GetHttpFilters()[0] = (&builder{}).httpFilter(healthFilter, answers)
		}), "its health_check filter is not the one that is built here"},
		{"probes with a filter more", inHCM(healthListener, func(h *hcmv3.HttpConnectionManager) {
			h.HttpFilters = append(h.GetHttpFilters(), h.GetHttpFilters()[0])
		}), "its HTTP filters are not health_check and then the router"},
		{"probes in the log", inHCM(healthListener, func(h *hcmv3.HttpConnectionManager) {
			h.AccessLog = (&builder{in: everyListener(t)}).accessLog()
		}), "logs probes"},
		{"two chains for probes", func(t *testing.T, s *Snapshot) {
			l := listenerOf(t, s, healthListener)
			l.FilterChains = append(l.GetFilterChains(), l.GetFilterChains()[0])
		}, "has not exactly one filter chain"},
		{"a second place for probes", func(t *testing.T, s *Snapshot) { listenerOf(t, s, healthListener).Name = "other" },
			"listener other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			snapshot := mustBuild(t, everyListener(t))
			c.plant(t, snapshot)
			if err := snapshot.Consistent(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func listenerOf(t *testing.T, s *Snapshot, name string) *listenerv3.Listener {
	t.Helper()
	for _, l := range s.resources.listeners {
		if l.GetName() == name {
			return l
		}
	}
	t.Fatalf("there is no listener %s", name)
	return nil
}

func inTLS(name string, change func(*tlsv3.DownstreamTlsContext)) func(*testing.T, *Snapshot) {
	return func(t *testing.T, s *Snapshot) {
		packed := listenerOf(t, s, name).GetFilterChains()[0].GetTransportSocket().GetTypedConfig()
		repack(t, packed, &tlsv3.DownstreamTlsContext{}, change)
	}
}

func inNames(change func(*tlsv3.CertificateValidationContext)) func(*testing.T, *Snapshot) {
	return inTLS("mesh", func(c *tlsv3.DownstreamTlsContext) {
		change(c.GetCommonTlsContext().GetCombinedValidationContext().GetDefaultValidationContext())
	})
}

func inHCM(name string, change func(*hcmv3.HttpConnectionManager)) func(*testing.T, *Snapshot) {
	return func(t *testing.T, s *Snapshot) {
		packed := listenerOf(t, s, name).GetFilterChains()[0].GetFilters()[0].GetTypedConfig()
		repack(t, packed, &hcmv3.HttpConnectionManager{}, change)
	}
}

func inSecret(listener string, change func(*tlsv3.CertificateValidationContext)) func(*testing.T, *Snapshot) {
	return func(t *testing.T, s *Snapshot) {
		for _, secret := range s.resources.secrets {
			if secret.GetName() == listener+"/client-ca" {
				change(secret.GetValidationContext())
			}
		}
	}
}

func TestListenerFaults(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Settings)
		want   string
	}{
		"a CA for nobody": {func(s *Settings) { s.Listeners[0].ClientCertificates = CertificateNone },
			"envoy.listeners[ingress].clientCertificates: nobody is asked"},
		"optional with names": {func(s *Settings) {
			s.Listeners[0].ClientCertificates, s.Listeners[0].ClientSPIFFEIDs = CertificateOptional, []string{ana}
		}, "envoy.listeners[ingress].clientCertificates: Envoy lets nobody in"},
		"optional by domains": {func(s *Settings) {
			l := &s.Listeners[0]
			l.TrustDomains, l.ClientCA, l.ClientCertificates = map[string][]byte{"d": l.ClientCA}, nil, CertificateOptional
		}, "envoy.listeners[ingress].clientCertificates: Envoy lets nobody in"},
		"no pattern": {func(s *Settings) { s.Listeners[0].ClientSPIFFEIDs = []string{"spiffe://*/a"} },
			"envoy.listeners[ingress].clientSPIFFEIDs: the trust domain"},
		"a bundle of nothing": {func(s *Settings) {
			s.Listeners[0].ClientCA, s.Listeners[0].TrustDomains = nil, map[string][]byte{"d": []byte("x")}
		}, "envoy.listeners[ingress].clientTrustDomains: there is no CA certificate in the bundle of d"},
		"no bundle at all": {func(s *Settings) {
			s.Listeners[0].ClientCA, s.Listeners[0].TrustDomains = nil, map[string][]byte{"d": nil}
		}, "envoy.listeners[ingress].clientCAFile: there is no CA certificate"},
		"probes by name":    {func(s *Settings) { s.Health = "localhost:1" }, "envoy.health.address: "},
		"probes in the way": {func(s *Settings) { s.Health = s.Listeners[0].Address }, "is also the address of listener for probes"},
		"an unknown tier":   {func(s *Settings) { s.Listeners[0].Serves = ServesUsers }, `spec.tier: the policy has no tier "open"`},
	} {
		in := written(t)
		c.change(&in.Settings)
		if _, err := Build(in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// TestListenersFollowTheirSettings: listeners stay as they are when bundles rotate, and a pool takes domains in.
func TestListenersFollowTheirSettings(t *testing.T) {
	one, other := everyListener(t), everyListener(t)
	mesh := &other.Settings.Listeners[len(other.Settings.Listeners)-1]
	mesh.TrustDomains["late.example"] = newAuthority(t).caPEM
	a, b := mustBuild(t, one), mustBuild(t, other)
	if !proto.Equal(listenerOf(t, a, "mesh"), listenerOf(t, b, "mesh")) {
		t.Error("a listener changed with a bundle: its connections would be drained")
	}
	mesh.ClientCA = newAuthority(t).caPEM
	for _, secret := range mustBuild(t, other).Secrets() {
		if secret.GetName() == "mesh/client-ca" {
			if n := strings.Count(string(secret.GetValidationContext().GetTrustedCa().GetInlineBytes()), "BEGIN CERTIFICATE"); n != 4 {
				t.Errorf("the pool has %d CAs, want one of its own and three domains'", n)
			}
		}
	}
}
