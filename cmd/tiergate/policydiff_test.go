package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policydiff"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/config/policyfile"
)

// diffed runs `policy diff` and decodes its answer.
func diffed(t *testing.T, args ...string) (report diffReport, status int, said string) {
	t.Helper()
	var out, stderr bytes.Buffer
	status = run(t.Context(), append([]string{"policy", "diff", "-o", "json"}, args...), &out, &stderr)
	if out.Len() > 0 {
		var read struct {
			Direction policydiff.Direction
			Changes   []policydiff.Change
		}
		if err := json.Unmarshal(out.Bytes(), &read); err != nil {
			t.Fatal(err)
		}
		report.Direction, report.Changes = read.Direction, read.Changes
	}
	return report, status, stderr.String()
}

// TestDiffAgainstACommit: OLD as it was in a commit, with the work tree as NEW; what no commit has is said.
func TestDiffAgainstACommit(t *testing.T) {
	t.Parallel()
	repo := t.TempDir()
	dir := filepath.Join(repo, "policy")
	if err := os.CopyFS(dir, os.DirFS("../../examples/ingress/policy")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "."},
		{"-c", "user.name=a", "-c", "user.email=a@acme.example", "commit", "-q", "-m", "first"}} {
		git := exec.CommandContext(t.Context(), "git", args...)
		git.Dir = repo
		if out, err := git.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	if report, status, said := diffed(t, "git:main:"+dir, dir); status != exitFine || len(report.Changes) != 0 {
		t.Fatalf("%d %s %+v", status, said, report)
	}
	tiers := filepath.Join(dir, "access", "tiers.yaml")
	text, err := os.ReadFile(tiers)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("grace: {offline: 8h,"), []byte("grace: {offline: 9h,"), 1)
	if err := os.WriteFile(tiers, text, 0o600); err != nil {
		t.Fatal(err)
	}
	report, status, _ := diffed(t, "git:main:"+dir, dir, "--fail-on", "loosen")
	if status != exitNo || len(report.Changes) != 1 || report.Changes[0].Text != "tier internal gives a silent device 9h of grace instead of 8h" {
		t.Errorf("%d %+v", status, report)
	}
	for name, want := range map[string]string{"git:nothing:" + dir: "nothing is no commit", "git:main:" + repo + "/none": "cannot be found",
		"git:main:" + repo + "/.git": ""} {
		if _, status, said := diffed(t, name, dir); status != exitNo || !strings.Contains(said, want) {
			t.Errorf("%s: %d %q", name, status, said)
		}
	}
}

// TestDiffAgainstAKeptPolicy: a digest names what `serve` kept, and one that was tampered with is not compared.
func TestDiffAgainstAKeptPolicy(t *testing.T) {
	t.Parallel()
	const dir = "../../examples/ingress/policy"
	files, err := policyfile.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	compiled, problems := policyfile.Compile(files, policy.World{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	kept := filepath.Join(t.TempDir(), "kept")
	k, err := openHistory(config.PolicyHistory{Dir: kept, Keep: 3}, machineDisk(), historyEvents{Failed: func(err error) { t.Error(err) },
		Damaged: func(string, error) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	if err := k.add(files, keptMeta{Digest: compiled.Digest(), LoadedAt: diffNoon, By: byStart}); err != nil {
		t.Fatal(err)
	}
	o := &policyDiff{settings: &config.Settings{Policy: config.Policy{History: config.PolicyHistory{Dir: kept}}}, world: policy.World{}}
	got, err := o.policyOf(context.Background(), compiled.Digest()[:20])
	if err != nil || got.Digest() != compiled.Digest() {
		t.Fatalf("%v", err)
	}
	entry := filepath.Join(kept, nameOf(compiled.Digest()), "policy", "governance.yaml")
	if err := os.WriteFile(entry, []byte("# mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := o.policyOf(context.Background(), compiled.Digest()); err == nil || !strings.Contains(err.Error(), "not those that were kept") {
		t.Errorf("%v", err)
	}
	if _, err := o.policyOf(context.Background(), "sha256:00000000"); err == nil || !strings.Contains(err.Error(), "policy.history.dir is") {
		t.Errorf("%v", err)
	}
}

// TestSinceReadsRotatedFiles: the file of the settings and the older ones beside it, the oldest first, and no others.
func TestSinceReadsRotatedFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "decisions.jsonl")
	settings := &config.Settings{Evidence: config.Evidence{File: file}}
	read := func() (*policydiff.Report, []string, []string) {
		run := &decisionsRun{judge: exampleBeforeAndAfter(t), blast: policydiff.NewBlast(10), bar: newBar(&bytes.Buffer{})}
		if err := run.read(t.Context(), nil, settings); err != nil {
			t.Fatal(err)
		}
		return run.blast.Report(), run.names, run.notes
	}
	if r, _, notes := read(); r.Judged != 0 || len(notes) != 1 || !strings.Contains(notes[0], "there is no record yet") {
		t.Errorf("%d %q", r.Judged, notes)
	}
	line := recordedLines(t, 1)[0]
	for _, name := range []string{"", ".20261121T100000.000000000Z", ".20261120T100000.000000000Z", ".lock", ".torn", "-other"} {
		if err := os.WriteFile(file+name, line, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, names, _ := read()
	if r.Judged != 3 || len(names) != 3 || !strings.HasSuffix(names[0], "1120T100000.000000000Z") || names[2] != file {
		t.Errorf("%d of %q", r.Judged, names)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	run := &decisionsRun{judge: exampleBeforeAndAfter(t), blast: policydiff.NewBlast(10), bar: newBar(&bytes.Buffer{})}
	if err := run.read(cancelled, nil, settings); err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("a cancelled run: %v", err)
	}
}

func TestBarText(t *testing.T) {
	t.Parallel()
	if got := barText(512, 50, 100); got != "["+strings.Repeat("=", 15)+strings.Repeat(" ", 15)+"]  50%  512 decisions judged" {
		t.Errorf("%q", got)
	}
	if got := barText(512, 300, 100); !strings.Contains(got, "] 100%") { // a file that grows
		t.Errorf("%q", got)
	}
	if got := barText(1, 3<<20, -1); got != "1 decisions judged, 3 MiB read" {
		t.Errorf("%q", got)
	}
}
