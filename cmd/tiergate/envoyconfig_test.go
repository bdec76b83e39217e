package main

import (
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// layEnvoy gives a transcript certificates in pki/, and in bin/ the real Envoy and something else.
func layEnvoy(e *testscript.Env) error {
	at := func(elements ...string) string { return filepath.Join(append([]string{e.WorkDir}, elements...)...) }
	for _, dir := range []string{"pki", "bin"} {
		if err := os.Mkdir(at(dir), 0o700); err != nil {
			return err
		}
	}
	ca, err := devca.New("a CA")
	if err != nil {
		return err
	}
	if err := os.WriteFile(at("pki", "ca.pem"), ca.PEM(), 0o600); err != nil {
		return err
	}
	pair, err := ca.SVID("spiffe://acme.example/envoy", time.Hour)
	if err != nil {
		return err
	}
	if err := pair.WriteFiles(at("pki", "in.pem"), at("pki", "in.key")); err != nil {
		return err
	}
	binaries, err := stage.FindBinaries()
	if err != nil {
		return err
	}
	if err := writeProgram(at("bin", "other"), ""); err != nil {
		return err
	}
	return os.Symlink(binaries.Envoy, at("bin", "envoy"))
}
