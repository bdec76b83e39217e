package strictyaml_test

import (
	"testing"

	"github.com/tiergate/tiergate/config/strictyaml"
)

// TestDigestIsOfWhatIsSaid: layout does not matter, everything else does.
func TestDigestIsOfWhatIsSaid(t *testing.T) {
	digest := func(text string) [32]byte {
		t.Helper()
		documents, problems := strictyaml.Parse("a.yaml", []byte(text))
		if len(problems) > 0 || len(documents) != 1 {
			t.Fatal(len(documents), problems)
		}
		return documents[0].Digest()
	}
	const text = "a: {b: [x, y], c: 1}\nd: |\n  t\n"
	for _, same := range []string{
		"d: \"t\\n\"\na:\n  c: 1 # one\n  b:\n  - 'x'\n  - \"y\"\n",
		"# new\r\na:   {c: 1, b: [  x, y ]}\r\nd: |\r\n  t\r\n",
		"a: {b: [&x x, y], c: 1}\nd: |+\n  t\n",
	} {
		if digest(same) != digest(text) {
			t.Errorf("another digest:\n%s", same)
		}
	}
	if digest("a: &v [x]\nb: *v\n") != digest("a: [x]\nb: [x]\n") {
		t.Error("an alias is not what it stands for")
	}
	seen := map[[32]byte]string{digest(text): text}
	for _, other := range []string{
		"a: {b: [y, x], c: 1}\nd: |\n  t\n", "a: {b: [x, y], c: '1'}\nd: |\n  t\n", "a: {b: [x, y], c: 1}\nd: t\n",
		"a: {b: [x, y]}\nc: 1\nd: |\n  t\n", "a: {b: [x, y], c: 1}\n", "a: {b: [xy], c: 1}\nd: |\n  t\n",
		"a: {b: [[x], y], c: 1}\nd: |\n  t\n", "a: {b: {x: y}, c: 1}\nd: |\n  t\n", "[]", "{}",
		"''", "null", "true", "'true'",
		"[a, b]", "[[a, b]]", "[[a], b]", "a: b", "['value 5 !!str 1 b', x]", "[x, 'value 5 !!str 1 b']",
	} {
		sum := digest(other)
		if before, ok := seen[sum]; ok {
			t.Errorf("one digest:\n%s\n%s", before, other)
		}
		seen[sum] = other
	}
}
