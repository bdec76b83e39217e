package strictyaml

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// describe says what is written, for "this is …".
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	}
	switch n.Tag {
	case "!!int", "!!float":
		return "the number " + shorten(n.Value)
	case "!!bool":
		return "the bool " + shorten(n.Value)
	case "!!null":
		return "nothing"
	}
	return fmt.Sprintf("the text %q", shorten(n.Value))
}

// shorten keeps a message readable whatever somebody wrote.
func shorten(text string) string {
	const most = 60
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most]) + "…"
}

// example shows how a missing field could look.
func example(t reflect.Type) string {
	switch {
	case t == durationType:
		return "26h"
	case t == reflect.TypeFor[time.Time]():
		return "2026-11-20T08:00:00Z"
	case t.Kind() == reflect.Slice:
		return "[…]"
	case t.Kind() == reflect.Bool:
		return "true"
	case t.Kind() == reflect.String:
		return "TEXT"
	case isText(t):
		return "TEXT"
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Map, t.Kind() == reflect.Pointer:
		return "and its fields below it"
	}
	return "NUMBER"
}

// isText reports a type that is written as text alone: it reads itself and has no fields of ours.
func isText(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return false
	}
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("yaml") != "" {
			return false
		}
	}
	return true
}

// Nearest finds the candidate that a misspelt word was most likely meant to be: at most one edit per three characters.
// ok is false if none is near enough.
func Nearest(word string, candidates []string) (nearest string, ok bool) {
	const longest = 40
	if len(word) > longest {
		return "", false
	}
	best := max(1, len(word)/3) + 1
	for _, candidate := range candidates {
		if d := distance(word, candidate); d < best {
			nearest, best, ok = candidate, d, true
		}
	}
	return nearest, ok
}

// distance counts insertions, deletions, replacements and swaps of neighbours (optimal string alignment) between two
// words, without regard to case.
func distance(a, b string) int {
	x, y := []rune(strings.ToLower(a)), []rune(strings.ToLower(b))
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range y {
		rows[0][j+1] = j + 1
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}
