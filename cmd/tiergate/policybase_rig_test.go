package main

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// policyRepository is a git repository with a policy of four teams in it, tagged base.
type policyRepository struct {
	*testing.T
	root string
}

// The policy: Governance is boss's, tiers are ana's and Cho's (iam), the baseline is emma's (endpoint), shared.yaml
// holds documents of iam and of pia's team (payroll).
var policyAtBase = map[string]string{
	"CODEOWNERS": `* @acme/platform
/policy/iam/            @acme/iam
/policy/endpoint/       @acme/endpoint
/policy/shared.yaml     @acme/iam @acme/Payroll
/policy/governance.yaml boss@acme.example
/CODEOWNERS             boss@acme.example @acme/platform
`,
	"policy/governance.yaml": `apiVersion: tiergate.dev/v1alpha1
kind: Governance
metadata: {name: acme}
spec:
  accountable: {name: Head of Identity Posture, contact: posture@acme.example}
  teams:
    iam:
      contact: iam@acme.example
      members: [ana@acme.example, Cho@acme.example]
      codeOwners: ["@acme/iam"]
    endpoint: {contact: endpoint@acme.example, members: [emma@acme.example], codeOwners: ["@acme/endpoint"]}
    payroll: {contact: payroll@acme.example, members: [pia@acme.example], codeOwners: ["@acme/payroll"]}
    platform: {contact: platform@acme.example, members: [pat@acme.example], codeOwners: ["@acme/platform"]}
`,
	"policy/endpoint/baseline.yaml": `apiVersion: tiergate.dev/v1alpha1
kind: Baseline
metadata: {name: laptops, owner: endpoint}
spec:
  platforms: [macos]
  signals:
    disk-encrypted: {expr: device.disk_encryption, maxAge: 26h, fix: {text: Turn it on.}}
    not-compromised: {expr: "!device.compromised", maxAge: 26h, fix: {text: Hand it in.}}
`,
	"policy/iam/tiers.yaml": `apiVersion: tiergate.dev/v1alpha1
kind: Tier
metadata: {name: internal, owner: iam}
spec:
  identify: user+device
  require: [disk-encrypted]
  denyUnless: [not-compromised]
`,
	"policy/iam/routes.yaml": `apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: app, owner: iam}
spec: {hosts: [app.acme.example], path: /**, tier: internal, audiences: [employees], upstream: app}
`,
	"policy/shared.yaml": `apiVersion: tiergate.dev/v1alpha1
kind: Audience
metadata: {name: employees, owner: iam}
spec: {members: [{issuer: corp, group: staff}]}
---
apiVersion: tiergate.dev/v1alpha1
kind: Upstream
metadata: {name: app, owner: payroll}
spec: {endpoints: ["127.0.0.1:9001"], spiffeID: spiffe://acme.example/app}
`,
}

const tiersFile = "policy/iam/tiers.yaml"

// moreOf is one more document, without a fault of its own.
func moreOf(team string) string {
	return "---\napiVersion: tiergate.dev/v1alpha1\nkind: Route\nmetadata: {name: more, owner: " + team + "}\n" +
		"spec: {hosts: [more.acme.example], path: /**, tier: internal, audiences: [employees], upstream: app}\n"
}

// newPolicyRepository makes the repository; files may replace those of policyAtBase, or with "" leave them out.
func newPolicyRepository(t *testing.T, files map[string]string) *policyRepository {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "GIT_") {
			t.Setenv(name, "") // for cleaning up
			os.Unsetenv(name)
		}
	}
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &policyRepository{T: t, root: root}
	if len(files) == 0 {
		plainOnce.Do(func() { plain = newPolicyRepository(t, policyAtBase).copied() })
		plain(t, root)
		return r
	}
	r.git("init", "-q", "-b", "main", "--template=", ".")
	for _, from := range []map[string]string{policyAtBase, files} {
		for name, text := range from {
			if other, ok := files[name]; ok {
				text = other
			}
			if text != "" {
				r.write(name, text)
			}
		}
	}
	r.commit("boss")
	r.git("tag", "base")
	return r
}

// plain writes the repository of policyAtBase, which most cases begin with: that is ten times as fast as making it.
var (
	plainOnce sync.Once
	plain     func(t *testing.T, root string)
)

// copied keeps the repository in memory.
func (r *policyRepository) copied() func(t *testing.T, root string) {
	r.Helper()
	files := map[string][]byte{}
	if err := filepath.WalkDir(r.root, func(file string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[strings.TrimPrefix(file, r.root)], err = os.ReadFile(file)
		return err
	}); err != nil {
		r.Fatal(err)
	}
	return func(t *testing.T, root string) {
		t.Helper()
		for name, data := range files {
			file := filepath.Join(root, name)
			err := os.MkdirAll(filepath.Dir(file), 0o700)
			if err = cmp.Or(err, os.WriteFile(file, data, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (r *policyRepository) path(name string) string {
	return filepath.Join(r.root, filepath.FromSlash(name))
}

// git runs git in the repository and returns what it prints.
func (r *policyRepository) git(args ...string) string {
	r.Helper()
	return r.gitWith("", args...)
}

// gitWith runs git with something on its standard input.
func (r *policyRepository) gitWith(input string, args ...string) string {
	r.Helper()
	who := []string{"-c", "user.name=A", "-c", "user.email=nobody@acme.example", "-c", "gc.auto=0"}
	c := exec.CommandContext(r.Context(), "git", append(who, args...)...)
	c.Dir, c.Stdin = r.root, strings.NewReader(input)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		r.Fatalf("git %v: %v\n%s", args, err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

func (r *policyRepository) write(name, text string) {
	r.Helper()
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o700); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(r.path(name), []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
}

func (r *policyRepository) text(name string) string {
	r.Helper()
	data, err := os.ReadFile(r.path(name))
	if err != nil {
		r.Fatal(err)
	}
	return string(data)
}

// replace changes a file, which must hold the old text.
func (r *policyRepository) replace(name, old, with string) {
	r.Helper()
	text := r.text(name)
	if !strings.Contains(text, old) {
		r.Fatalf("%s does not hold %q", name, old)
	}
	r.write(name, strings.ReplaceAll(text, old, with))
}

// commit commits everything; whom is an author or "author/committer", each @acme.example.
func (r *policyRepository) commit(whom string) {
	r.Helper()
	author, committer, two := strings.Cut(whom, "/")
	if !two {
		committer = author
	}
	r.git("add", "-A")
	r.git("-c", "user.email="+committer+"@acme.example", "commit", "-q", "--allow-empty", "-m", "change",
		"--author", "A <"+author+"@acme.example>")
}

// check runs `policy check` with a base, and with more flags.
func (r *policyRepository) check(flags ...string) (status int, stdout, stderr string) {
	r.Helper()
	return r.checkDir(r.path("policy"), append([]string{"--base", "base"}, flags...)...)
}

func (r *policyRepository) checkDir(dir string, flags ...string) (status int, stdout, stderr string) {
	r.Helper()
	var out, errs bytes.Buffer
	status = run(context.WithoutCancel(r.Context()), append([]string{"policy", "check", dir}, flags...), &out, &errs)
	shown := strings.NewReplacer(r.root+"/", "", r.root, "ROOT")
	return status, shown.Replace(out.String()), shown.Replace(errs.String())
}

// fine wants no fault, and a text in the output.
func (r *policyRepository) fine(want string, flags ...string) {
	r.Helper()
	status, stdout, stderr := r.check(flags...)
	if status != exitFine || !strings.Contains(stdout, want) || stderr != "" {
		r.Errorf("status %d, want %q\n%s%s", status, want, stdout, stderr)
	}
}

// refused wants just these faults, each by the first line that is printed of it, in order.
func (r *policyRepository) refused(want []string, flags ...string) {
	r.Helper()
	status, stdout, stderr := r.check(flags...)
	var got []string
	for block := range strings.SplitSeq(strings.TrimSpace(stderr), "\n\n") {
		first, _, _ := strings.Cut(block, "\n")
		if !strings.HasSuffix(first, " fault") && !strings.HasSuffix(first, " faults") {
			got = append(got, commitIDs.ReplaceAllString(first, "ID"))
		}
	}
	if status != exitNo || stdout != "" || strings.Join(got, "\n") != strings.Join(want, "\n") {
		r.Errorf("status %d, got\n%s\nwant\n%s\n%s%s", status, strings.Join(got, "\n"), strings.Join(want, "\n"),
			stdout, stderr)
	}
}
