package stage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDraft: a draft is a copy in which only the edits differ, and nothing of it counts before it is applied.
func TestDraft(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	const file, other = "access/tiers.yaml", "access/routes.yaml"
	before, beforeOther := read(t, s.Path("policy", file)), read(t, s.Path("policy", other))
	edit := Edit{file, "advise: [firewall-on]", "advise: []"}
	dir, err := s.Draft(edit, Edit{other, "path: /beta/**", "path: /gamma/**"})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(before, edit.Old, edit.New, 1)
	if got := read(t, filepath.Join(dir, file)); got != want || read(t, s.Path("policy", file)) != before {
		t.Errorf("the draft is\n%s", got)
	}
	if err := s.Apply(file); err != nil {
		t.Fatal(err)
	}
	if read(t, s.Path("policy", file)) != want || read(t, s.Path("policy", other)) != beforeOther {
		t.Error("another file than the one that was named is in force")
	}
	if err := s.Apply("nowhere.yaml"); err == nil {
		t.Error("a file that is not in the draft was applied")
	}
	for _, wrong := range []Edit{{file, "nowhere in it", "x"}, {file, "tiergate.dev", "x"}, {"nowhere.yaml", "a", "b"}} {
		if _, err := s.Draft(wrong); err == nil {
			t.Errorf("%+v was drafted", wrong)
		}
	}
	if _, err := s.Draft(); err != nil {
		t.Error("no second draft: ", err)
	}
	portal, contractors := s.Upstreams()
	if text := read(t, s.Path("policy", "upstreams.yaml")); !strings.Contains(text, `["`+portal+`"]`) ||
		!strings.Contains(text, `["`+contractors+`"]`) {
		t.Errorf("%s and %s are not in\n%s", portal, contractors, text)
	}
}

// TestEvidence: decisions are recorded where it is asked for, and the product reads it so.
func TestEvidence(t *testing.T) {
	s, err := New(Options{Store: StoreEmbedded, Evidence: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := loadSettings(t, s).Evidence.File; got != s.Path("evidence", "decisions.jsonl") {
		t.Errorf("records go to %q", got)
	}
	if got := loadSettings(t, newStage(t, StoreEmbedded)).Evidence.File; got != "" {
		t.Errorf("records that nobody asked for go to %q", got)
	}
}

// TestDiffAndProveVerbs: what the verbs say is read, and a proof that contradicts itself is an error.
func TestDiffAndProveVerbs(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	s.binaries.Tiergate = filepath.Join(t.TempDir(), "tiergate")
	script := func(text string) {
		if err := os.WriteFile(s.binaries.Tiergate, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	asked := func(args string) string { return `test "$*" = "` + args + `" || exit 9; ` }
	script(asked("policy diff "+s.Path("policy")+" new --since 1d --config "+s.Settings()+" -o json") +
		`echo '{"direction":"loosens","decisions":{"judged":3}}'`)
	if d, err := s.Diff(t.Context(), "new"); err != nil || d.Direction != "loosens" || d.Decisions.Judged != 3 {
		t.Errorf("%+v %v", d, err)
	}
	script(asked("policy prove "+s.Path("policy")+" --config "+s.Settings()+" -o json --envoy unix:"+s.Path("run", "envoy-admin.sock")) +
		`echo '{"isolated":true}'`)
	if p, err := s.Prove(t.Context(), ""); err != nil || !p.Isolated || p.CasesPass {
		t.Errorf("%+v %v", p, err)
	}
	leak := `{"isolated":false,"counterexamples":[{"kind":"shared","case":"cases: []"},{"kind":"open"}]}`
	cases := s.Path("draft", "counterexamples")
	for _, test := range []string{"0", "1"} {
		script(`if test $2 = test; then test "$*" = "policy test new --cases ` + cases + ` --config ` + s.Settings() +
			`" || exit 9; test "$(cat ` + cases + `/1.yaml)" = "cases: []" || exit 9; exit ` + test + "; fi; echo '" + leak + "'; exit 1")
		if p, err := s.Prove(t.Context(), "new"); err != nil || p.Isolated || len(p.Counterexamples) != 2 || p.CasesPass != (test == "0") {
			t.Errorf("%+v %v", p, err)
		}
	}
	for text, hint := range map[string]string{
		`echo '{"isolated":true}'; exit 1`:  "exit status says no: true",
		`echo '{"isolated":false}'; exit 1`: "with 0 counterexamples",
		`echo '` + leak + `'`:               "exit status says no: false",
		`echo proved`:                       "no JSON",
		`echo fault >&2; exit 1`:            "fault",
	} {
		script(text)
		if p, err := s.Prove(t.Context(), "new"); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%s: %+v, %v", text, p, err)
		}
	}
	script("echo changed; exit 0")
	if d, err := s.Diff(t.Context(), "new"); err == nil {
		t.Errorf("%+v", d)
	}
}
