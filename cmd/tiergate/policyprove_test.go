package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/xds/prove"
)

// namedFiles are the files that settings of the examples name.
var namedFiles = regexp.MustCompile(`\b(?:pki|secrets|store)/[A-Za-z0-9._-]+`)

// layFiles copies a directory with settings and makes each file that these name: certificates of a CA of its own each.
func layFiles(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(filepath.Join(dir, "settings.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range namedFiles.FindAllString(string(settings), -1) {
		path, content := filepath.Join(dir, name), []byte(`{"keys": []}`)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".db") {
			continue
		}
		if strings.HasSuffix(name, ".pem") {
			pair, err := standIn(name)
			if err != nil {
				t.Fatal(err)
			}
			content = pair.CertPEM
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestExamplesProveClean: every example, with what its settings would give to Envoy, and the matrix of TestIsolation.
func TestExamplesProveClean(t *testing.T) {
	t.Parallel()
	for name, isolated := range map[string]int{"../../examples/ingress": 1, "../../examples/contractor-gateway": 2,
		"../../examples/workload-admin": 0, "../../e2e/testdata/isolation": 2} {
		dir := layFiles(t, name)
		var out, errs bytes.Buffer
		status := run(context.Background(), []string{"policy", "prove", filepath.Join(dir, "policy"), "--config",
			filepath.Join(dir, "settings.yaml"), "-o", "json"}, &out, &errs)
		var report prove.Report
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, errs.String())
		}
		if status != exitFine || !report.Isolated || report.Looked.Audiences != isolated || report.Looked.Paths == 0 {
			t.Errorf("%s: status %d, %s%s", name, status, out.String(), errs.String())
		}
		if os.Getenv("TIERGATE_SHOW") != "" {
			t.Log(out.String())
		}
		for _, reach := range report.Audiences {
			if len(reach.Own) != 1 || len(reach.Endpoints) == 0 || len(reach.Clusters) == 0 {
				t.Errorf("%s: %+v", name, reach)
			}
		}
	}
}
