package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// begin runs a verb in this process and insists that it says yes.
func begin(t *testing.T, args ...string) string {
	t.Helper()
	var out, complaint bytes.Buffer
	if status := run(t.Context(), args, &out, &complaint); status != exitFine {
		t.Fatalf("tiergate %s: exit %d\n%s%s", strings.Join(args, " "), status, out.String(), complaint.String())
	}
	return out.String()
}

// pkiOf makes every file that settings name, as empty as they may be: only that they are there is asked at this point.
func pkiOf(t *testing.T, dir string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "settings.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`(pki|secrets)/[a-z0-9-]+\.[a-z]+`).FindAllString(string(raw), -1) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStartingPolicy: whatever it is called, what init writes checks and tests clean, with and without its settings, and no
// part of it is without a case.
func TestStartingPolicy(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{
		"as it is":     nil,
		"two issuers":  {"--contractors", "partners:guests", "--domain", "corp.example"},
		"odd groups":   {"--employees", `corp:CN=Staff, "all"`, "--contractors", "corp:{yes}: #1"},
		"like YAML":    {"--employees", "corp:true", "--contractors", "corp:null", "--trust-domain", "x"},
		"other groups": {"--employees", "corp:-|&*>", "--contractors", "corp:Prüfer 日本"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "acme")
			begin(t, append([]string{"policy", "init", dir}, flags...)...)
			pkiOf(t, dir)
			policy, settings := filepath.Join(dir, "policy"), filepath.Join(dir, "settings.yaml")
			begin(t, "policy", "prove", policy) // with settings: e2e, where certificates are
			for _, with := range [][]string{nil, {"--config", settings}} {
				begin(t, append([]string{"policy", "check", policy}, with...)...)
				begin(t, append([]string{"policy", "test", policy, "--fail-uncovered", "tiers,routes,signals,audiences,grace,challenges"},
					with...)...)
			}
		})
	}
}

// TestStartingSchemas: every document is as the schema says whose line stands above it.
func TestStartingSchemas(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "acme")
	var said started
	if err := json.Unmarshal([]byte(begin(t, "policy", "init", dir, "-o", "json")), &said); err != nil {
		t.Fatal(err)
	}
	documents := 0
	for _, f := range said.Files {
		_, schema, described := strings.Cut(f.SchemaLine, "$schema=")
		if !described {
			continue
		}
		raw, err := os.ReadFile(f.File)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(raw), f.SchemaLine+"\n") {
			t.Errorf("%s does not begin with %s", f.File, f.SchemaLine)
		}
		compiled, err := jsonschema.NewCompiler().Compile(filepath.Join(filepath.Dir(f.File), schema))
		if err != nil {
			t.Fatal(err)
		}
		decoder := yaml.NewDecoder(bytes.NewReader(raw))
		for {
			var document any
			if decoder.Decode(&document) != nil {
				break
			}
			if document == nil {
				continue
			}
			documents++
			if err := compiled.Validate(asJSONValue(t, document)); err != nil {
				t.Errorf("%s: %v", f.File, err)
			}
		}
	}
	if documents != 20 { // 18 of the policy, and two files of cases
		t.Errorf("%d documents were looked at", documents)
	}
}

// asJSONValue is what an editor gives to a schema: to YAML 1.2 a date is a text.
func asJSONValue(t *testing.T, document any) any {
	t.Helper()
	raw, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.ReplaceAll(raw, []byte(`T00:00:00Z"`), []byte(`"`))
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestStartingPolicyLeavesNothingHalf: if a file cannot be written, what was written is taken away again, and nothing else.
func TestStartingPolicyLeavesNothingHalf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	err := layDown(dir, []laidFile{{name: "a/b.yaml"}, {name: "a/b.yaml"}})
	left, readErr := os.ReadDir(dir)
	if err == nil || readErr != nil || len(left) != 0 || !strings.Contains(err.Error(), "nothing is left") {
		t.Errorf("%v; left %v, %v", err, left, readErr)
	}
	within := filepath.Join(dir, "new")
	if err := layDown(within, []laidFile{{name: "x"}, {name: "x/y"}}); err == nil {
		t.Error("a file took the place of a directory")
	}
	if _, err := os.Stat(within); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", within, err)
	}
}

// TestStartingException: the exception that stands there as a comment is one that the tiers allow.
func TestStartingException(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "acme")
	begin(t, "policy", "init", dir)
	file := filepath.Join(dir, "policy", "access", "exceptions.yaml")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, document, found := strings.Cut(string(raw), "\n# apiVersion")
	text := strings.ReplaceAll("\n# apiVersion"+document, "\n# ", "\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil || !found {
		t.Fatal(err, found)
	}
	if said := begin(t, "policy", "check", filepath.Join(dir, "policy")); !strings.Contains(said, "19 documents, no fault") {
		t.Error(said)
	}
}

// TestStartingPolicyBelongsToItsUser: what will hold keys, records and sockets is nobody else's.
func TestStartingPolicyBelongsToItsUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	begin(t, "policy", "init", dir)
	for _, name := range plainDirs {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
}

// TestStartingDates: an identity is reviewed in half a year, and the example of an exception lasts a week from today.
func TestStartingDates(t *testing.T) {
	s := starter{Domain: "acme.example"}
	if err := s.read("corp:staff", "corp:contractors", time.Date(2026, 11, 28, 23, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	if s.Today != "2026-11-28" || s.NextWeek != "2026-12-05" || s.ReviewBy != "2027-05-27" {
		t.Errorf("%+v", s)
	}
}
