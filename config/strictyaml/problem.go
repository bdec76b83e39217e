package strictyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Position is a place in a file. Line and Col count from 1, Col in characters; Line 0 is the file as a whole.
type Position struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`
}

func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Compare orders by file, line and column.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Col, q.Col))
}

// Problem is one fault in what was written.
type Problem struct {
	Position
	Path    string `json:"path,omitempty"` // the field, for instance spec.require[1]; empty: the document
	Message string `json:"message"`        // what is wrong
	Help    string `json:"help,omitempty"` // what to do about it
	Source  string `json:"source,omitempty"`
	// caret counts the characters of Source before the place. It differs from Col-1 where Source is cut.
	caret int
}

// String is the problem as a person reads it: place and message, the source line with a caret, and what to do.
//
//	policy/tiers.yaml:12:3: unknown field "requires" in Tier spec
//	   12 |   requires: [disk-encrypted]
//	      |   ^
//	   did you mean "require"?
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(printable(p.Position.String() + ": " + p.Message))
	if p.Line > 0 {
		fmt.Fprintf(&b, "\n%5d | %s\n      | %s^", p.Line, p.Source, indentLike(p.Source, p.caret))
	}
	if p.Help != "" {
		b.WriteString("\n   " + printable(p.Help))
	}
	return b.String()
}

// printable replaces what a terminal would act on: names and values of the file stand in messages.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// Error makes one problem an error of its own.
func (p Problem) Error() string { return p.String() }

// indentLike is as wide as the first n characters of the line; tabs stay tabs so that the caret stands right.
func indentLike(line string, n int) string {
	var b strings.Builder
	for _, r := range line {
		if n--; n < 0 {
			break
		}
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	for ; n > 0; n-- {
		b.WriteByte(' ')
	}
	return b.String()
}

// Problems are all faults of one run. An empty Problems is no error: return it through Err.
type Problems []Problem

// Err is nil if there are no problems, else the problems.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Error prints every problem, sorted by place, a blank line between two.
func (ps Problems) Error() string {
	var texts []string
	for _, p := range ps.Sorted() {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, "\n\n")
}

// Sorted returns the problems by place, each once.
func (ps Problems) Sorted() Problems {
	sorted := slices.Clone(ps)
	slices.SortStableFunc(sorted, func(a, b Problem) int {
		return cmp.Or(a.Compare(b.Position), cmp.Compare(a.Message, b.Message), cmp.Compare(a.Help, b.Help))
	})
	return slices.CompactFunc(sorted, func(a, b Problem) bool {
		return a.Position == b.Position && a.Message == b.Message && a.Help == b.Help
	})
}
