package answers

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is said now as what should be said")

// reasons are those of package policy, read from its source; but for the two that refuse nobody.
func reasons(t *testing.T) (all []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "policy", "verdict.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Reason") && len(spec.Values) == 1 {
			if word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value); err == nil && word != "" && word != "allowed" {
				all = append(all, word)
			}
		}
		return true
	})
	if len(all) < 20 {
		t.Fatalf("only %d reasons were found", len(all))
	}
	return all
}

// TestEveryLanguageSaysEverything: each reason has its own sentence in each language, and the README lists it.
func TestEveryLanguageSaysEverything(t *testing.T) {
	t.Parallel()
	all := reasons(t)
	if got := len(english.Reasons); got != len(all) {
		t.Errorf("English has %d reasons, there are %d", got, len(all))
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for tag, language := range BuiltIn().languages {
		if missing := language.texts.missing(); len(missing) > 0 {
			t.Errorf("%s does not say %v", tag, missing)
		}
		said := map[string]string{}
		for _, reason := range all {
			text, ok := language.texts.Reasons[reason]
			if !ok || !strings.HasSuffix(text.Detail, ".") {
				t.Errorf("%s says %+v for %s", tag, text, reason)
			}
			if other, taken := said[text.Detail]; taken {
				t.Errorf("%s says the same for %s and %s", tag, reason, other)
			}
			said[text.Detail] = reason
			if tag != fallback && text == english.Reasons[reason] {
				t.Errorf("%s says %s in English", tag, reason)
			}
			if strings.Count(string(readme), "| `"+reason+"` |") != 1 {
				t.Errorf("README.md does not list %s once", reason)
			}
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"": "en", "de": "de", "DE-at": "de", "de-CH-1996": "de", "en-GB, de": "en", "en;q=0.5, de": "de", "fr, de;q=0.2": "de",
		"de;q=0": "en", "de;q=0, en": "en", "*": "en", "de;q=2": "en", "de;q=": "en", "fr": "en", "de;q=0.001": "de", ",,de": "de", "d": "en",
		"de;q=0.8, en;q=0.8": "de", strings.Repeat("fr,", maxRanges) + "de": "en", strings.Repeat("x", maxBytes) + ",de": "en", "-": "en",
	} {
		if got := BuiltIn().Choose(header).Tag; got != want {
			t.Errorf("%.40q chooses %s, want %s", header, got, want)
		}
	}
}

func TestPrefersPage(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/html": true, "TEXT/HTML": true, "text/*": true, "text/html;q=0": false, "application/json": false,
		"text/html, application/json": false, "text/html, application/json;q=0.9": true, "text/html;q=0.8, application/json;q=0.9": false,
		"text/html, */*": false, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true, "text/html;q=0.9, application/problem+json": false,
		"text/html;q=0.9, application/*": false, "text/*, text/html;q=0": false, "text/html; charset=utf-8 ; Q=0.5": true, "text/html;q=1.001": false,
		"text/html;q=0.0001": false, "text/html;q=.5": false, "text/html;q=1.000": true, "text/html;q=0.50x": false, ";": false, "text/htmlx": false,
		strings.Repeat("a/b,", 300) + "text/html": false,
	} {
		if got := PrefersPage(accept); got != want {
			t.Errorf("%.60q: %t, want %t", accept, got, want)
		}
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOwnTexts: single texts over built-in ones, and a language of one's own.
func TestOwnTexts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "en.yaml", "reasons:\n  posture: {title: Mend your laptop}\nstatuses: {\"403\": Ask Ana}\npage: {todo: Do this}\n")
	german, err := embedded.ReadFile("languages/de.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "de-ch.yaml", strings.ReplaceAll(string(german), "direction: ltr", "direction: rtl"))
	write(t, dir, ".en.yaml.swp", "no catalogue")
	c, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	en := c.Choose("en")
	if got := en.Reason("posture"); got.Title != "Mend your laptop" || got.Detail != english.Reasons["posture"].Detail {
		t.Errorf("%+v", got)
	}
	if en.Status(403) != "Ask Ana" || en.Status(401) != english.Statuses["401"] || en.Status(418) != "I'm a teapot" {
		t.Error("the titles of statuses")
	}
	if page, err := en.HTML(Page{Title: "T", Unmet: []Demand{{Signal: "s"}}}); err != nil || !strings.Contains(page, "Do this") {
		t.Error(page, err)
	}
	if page, err := c.Choose("de-CH").HTML(Page{}); err != nil || !strings.Contains(page, `<html lang="de-ch" dir="rtl">`) {
		t.Error(page, err)
	}
	if en.Reason("made-up") != en.Reason("internal") || c.Choose("de").Tag != "de" {
		t.Error("what is not in a catalogue of one's own")
	}
	if BuiltIn().Choose("en").Reason("posture").Title != english.Reasons["posture"].Title {
		t.Error("the built-in texts were changed")
	}
}

// TestWrongTexts compares every fault: where, what, and what to do.
func TestWrongTexts(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"strangers": {"en.yaml": "reasons:\n  postures: {title: x}\n  a.b: {title: x}\nstatuses: {\"404\": x}\npages: {}\n"},
		"texts":     {"de.yaml": "page:\n  direction: up\n  todo: \"a\\nb\"\nreasons:\n  posture: {detail: " + strings.Repeat("x", 501) + "}\n"},
		"several":   {"en.yaml": "a: [\n", "notes.txt": "x", "EN.yaml": "x", "fr.yaml": "page: {todo: Faire}\n", "de.yaml": "page: {todo: a}\n---\npage: {todo: b}\n"},
	} {
		dir := t.TempDir()
		for file, text := range files {
			write(t, dir, file, text)
		}
		c, err := Load(dir)
		if c != nil || err == nil {
			t.Fatalf("%s: loaded", name)
		}
		golden(t, "wrong-"+name+".txt", strings.ReplaceAll(err.Error(), dir, "DIR")+"\n")
	}
	if _, err := Load(filepath.Join(t.TempDir(), "nowhere")); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Error(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "fr.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("a directory is no catalogue")
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("%s: %v; got\n%s", name, err, got)
	}
}

// FuzzNegotiate: nothing that a client sends breaks the choice, and it is one of those that there are.
func FuzzNegotiate(f *testing.F) {
	f.Add("text/html;q=0.5, */*;q=0.1", "de-AT;q=0.1, *")
	f.Fuzz(func(t *testing.T, accept, language string) {
		PrefersPage(accept)
		if tag := BuiltIn().Choose(language).Tag; !slices.Contains([]string{"en", "de"}, tag) {
			t.Fatal(tag)
		}
	})
}
