package strictyaml_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/config/strictyaml"
)

func TestLimits(t *testing.T) {
	bomb := "name: x\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 9; i++ {
		p := fmt.Sprintf("*a%d", i-1)
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.Join([]string{p, p, p, p, p, p, p, p, p, p}, ", "))
	}
	deepAliases := "a0: &a0 [x]\n"
	for i := 1; i < 80; i++ {
		deepAliases += fmt.Sprintf("a%d: &a%d [*a%d]\n", i, i, i-1)
	}
	tests := []struct{ name, text, want string }{
		{"1 MiB", "name: " + strings.Repeat("x", strictyaml.MaxFileBytes), "f.yaml: the file is larger than 1048576 bytes"},
		{"alias bomb", bomb, "f.yaml:1:1: aliases add more than 10000 nodes"},
		{"brackets", "list: " + strings.Repeat("[", 20000), "f.yaml:1:71: nested deeper than 64 levels"},
		{"dashes", strings.Repeat("- ", 20000), "f.yaml:1:129: nested deeper than 64 levels"},
		{"deep aliases", deepAliases, "f.yaml:1:1: nested deeper than 64 levels"},
		{"documents", strings.Repeat("---\na: b\n", 1001), "f.yaml: the file has more than 1000 documents or faults"},
		{"problems", strings.Repeat("- ~\n", 400000/4), "f.yaml:1:1: the document wants a mapping, this is a list"},
		{"faults", "name: x\nlist: [" + strings.Repeat("~,", 100000) + "]", "more than 100 faults in this document"},
		{"unknown fields", unknownFields(20000), "more than 100 faults in this document"},
		{"null fields", "name: x\nleaves:\n" + nullFields(20000), "more than 100 faults in this document"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			_, problems := decodeAll(tt.text)
			if text := problems.Error(); !strings.Contains(text, tt.want) {
				t.Errorf("want %q, got %.2000s", tt.want, text)
			}
			if len(problems) > 205 {
				t.Errorf("%d problems", len(problems))
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func unknownFields(n int) string {
	var b strings.Builder
	b.WriteString("name: x\n")
	for i := range n {
		fmt.Fprintf(&b, "f%d: x\n", i)
	}
	return b.String()
}

func nullFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  f%d:\n", i)
	}
	return b.String()
}

func TestLongLineIsCutAroundTheCaret(t *testing.T) {
	_, problems := decodeAll("name: " + strings.Repeat("é", 300) + "\nlist: [" + strings.Repeat("abc, ", 100) + "~]\n")
	if len(problems) != 1 {
		t.Fatal(problems)
	}
	lines := strings.Split(problems.Error(), "\n")
	caret := strings.IndexByte(lines[2], '^')
	if source := []rune(lines[1]); len(source) > 140 || source[caret] != '~' {
		t.Errorf("the caret does not stand under the fault:\n%s", problems)
	}
}

// TestTextThatIsAStruct: a type that reads itself from text has no fields to be written one by one.
func TestTextThatIsAStruct(t *testing.T) {
	for text, want := range map[string]string{
		"at: 2026-11-20T08:00:00Z": "",
		"at: {year: 2026}":         "wants text",
		"at: [2026]":               "wants text",
		"{}":                       `write at: 2026-11-20T08:00:00Z`,
	} {
		documents, problems := strictyaml.Parse("x.yaml", []byte(text))
		if len(problems) > 0 || len(documents) != 1 {
			t.Fatal(problems)
		}
		var into struct {
			At time.Time `yaml:"at"`
		}
		problems = documents[0].Decode("", &into)
		if (want == "") != (len(problems) == 0) || want != "" && !strings.Contains(problems.Error(), want) {
			t.Errorf("%s: %v", text, problems)
		}
	}
}
