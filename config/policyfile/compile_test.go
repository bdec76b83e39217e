package policyfile_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/policyfile"
)

var update = flag.Bool("update", false, "write what is said now as what should be said")

// world is what the settings of the fixtures say.
func world() policy.World {
	return policy.World{
		Sources: map[string]policy.Source{"mdm": {
			Attests:      []string{"platform", "disk_encryption", "compromised", "os_version", "enrolled_user"},
			EnrolledUser: policy.EnrolledAs{Issuer: "corp", Is: policy.EnrolledIsName},
		}},
		Issuers:      []string{"corp"},
		TrustDomains: []string{"acme.example"},
	}
}

func read(t testing.TB, dir string) *policyfile.Files {
	t.Helper()
	files, err := policyfile.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestGoodPolicyCompiles(t *testing.T) {
	compiled, problems := policyfile.Compile(read(t, "testdata/good"), world())
	if compiled == nil || len(problems) > 0 {
		t.Fatal(problems)
	}
}

// Each directory of testdata/bad is a policy with the fault that it is named for. What is said stands in its want.txt,
// word for word.
func TestBadPolicies(t *testing.T) {
	entries, err := os.ReadDir("testdata/bad")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) < 40 {
		t.Errorf("only %d bad policies", len(entries))
	}
	for _, entry := range entries {
		t.Run(entry.Name(), func(t *testing.T) {
			dir := filepath.Join("testdata/bad", entry.Name())
			isRefused(t, dir, world())
		})
	}
}

// isRefused compiles a policy and compares every fault with the directory's want.txt.
func isRefused(t *testing.T, dir string, settings policy.World) {
	t.Helper()
	compiled, problems := policyfile.Compile(read(t, dir), settings)
	if compiled != nil || len(problems) == 0 {
		t.Fatal("the policy compiled")
	}
	for _, p := range problems {
		if p.Message == "" || !strings.HasPrefix(p.File, dir) {
			t.Errorf("a problem that says too little: %+v", p)
		}
	}
	got, file := problems.Error()+"\n", filepath.Join(dir, "want.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// The order of documents and files never matters to what a policy is.
func TestDigestOfPolicyIgnoresLayout(t *testing.T) {
	compiled, problems := policyfile.Compile(read(t, "testdata/good"), world())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var all []string
	for _, name := range []string{"iam/access.yml", "endpoint/baseline.yaml", "governance.yaml"} {
		text, err := os.ReadFile(filepath.Join("testdata/good", name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	dir := t.TempDir()
	write(t, dir, "one.yaml", strings.Join(all, "---\n"))
	again, problems := policyfile.Compile(read(t, dir), world())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if compiled.Digest() != again.Digest() {
		t.Error("one file and three files are different policies")
	}
}

func TestManyFaultsAreCut(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c", "d"} {
		write(t, dir, name+".yaml", strings.Repeat("---\nkind: Tier\n", 400))
	}
	start := time.Now()
	_, problems := policyfile.Compile(read(t, dir), world())
	if len(problems) != 1001 || !strings.HasSuffix(problems.Error(), "mend these first") && problems[1000].Line != 0 {
		t.Errorf("%d problems", len(problems))
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// FuzzCompileSaysWhy: any bytes either compile, or are refused with problems that all have a message and a place in the
// file; there is never both, never neither.
func FuzzCompileSaysWhy(f *testing.F) {
	seeds, _ := filepath.Glob("testdata/bad/*/policy.yaml")
	good, _ := filepath.Glob("testdata/good/*/*")
	for _, seed := range append(seeds, good...) {
		text, err := os.ReadFile(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		write(t, dir, "policy.yaml", string(text))
		compiled, problems := policyfile.Compile(read(t, dir), world())
		if (compiled == nil) != (len(problems) > 0) {
			t.Fatalf("policy %v with problems %v", compiled, problems)
		}
		lines := strings.Count(string(text), "\n") + 1
		for _, p := range problems {
			if p.Message == "" || p.Line > lines || p.Line > 0 && p.Col < 1 {
				t.Errorf("a problem without a message or place: %+v", p)
			}
		}
	})
}
