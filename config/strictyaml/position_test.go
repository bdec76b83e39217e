package strictyaml_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/config/strictyaml"
)

func parseOne(t interface{ Fatal(args ...any) }, text string) *strictyaml.Document {
	documents, problems := strictyaml.Parse("f.yaml", []byte(text))
	if len(problems) > 0 || len(documents) != 1 {
		t.Fatal(fmt.Sprintf("%d documents, %v, of %q", len(documents), problems, text))
	}
	return documents[0]
}

func TestAt(t *testing.T) {
	d := parseOne(t, `# first
spec:
  require: [a, b]
  deny:
    - signal: x
    - y
  teams:
    a.b: {contact: c}
    a: {contact: d}
    "odd\"[0].x": {contact: e}
  none:
  other: &o
    k: v
  again: *o
`)
	tests := []struct{ path, want string }{
		{"", "2:1"},
		{"spec", "2:1"},
		{"spec.require", "3:3"},
		{"spec.require[1]", "3:16"},
		{"spec.require[2]", "3:3"},
		{"spec.require[1].x", "3:16"},
		{"spec.require[-1]", "3:3"},
		{"spec.require.a", "3:3"},
		{"spec.deny[0]", "5:7"},
		{"spec.deny[0].signal", "5:15"},
		{"spec.deny[0].onUnknown", "5:7"},
		{"spec.teams.a.b.contact", "8:20"},
		{`spec.teams["a.b"].contact`, "8:20"},
		{"spec.teams.a.contact", "9:18"},
		{`spec.teams["odd\"[0].x"].contact`, "10:29"},
		{"spec.none", "11:3"},
		{"spec.absent.deeper[3]", "2:1"},
		{"spec.again", "14:10"},
		{"spec.again.k", "13:8"},
		{"metadata.name", "2:1"},
	}
	for _, tt := range tests {
		if got := strings.TrimPrefix(d.At(tt.path).String(), "f.yaml:"); got != tt.want {
			t.Errorf("At(%q) is %s, want %s", tt.path, got, tt.want)
		}
	}
	if !d.Has("spec.none") || d.Has("spec.nothing") || d.Text("spec.deny[1]") != "y" || d.Text("spec.deny") != "" ||
		d.Text("spec.nothing") != "" || d.Text("spec.again.k") != "v" {
		t.Error("Has or Text is wrong")
	}
}

// inside is where the first character X of the value of "k" stands in the source.
func TestProblemInside(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"plain", "k: ab X\n", "1:7"},
		{"plain, first", "k: Xb\n", "1:4"},
		{"plain over lines", "k: ab\n\n   é\n  cX\n", "4:4"},
		{"single quotes", "k: 'it''s X'\n", "1:11"},
		{"single quotes over lines", "k: 'it''s\n\n  a X'\n", "3:5"},
		{"double quotes", `k: "a\n\t\"\x41\u00e9\U0001F600\x20X"` + "\n", "1:36"},
		{"double quotes over lines", "k: \"a \\\n    b\\\n   \\  X\"\n", "3:7"},
		{"literal", "k: |\n  ab\n   X\n", "3:4"},
		{"literal with a header", "k: |2- # note\n    ab\n\n  éX\n", "4:4"},
		{"folded", "k: >-\n  ab\n  cd\n\n    e X\n", "5:7"},
		{"anchored", "k: &anchor |\n  aX\n", "2:4"},
		{"anchored quotes", "k: &anchor  'aX'\n", "1:15"},
		{"alias", "a: &x \"a  X\"\nk: *x\n", "1:11"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := parseOne(t, tt.text)
			value := d.Text("k")
			if value == "" {
				value = d.Text("a")
			}
			offset := utf8.RuneCountInString(value[:strings.IndexByte(value, 'X')])
			p := d.ProblemInside("k", offset, "here", "")
			if offset == 0 {
				p = d.Problem("k", "here", "")
			}
			if got := fmt.Sprintf("%d:%d", p.Line, p.Col); got != tt.want {
				t.Errorf("offset %d of %q is at %s, want %s", offset, value, got, tt.want)
			}
		})
	}
	d := parseOne(t, "k: ab  # note\nl: \"\"\nm: [a]\n")
	for at, want := range map[int]string{2: "1:6", 99: "1:6", -5: "1:4"} {
		if p := d.ProblemInside("k", at, "", ""); fmt.Sprintf("%d:%d", p.Line, p.Col) != want {
			t.Errorf("offset %d is at %s, want %s", at, p.Position, want)
		}
	}
	for path, want := range map[string]string{"l": "2:5", "m": "3:1", "n": "1:1"} {
		if p := d.ProblemInside(path, 1, "", ""); fmt.Sprintf("%d:%d", p.Line, p.Col) != want {
			t.Errorf("inside %s is at %s, want %s", path, p.Position, want)
		}
	}
}

// Every visible character of a value is found where it stands, whatever style it is written in.
func TestInsideFindsEveryCharacter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-zé'"\\]{1,5}`), 1, 6).Draw(t, "words")
		value := strings.Join(words, " ")
		breaks := strings.Join(words, rapid.SampledFrom([]string{" ", "\n   ", "\n\n    "}).Draw(t, "break"))
		escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
		text := rapid.SampledFrom([]string{
			"k: '" + strings.ReplaceAll(breaks, "'", "''") + "'\n",
			"k: \"" + escape.Replace(breaks) + "\"\n",
			"k: >\n  " + strings.ReplaceAll(value, " ", "\n  ") + "\n",
			"k: |\n  " + value + "\n",
			"k: x" + breaks + "\n",
		}).Draw(t, "text")
		d := parseOne(t, text)
		lines := strings.Split(text, "\n")
		for i, r := range []rune(d.Text("k")) {
			if r == ' ' || r == '\n' {
				continue
			}
			p := d.ProblemInside("k", i, "", "")
			there := []rune(lines[p.Line-1])[p.Col-1]
			if i > 0 && there != r && there != '\\' {
				t.Fatalf("character %d %q of %q is not at %s", i, r, text, p.Position)
			}
		}
	})
}

// FuzzDecodeEndsQuickly: no bytes make reading panic or hang, every problem stands inside the file, and reading twice
// says the same.
func FuzzDecodeEndsQuickly(f *testing.F) {
	f.Add("name: x\nlist: [a]\n---\nleaf: {text: |\n a\n}")
	f.Add("a: &a [*a]\n<<: *a\n? {}\n: !!int 'x'\nage: 1d\ncount: 010")
	f.Add("k: \"\\x\n\\\n\"\n\tname: @\n%YAML\n...\nx")
	f.Add("leaves: {\"a\\\"].b\": {text: '''x'}, 1: 2}\nnested: &n {x: {name: *n}}")
	f.Fuzz(func(t *testing.T, text string) {
		_, problems := decodeAll(text)
		lines := strings.Count(text, "\n") + 1
		for _, p := range problems {
			if p.Line < 0 || p.Line > lines || p.Message == "" || p.Line > 0 && p.Col < 1 {
				t.Errorf("a problem without a place: %+v", p)
			}
		}
		shown := problems.Error()
		if strings.ContainsFunc(shown, func(r rune) bool { return r < 0x20 && r != '\n' && r != '\t' || r == 0x7f }) {
			t.Errorf("control bytes reach the terminal: %q", shown)
		}
		if _, again := decodeAll(text); again.Error() != shown {
			t.Error("a second reading says something else")
		}
		documents, _ := strictyaml.Parse("f.yaml", []byte(text))
		for _, d := range documents {
			for _, path := range []string{"k", "name", "leaf.text", "list[0]"} {
				d.ProblemInside(path, len(text)/2, "", "")
			}
		}
	})
}

func TestParseDuration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, d := rapid.IntRange(0, 99).Draw(t, "w"), rapid.IntRange(0, 99).Draw(t, "d")
		m, ms := rapid.IntRange(0, 99).Draw(t, "m"), rapid.IntRange(0, 99).Draw(t, "ms")
		got, err := strictyaml.ParseDuration(fmt.Sprintf("%dw%dd%dm%dms", w, d, m, ms))
		want := (int64(w*7+d)*24*60+int64(m))*60_000 + int64(ms)
		if err != nil || got.Milliseconds() != want {
			t.Fatalf("%v %v, want %d ms", got, err, want)
		}
	})
	for _, bad := range []string{"", "1", "h", "1H", "1 h", "+1h", "-1h", "1h1h", "1m1h", "1ms1s", "1us", "1y", "٣h",
		"9999999999h", "101w1w", "5300w", "1e3h", "1h "} {
		if d, err := strictyaml.ParseDuration(bad); err == nil {
			t.Errorf("%q is read as %v", bad, d)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"require", "denyUnless", "advise", "identify"}
	for word, want := range map[string]string{
		"requires": "require", "denyunless": "denyUnless", "deny": "", "adivse": "advise", "Identify": "identify",
		"x": "", strings.Repeat("require", 9): "",
	} {
		if got, _ := strictyaml.Nearest(word, names); got != want {
			t.Errorf("Nearest(%q) is %q, want %q", word, got, want)
		}
	}
}
