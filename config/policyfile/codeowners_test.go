package policyfile_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/config/policyfile"
)

// ownedBy says which of some paths one pattern covers.
func ownedBy(t testing.TB, pattern string, paths ...string) []string {
	t.Helper()
	c, problems := policyfile.ParseCodeOwners("CODEOWNERS", "", []byte(pattern+" @x\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var covered []string
	for _, path := range paths {
		if _, line := c.Owners(path); line > 0 {
			covered = append(covered, path)
		}
	}
	return covered
}

// TestPatternsOfCodeOwners: the examples of GitHub's documentation, and the corners.
func TestPatternsOfCodeOwners(t *testing.T) {
	paths := []string{"a.js", "docs/a.md", "docs/b/a.js", "x/docs/a.md", "apps/a", "x/apps/a", "build/logs/a",
		"x/build/logs/a",
		"logs", "x/logs/a/b", "docs", "docs b/a", "Docs/a.md"}
	for pattern, want := range map[string][]string{
		"*":     paths,
		"**":    paths,
		"/**":   paths,
		"**/*":  paths,
		"*.js":  {"a.js", "docs/b/a.js"},
		"/*.js": {"a.js"},
		"/*":    {"a.js", "logs", "docs"},
		"*/": {"docs/a.md", "docs/b/a.js", "x/docs/a.md", "apps/a", "x/apps/a", "build/logs/a", "x/build/logs/a",
			"x/logs/a/b", "docs b/a", "Docs/a.md"},
		"docs":         {"docs/a.md", "docs/b/a.js", "x/docs/a.md", "docs"},
		"docs/":        {"docs/a.md", "docs/b/a.js", "x/docs/a.md"},
		"/docs":        {"docs/a.md", "docs/b/a.js", "docs"},
		"/docs/":       {"docs/a.md", "docs/b/a.js"},
		"docs/*":       {"docs/a.md"}, // and not what lies deeper: GitHub says so
		"docs/**":      {"docs/a.md", "docs/b/a.js"},
		"docs/*.js":    nil,
		"docs/**/*.js": {"docs/b/a.js"},
		"/build/logs/": {"build/logs/a"},
		"build/logs":   {"build/logs/a"},
		"**/logs":      {"build/logs/a", "x/build/logs/a", "logs", "x/logs/a/b"},
		"**/logs/":     {"build/logs/a", "x/build/logs/a", "x/logs/a/b"},
		"x/**/logs":    {"x/build/logs/a", "x/logs/a/b"},
		"x/**/a":       {"x/apps/a", "x/build/logs/a", "x/logs/a/b"},
		`docs\ b/`:     {"docs b/a"},
		"d?cs":         {"docs/a.md", "docs/b/a.js", "x/docs/a.md", "docs"},
		"d*s":          {"docs/a.md", "docs/b/a.js", "x/docs/a.md", "docs"},
		`d\ocs/a.md`:   {"docs/a.md"},
		`\*`:           nil,
		"a":            {"apps/a", "x/apps/a", "build/logs/a", "x/build/logs/a", "x/logs/a/b", "docs b/a"},
	} {
		if diff := cmp.Diff(want, ownedBy(t, pattern, paths...)); diff != "" {
			t.Errorf("%s: %s", pattern, diff)
		}
	}
}

// TestPatternsAsGitIgnores: made-up patterns cover just what the same lines of a .gitignore do, but for a final /*.
func TestPatternsAsGitIgnores(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(from []string, n int) string {
		var parts []string
		for range n {
			parts = append(parts, from[r.IntN(len(from))])
		}
		return strings.Join(parts, "/")
	}
	names, parts := []string{"a", "b", "ab", "a.b", "c"}, []string{"a", "b", "*", "**", "a*", "?", "*b", "a.?", "ab"}
	dir := t.TempDir()
	git := func(stdin string, args ...string) string {
		c := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...)
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
			"GIT_DIR="+filepath.Join(dir, ".git"))
		c.Stdin = strings.NewReader(stdin)
		out, err := c.Output()
		if err != nil && (args[0] != "check-ignore" || c.ProcessState.ExitCode() != 1) {
			t.Fatal(args, err)
		}
		return string(out)
	}
	git("", "init", "-q")
	covered := 0
	for range 150 {
		pattern := pick(parts, 1+r.IntN(4))
		if strings.HasSuffix("/"+pattern, "/*") && pattern != "*" {
			pattern += "a" // what GitHub reads in another way
		}
		pattern = []string{"", "/"}[r.IntN(2)] + pattern + []string{"", "", "/"}[r.IntN(3)]
		if strings.Trim(pattern, "*/") == "" {
			continue // git has ** stand for any directory, but treats rows of it alone in ways of its own
		}
		var paths []string
		for range 40 {
			paths = append(paths, pick(names, 1+r.IntN(4)))
		}
		if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte(pattern+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		want := strings.Fields(git(strings.Join(paths, "\n"), "check-ignore", "--no-index", "--stdin"))
		got := ownedBy(t, pattern, paths...)
		covered += len(got)
		if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
			t.Errorf("%s: %s", pattern, diff)
		}
	}
	if covered < 500 {
		t.Errorf("only %d paths were covered, so little was compared", covered)
	}
}

// TestLinesOfCodeOwners: the last line that covers a file decides, and a line that a forge leaves out covers nothing.
func TestLinesOfCodeOwners(t *testing.T) {
	text := "\uFEFF# comment\r\n" +
		"* @all\r\n" +
		"/a @org/team a.b+c@acme.example @nested/group/team # and more\n" +
		"\n   \n" +
		"/b\n" +
		"!/a @x\n/a[bc] @x\n\\#a @x\n/a/***/b @x\n/ @x\n//a @x\n/a\\ \n/a\\\n/a x\n/a @\n/a @a@b\n/a a@b@c\n/a \xff\n" +
		"/c @team# @x\n"
	c, problems := policyfile.ParseCodeOwners("CODEOWNERS", "", []byte(text))
	var said []string
	for _, p := range problems {
		said = append(said, fmt.Sprintf("%d %s", p.Line, p.Message))
	}
	const out = ", so a forge leaves this line out"
	want := []string{"7 a pattern cannot be negated with !" + out, "8 a pattern cannot hold a range in [ ]" + out,
		`9 a pattern cannot begin with \#` + out, "10 a pattern cannot hold three * in a row" + out,
		"11 / alone covers nothing" + out, "12 a pattern with // covers nothing" + out,
		`14 a \ has nothing to take as it is` + out, `15 "x" is no owner` + out, `16 "@" is no owner` + out,
		`17 "@a@b" is no owner` + out, `18 "a@b@c" is no owner` + out, "19 the line is not UTF-8" + out,
		`20 "@team#" is no owner` + out}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	for path, want := range map[string]string{
		"a":   "[@org/team a.b+c@acme.example @nested/group/team] 3",
		"a/b": "[@org/team a.b+c@acme.example @nested/group/team] 3",
		"b":   "[] 6", "c": "[@all] 2", "a ": "[] 13",
	} {
		owners, line := c.Owners(path)
		if got := fmt.Sprint(owners, line); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
	got := problems[0].String()
	if got != "CODEOWNERS:7:1: "+strings.TrimPrefix(want[0], "7 ")+"\n    7 | !/a @x\n      | ^\n"+
		"   give the files to others in a later line" {
		t.Error(got)
	}
	if owners, line := (&policyfile.CodeOwners{}).Owners("a"); owners != nil || line != 0 {
		t.Error("an empty file covers something")
	}
	below, _ := policyfile.ParseCodeOwners("CODEOWNERS", "policy", []byte("/a @x\n"))
	for path, want := range map[string]int{"policy/a": 1, "a": 0, "policy": 0, "policya": 0, "policy/b": 0,
		"x/policy/a": 0} {
		if _, line := below.Owners(path); line != want {
			t.Errorf("%s: line %d, want %d", path, line, want)
		}
	}
}

func TestCodeOwnersIsBounded(t *testing.T) {
	large := strings.Repeat("* @x\n", policyfile.MaxCodeOwnersBytes/5+1)
	c, problems := policyfile.ParseCodeOwners("CODEOWNERS", "", []byte(large))
	_, line := c.Owners("a")
	if line != 0 || len(problems) != 1 || !strings.Contains(problems[0].Message, "a forge ignores all of it") {
		t.Errorf("line %d, %v", line, problems)
	}
	start := time.Now()
	stars := strings.Repeat("**/*a*/", 300) + "b"
	path := strings.Repeat("aaaaaaaaaaaaaaaa/", 300) + "c"
	if got := ownedBy(t, stars, path); got != nil {
		t.Error("covered")
	}
	if got := ownedBy(t, strings.Repeat("*a", 2_000)+"b", strings.Repeat("a", 20_000)); got != nil {
		t.Error("covered")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// FuzzCodeOwners: any bytes are read without a panic, each line is either said to be left out or counts, and what
// covers a file names a line that exists.
func FuzzCodeOwners(f *testing.F) {
	f.Add("* @a\n/b/ b@c\n", "b/c")
	f.Add("!x\n\\\n[\n/\n", "")
	f.Add("**/a/**\n", "/a//")
	f.Fuzz(func(t *testing.T, text, path string) {
		c, problems := policyfile.ParseCodeOwners("CODEOWNERS", "", []byte(text))
		lines := strings.Count(text, "\n") + 1
		left := map[int]bool{}
		for _, p := range problems {
			left[p.Line] = true
			if p.Message == "" || p.Help == "" || p.Line < 1 || p.Line > lines {
				t.Errorf("%+v", p)
			}
		}
		if _, line := c.Owners(path); line < 0 || line > lines || left[line] {
			t.Errorf("line %d", line)
		}
	})
}

func TestEmailAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"ana@acme.example": true, "1+ana@users.noreply.github.com": true, "ana[bot]@x": true, "änä@ünï": true,
		"": false, "ana": false, "@": false, "a@": false, "@b": false, "a@b@c": false, "a b@c": false, "a@b\n": false,
		"<a@b>": false, "a@b,c": false, "a@b\u00a0": false, "a@\xff": false, strings.Repeat("a", 254) + "@b": false,
	} {
		if policyfile.IsEmail(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}
