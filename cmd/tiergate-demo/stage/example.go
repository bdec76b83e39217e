package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// substitution is one thing in which the stage differs from examples/ingress. It must occur exactly once, so that the
// example cannot drift away from what the demo shows without a fault.
type substitution struct{ from, to string }

// exampleStore is the store as the example writes it.
const exampleStore = `store:
  redis:
    address: 127.0.0.1:6379
    waitAOF: 1                 # 202 is said to a webhook only after the append-only file has synced
    seal:                      # what the receiver writes is signed; ` + "`serve`" + ` never reads the key
      keyFile: secrets/seal.key
      trustFiles: [pki/seal.pub]
`

const embeddedStore = `store:
  embedded:
    file: store/tiergate.db
`

// patienceSubstitution: what is told are answers, and how fast they come is measured elsewhere. On a machine that is busy with
// other things a decision, or its record, may take longer than the 250 ms after which Envoy answers 503 by default.
var patienceSubstitution = substitution{HastyEnvoy, PatientEnvoy}

// HastyEnvoy stands in the examples' settings, and PatientEnvoy takes its place.
const (
	HastyEnvoy   = "envoy:\n  listeners:\n"
	PatientEnvoy = "envoy:\n  checkTimeout: 2s\n  listeners:\n"
)

func (s *Stage) settingsSubstitutions() []substitution {
	substitutions := []substitution{
		{"127.0.0.1:8443", s.Ports.Ingress},
		{"127.0.0.1:8444", s.Ports.Contractors},
		{"127.0.0.1:8090", s.Ports.Ingest},
		{"127.0.0.1:9464", s.Ports.ServeMetrics},
		{"127.0.0.1:9465", s.Ports.IngestMetrics}, transmitterSubstitution, s.approvalsSubstitution(), censusSubstitution,
		patienceSubstitution,
	}
	if s.Provider != nil {
		substitutions = append(substitutions, s.loginSubstitutions()...)
	}
	if s.Agent != nil {
		substitutions = append(substitutions, s.agentSubstitutions()...)
	}
	if s.EDR != nil {
		substitutions = append(substitutions, edrSubstitution)
	}
	if s.vendors != nil {
		substitutions = append(substitutions, s.vendors.substitution())
	}
	if s.evidence {
		substitutions = append(substitutions, evidenceSubstitution)
	}
	if s.Store == StoreEmbedded {
		return append(substitutions, substitution{exampleStore, embeddedStore})
	}
	return append(substitutions, substitution{"127.0.0.1:6379", s.Path("run", "valkey.sock")})
}

func (s *Stage) policySubstitutions() map[string][]substitution {
	return map[string][]substitution{"upstreams.yaml": {
		{"127.0.0.1:9001", s.Ports.Portal},
		{"127.0.0.1:9002", s.Ports.Payroll},
		{"127.0.0.1:9003", s.Ports.ContractorPortal},
	}}
}

// writeExample copies settings and policy of the example into the stage, with this stage's addresses.
func (s *Stage) writeExample() error {
	settings := filepath.Join(s.binaries.Example, "settings.yaml")
	if err := copyText(settings, s.Settings(), s.settingsSubstitutions()); err != nil {
		return err
	}
	from := filepath.Join(s.binaries.Example, "policy")
	changes := s.policySubstitutions()
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(s.Path("policy", name), 0o700)
		}
		return copyText(path, s.Path("policy", name), changes[filepath.ToSlash(name)])
	})
}

func copyText(from, to string, substitutions []substitution) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	text, err := substitute(string(raw), substitutions)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return os.WriteFile(to, []byte(text), 0o600)
}

// substitute replaces each of them in the original text only: a port that was filled in is never replaced again.
func substitute(text string, substitutions []substitution) (string, error) {
	var faults []error
	pairs := make([]string, 0, 2*len(substitutions))
	for _, s := range substitutions {
		if n := strings.Count(text, s.from); n != 1 {
			faults = append(faults, fmt.Errorf("%q occurs %d times, the stage replaces it exactly once", s.from, n))
		}
		pairs = append(pairs, s.from, s.to)
	}
	if len(faults) > 0 {
		return "", errors.Join(faults...)
	}
	return strings.NewReplacer(pairs...).Replace(text), nil
}
