package stage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Binaries are the absolute paths of the programs and of the example.
type Binaries struct {
	Tiergate string // bin/tiergate
	Demo     string // bin/tiergate-demo; its `upstream` is what stands behind Envoy
	Envoy    string
	Valkey   string
	Node     string // runs Login
	Login    string // e2e/tools/oidc/provider.mjs
	Packages string // the directory of the npm packages that Login needs
	Example  string // examples/ingress
}

const module = "module github.com/tiergate/tiergate"

// FindBinaries looks in the checkout that the running program belongs to, else in the one around the working directory:
// bin/ and .tools/bin/, the latter overridden by $TIERGATE_TOOLS. Whether they are there is told by Check.
func FindBinaries() (Binaries, error) {
	root, err := findRoot()
	if err != nil {
		return Binaries{}, err
	}
	tools := filepath.Join(root, ".tools", "bin")
	if set := os.Getenv("TIERGATE_TOOLS"); set != "" {
		if tools, err = filepath.Abs(set); err != nil {
			return Binaries{}, err
		}
	}
	return Binaries{
		Tiergate: filepath.Join(root, "bin", "tiergate"),
		Demo:     filepath.Join(root, "bin", "tiergate-demo"),
		Envoy:    filepath.Join(tools, "envoy"),
		Valkey:   filepath.Join(tools, "valkey-server"),
		Node:     filepath.Join(tools, "node"),
		Login:    filepath.Join(root, "e2e", "tools", "oidc", "provider.mjs"),
		Packages: filepath.Join(tools, "oidc"),
		Example:  filepath.Join(root, "examples", "ingress"),
	}, nil
}

// findRoot returns the directory of our go.mod.
func findRoot() (string, error) {
	starts := []string{}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	for _, start := range starts {
		for dir := start; ; dir = filepath.Dir(dir) {
			if isRoot(dir) {
				return dir, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", fmt.Errorf("no checkout of tiergate is around %s; run this inside one", strings.Join(starts, " or "))
}

func isRoot(dir string) bool {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && strings.HasPrefix(string(mod), module+"\n")
}

// Check says which programs are missing for a store, and how to get them.
func (b Binaries) Check(store string) error {
	needed := []struct{ path, help string }{
		{b.Tiergate, "run make build"},
		{b.Demo, "run make build"},
		{b.Envoy, "run make tools, or set TIERGATE_TOOLS to the directory that has it"},
		{b.Node, "run make tools, or set TIERGATE_TOOLS to the directory that has it"},
		{b.Packages, "run make tools, or set TIERGATE_TOOLS to the directory that has it"},
		{b.Login, "run this inside a checkout of tiergate"},
		{b.Example, "run this inside a checkout of tiergate"},
	}
	if store != StoreEmbedded {
		needed = append(needed, struct{ path, help string }{b.Valkey, "run make tools, or demo with the embedded store"})
	}
	var faults []error
	for _, n := range needed {
		if _, err := os.Stat(n.path); err != nil {
			faults = append(faults, fmt.Errorf("%s is not there: %s", n.path, n.help))
		}
	}
	return errors.Join(faults...)
}
