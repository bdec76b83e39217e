package xds

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"
)

// What is written reads as what it was.
func TestWrittenYAMLReadsBack(t *testing.T) {
	t.Parallel()
	words := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"yes", "No", "NULL", "~", "", " a", "a ", "1e3", "0x1", "1_0", "- a", "a: b", "a #b", "{", "[", "&a", "*a", "!a",
		"%a", "@a", "`a", "a\nb", "\"", "'", "=", "<<", "2001-01-01", "1:20", ".inf",
		"\u0085", "\u2028", "\ufeff", "\a\v\x7f", "ü", "😀", "<&>", "0o7", "---", "...",
	}))
	leaf := rapid.OneOf(rapid.Map(words, func(s string) any { return s }), rapid.Just[any](true), rapid.Just[any](false),
		rapid.Map(rapid.IntRange(-1<<31, 1<<31), func(n int) any { return n }))
	var node func(depth int) *rapid.Generator[any]
	node = func(depth int) *rapid.Generator[any] {
		if depth == 0 {
			return leaf
		}
		below := node(depth - 1)
		return rapid.OneOf(leaf,
			rapid.Map(rapid.SliceOfN(below, 0, 3), func(l []any) any { return append([]any{}, l...) }),
			rapid.Map(rapid.MapOfN(words, below, 0, 3), func(m map[string]any) any { return m }))
	}
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]any{"document": node(3).Draw(t, "value")}
		text := writeYAML(want)
		var got map[string]any
		if err := yaml.Load(text, &got); err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n%s", diff, text)
		}
	})
}
