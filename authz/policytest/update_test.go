package policytest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tiergate/tiergate/authz/policytest"
)

// updated writes cases, updates them by the ingress example, and returns the file, what was said, and the error.
func updated(t *testing.T, text string) (file, said string, err error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	cases, err := policytest.Load(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	p := compile(t, "../../examples/ingress/policy")
	results, err := policytest.Run(p, cases)
	if err != nil {
		t.Fatal(err)
	}
	wrote, err := policytest.Update(p, results)
	var lines []string
	for _, w := range wrote {
		lines = append(lines, w.Name+" "+w.Field+": "+w.Is+w.Fault)
	}
	raw, readErr := os.ReadFile(name)
	if info, statErr := os.Stat(name); readErr != nil || statErr != nil || info.Mode().Perm() != 0o640 {
		t.Fatal(readErr, statErr, info.Mode())
	}
	return string(raw), strings.Join(lines, "\n"), err
}

const laptop = `# One laptop.
people:
  ana: {issuer: corp, name: ana@acme.example, groups: [staff]}   # staff

devices:
  laptop: {name: "serial:C02A", facts: [{source: m, attributes: {platform: macos, disk_encryption: false, edr_healthy: true, compromised: false, firewall: false}}]}
defaults: {request: GET app.acme.example/, who: ana on laptop}
cases:
`

// TestUpdateWritesAnswersAlone: in every layout of an expectation, and nothing else changes.
func TestUpdateWritesAnswersAlone(t *testing.T) {
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/update.txtar")
	if err != nil || len(archive.Files) < 30 {
		t.Fatal(len(archive.Files), err)
	}
	for i := 0; i < len(archive.Files); i += 2 {
		name, before, after := archive.Files[i].Name, string(archive.Files[i].Data), string(archive.Files[i+1].Data)
		file, said, err := updated(t, laptop+before)
		if err != nil || file != laptop+after {
			t.Errorf("%s: %v\n%s\nis\n%s\nnot\n%s", name, err, said, strings.TrimPrefix(file, laptop), after)
		}
		windows := func(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }
		if file, _, err := updated(t, windows(laptop+before)); err != nil || file != windows(laptop+after) {
			t.Errorf("%s, with CRLF: %v\n%q", name, err, file)
		}
	}
}

// TestUpdateLeavesAlone what it cannot write, as a whole, and says why; the rest of the file is written.
func TestUpdateLeavesAlone(t *testing.T) {
	t.Parallel()
	const before = laptop + `  - {name: a, expect: &e {outcome: allow, reason: allowed}}
  - {name: b, expect: *e}
  - {name: c, expect: {outcome: allow, detail: [no such words]}}
  - {name: d, expect: {outcome: allow}}
  - {name: e, expect: {outcome: deny, explanation: [no such words]}}
`
	file, said, err := updated(t, before)
	if want := strings.Replace(before, "name: d, expect: {outcome: allow}", "name: d, expect: {outcome: deny}", 1); err != nil || file != want {
		t.Errorf("%v\n%s", err, file)
	}
	for _, want := range []string{`a outcome: outcome: it holds an anchor`, `b reason: outcome: it holds an anchor`, `c outcome: detail is written by people`,
		`(?m)^d outcome: "deny"$`, `e explanation: explanation is written by people`} {
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("nobody says %s:\n%s", want, said)
		}
	}
}

// TestUpdateMeetsSomebodyElse: a file that changed since it was read is nobody's to overwrite.
func TestUpdateMeetsSomebodyElse(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "x.yaml")
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(laptop + "  - {name: x, expect: allow}\n")
	cases, err := policytest.Load(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	p := compile(t, "../../examples/ingress/policy")
	results, err := policytest.Run(p, cases)
	if err != nil {
		t.Fatal(err)
	}
	write("# mine\n")
	if _, err := policytest.Update(p, results); err == nil || !strings.Contains(err.Error(), "somebody else has changed it meanwhile") {
		t.Error(err)
	}
	if raw, _ := os.ReadFile(name); string(raw) != "# mine\n" {
		t.Errorf("%s", raw)
	}
	if entries, _ := os.ReadDir(filepath.Dir(name)); len(entries) != 1 {
		t.Errorf("%v is left over", entries)
	}
}
