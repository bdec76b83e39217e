package stage

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/config/policyfile"
	"github.com/tiergate/tiergate/signals"
)

func loadSettings(t *testing.T, s *Stage) *config.Settings {
	t.Helper()
	var words config.Vocabulary
	for _, a := range signals.Attributes() {
		words.Attributes = append(words.Attributes, a.Name)
	}
	settings, err := config.Load(s.Settings(), words)
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

// TestSettingsLoad: the product reads the stage's settings, and what it reads is where the stage put things.
func TestSettingsLoad(t *testing.T) {
	for _, store := range []string{StoreRedis, StoreEmbedded} {
		s := newStage(t, store)
		settings := loadSettings(t, s)
		got := []string{settings.RuntimeDir, settings.Policy.Dir, settings.Ingest.Listen, settings.Ingest.Metrics.Listen,
			settings.Metrics.Listen, settings.Envoy.Listeners[0].Address, settings.Envoy.Listeners[1].Address}
		want := []string{s.Path("run"), s.Path("policy"), s.Ports.Ingest, s.Ports.IngestMetrics, s.Ports.ServeMetrics,
			s.Ports.Ingress, s.Ports.Contractors}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		stores := config.Store{Redis: &config.RedisStore{Address: s.Path("run", "valkey.sock"), WaitAOF: 1,
			Seal: &config.Seal{KeyFile: s.Path("secrets", "seal.key"), TrustFiles: []string{s.Path("pki", "seal.pub")},
				CheckpointMaxAge: config.DefaultCheckpointMaxAge}}}
		if store == StoreEmbedded {
			stores = config.Store{Embedded: &config.EmbeddedStore{File: s.Path("store", "tiergate.db")}}
		}
		if !reflect.DeepEqual(settings.Store, stores) {
			t.Errorf("%s: the store is %+v", store, settings.Store)
		}
		if issuer := settings.Identity.Issuers[0]; issuer.Issuer != s.Cast.Issuer.Name() ||
			issuer.Audiences[0] != s.Cast.Issuer.Audience() || settings.Sources[0].Name != SourceName {
			t.Errorf("issuer %+v, source %s", issuer, settings.Sources[0].Name)
		}
		if settings.Envoy.Listeners[0].Name != ListenerIngress || settings.Envoy.Listeners[1].Name != ListenerContracts {
			t.Errorf("listeners %+v", settings.Envoy.Listeners)
		}
	}
}

func compile(t *testing.T, s *Stage) (digest, problems string) {
	t.Helper()
	settings := loadSettings(t, s)
	world := policy.World{Sources: map[string]policy.Source{}, Issuers: []string{settings.Identity.Issuers[0].Name},
		TrustDomains: []string{settings.Identity.TrustDomains[0].Name}}
	for _, source := range settings.Sources {
		users := policy.EnrolledAs{Issuer: source.EnrolledUser.Issuer, Is: policy.EnrolledClaim(source.EnrolledUser.Is)}
		world.Sources[source.Name] = policy.Source{Attests: source.Attests, EnrolledUser: users}
	}
	files, err := policyfile.Read(settings.Policy.Dir)
	if err != nil {
		t.Fatal(err)
	}
	compiled, faults := policyfile.Compile(files, world)
	if len(faults) > 0 {
		return "", faults.Error()
	}
	return compiled.Digest(), ""
}

// TestExampleCompiles: the example has no fault; a typo is shown at its place; mended, another policy comes of it.
func TestExampleCompiles(t *testing.T) {
	s := newStage(t, StoreRedis)
	before, problems := compile(t, s)
	if problems != "" {
		t.Fatal(problems)
	}
	mark, err := s.EditPolicy("access/routes.yaml", "tier: internal", "tier: internl")
	if err != nil {
		t.Fatal(err)
	}
	_, problems = compile(t, s)
	if at := mark.Within("tier: internl", "internl"); !strings.Contains(problems, at.String()) {
		t.Errorf("the fault does not name %s:\n%s", at, problems)
	}
	if _, err := s.EditPolicy("access/routes.yaml", "methods: [GET]\n  tier: internl", "methods: [GET, POST]\n  tier: internal"); err != nil {
		t.Fatal(err)
	}
	after, problems := compile(t, s)
	if problems != "" || after == before {
		t.Errorf("digest %s after %s; %s", after, before, problems)
	}
}
