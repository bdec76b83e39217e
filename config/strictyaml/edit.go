package strictyaml

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Change is a piece of a file's text and what is to stand in its place. Lines and columns count from 1, columns in
// characters, as in Position; the place that To names is no longer part of the piece.
type Change struct {
	Line, Col     int
	ToLine, ToCol int
	Text          string
}

// ErrNotEditable says that a value is written in a way that cannot be changed without touching something else.
var ErrNotEditable = errors.New("it holds an anchor, an alias or text of several lines; edit it by hand")

// Field is a field of a mapping as it is to be written: its name, and its value as flow YAML on one line.
type Field struct{ Name, Value string }

// Replace puts a value, written as flow YAML on one line, in the place of the one at a path. Nothing else of the file
// changes.
func (d *Document) Replace(path, value string) (Change, error) {
	at, err := d.editable(path)
	if err != nil {
		return Change{}, err
	}
	line, col, err := d.source.endOf(at.value)
	change := Change{Line: at.value.Line, Col: at.value.Column, ToLine: line, ToCol: col, Text: value}
	if isBlock(at.value) { // it begins on a line of its own; a flow value follows its key
		if at.key == nil || at.key.Style != 0 {
			return Change{}, ErrNotEditable
		}
		change.Line, change.Col = at.key.Line, at.key.Column+len([]rune(at.key.Value))+1
		change.Text = " " + value
	}
	return change, err
}

// ReplaceList is Replace for a list: one that is written item by item stays so, and an item that stays keeps what stands
// behind it on its line.
func (d *Document) ReplaceList(path string, items []string) (Change, error) {
	at, err := d.editable(path)
	if err != nil {
		return Change{}, err
	}
	n := at.value
	if n.Kind != yaml.SequenceNode || !isBlock(n) || len(items) == 0 {
		return d.Replace(path, "["+strings.Join(items, ", ")+"]")
	}
	behind := map[string]string{}
	for _, item := range n.Content {
		line, col, err := d.source.endOf(item)
		if err != nil || line != item.Line {
			return Change{}, ErrNotEditable
		}
		text := []rune(d.source.lines[line-1])
		behind[string(text[item.Column-1:col-1])] = string(text[col-1:])
	}
	indent := strings.Repeat(" ", n.Column-1)
	lines := make([]string, 0, len(items))
	for _, item := range items {
		lines = append(lines, indent+"- "+item+behind[item])
	}
	last := n.Content[len(n.Content)-1]
	end := len([]rune(d.source.lines[last.Line-1])) + 1
	return Change{Line: n.Line, Col: 1, ToLine: last.Line, ToCol: end, Text: strings.Join(lines, "\n")}, nil
}

// Add writes fields behind the last one of the mapping at a path, in its layout.
func (d *Document) Add(path string, fields []Field) (Change, error) {
	at, err := d.editable(path)
	if err != nil {
		return Change{}, err
	}
	n := at.value
	if n.Kind != yaml.MappingNode {
		return Change{}, ErrNotEditable
	}
	texts := make([]string, 0, len(fields))
	for _, f := range fields {
		texts = append(texts, f.Name+": "+f.Value)
	}
	line, col, err := d.source.endOf(n)
	if err != nil {
		return Change{}, err
	}
	if isBlock(n) {
		end := len([]rune(d.source.lines[line-1])) + 1 // behind a comment
		indent := "\n" + strings.Repeat(" ", n.Column-1)
		return Change{Line: line, Col: end, ToLine: line, ToCol: end, Text: indent + strings.Join(texts, indent)}, nil
	}
	text := strings.Join(texts, ", ")
	from := Change{Line: line, Col: col - 1} // the closing bracket
	if len(n.Content) > 0 {
		if from.Line, from.Col, err = d.source.endOf(n.Content[len(n.Content)-1]); err != nil {
			return Change{}, err
		}
		text = ", " + text
	}
	return Change{Line: from.Line, Col: from.Col, ToLine: from.Line, ToCol: from.Col, Text: text}, nil
}

// Apply makes the changes in the text that the document was read from. Changes must not overlap.
func Apply(data []byte, changes []Change) []byte {
	bom := []byte("\uFEFF")
	text, marked := bytes.CutPrefix(data, bom)
	lineEnd := "\n"
	if bytes.Contains(text, []byte("\r\n")) {
		lineEnd = "\r\n"
	}
	starts := []int{0}
	for i, b := range text {
		if b == '\n' {
			starts = append(starts, i+1)
		}
	}
	offset := func(line, col int) int {
		at := starts[line-1]
		for ; col > 1; col-- {
			at += len(string([]rune(string(text[at:min(at+4, len(text))]))[0]))
		}
		return at
	}
	sorted := slices.SortedFunc(slices.Values(changes), func(a, b Change) int {
		return offset(b.Line, b.Col) - offset(a.Line, a.Col)
	})
	out := slices.Clone(text)
	for _, c := range sorted {
		put := []byte(strings.ReplaceAll(c.Text, "\n", lineEnd))
		out = slices.Concat(out[:offset(c.Line, c.Col)], put, out[offset(c.ToLine, c.ToCol):])
	}
	if marked {
		out = append(bom, out...)
	}
	return out
}

// editable finds a value that belongs to this place alone.
func (d *Document) editable(path string) (place, error) {
	at, exact := d.find(path)
	if !exact {
		return place{}, errors.New("there is no field " + path)
	}
	for parent := path; parent != ""; parent = parentOf(parent) {
		if above, ok := d.find(parent); ok && (above.value.Kind == yaml.AliasNode || above.value.Anchor != "") {
			return place{}, ErrNotEditable
		}
	}
	if anchored(at.value) {
		return place{}, ErrNotEditable
	}
	return at, nil
}

func parentOf(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

func anchored(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || n.Anchor != "" || slices.ContainsFunc(n.Content, anchored)
}

// isBlock reports a list or mapping that is written line by line.
func isBlock(n *yaml.Node) bool {
	return (n.Kind == yaml.SequenceNode || n.Kind == yaml.MappingNode) && n.Style&yaml.FlowStyle == 0
}

// endOf is the place right behind a value.
func (s *source) endOf(n *yaml.Node) (line, col int, err error) {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return 0, 0, ErrNotEditable
	case isBlock(n) && len(n.Content) > 0:
		return s.endOf(n.Content[len(n.Content)-1])
	case n.Kind != yaml.ScalarNode:
		return s.endOfFlow(n)
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return 0, 0, ErrNotEditable
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		return s.endOfQuoted(n)
	}
	text := []rune(s.lines[n.Line-1])[n.Column-1:]
	if !strings.HasPrefix(string(text), n.Value) {
		return 0, 0, ErrNotEditable
	}
	return n.Line, n.Column + len([]rune(n.Value)), nil
}

// endOfFlow is behind the bracket that closes a list or mapping: the first one behind its last value, comments left out.
func (s *source) endOfFlow(n *yaml.Node) (line, col int, err error) {
	line, col = n.Line, n.Column+1
	if len(n.Content) > 0 {
		if line, col, err = s.endOf(n.Content[len(n.Content)-1]); err != nil {
			return 0, 0, err
		}
	}
	for ; line <= len(s.lines); line, col = line+1, 1 {
		text := []rune(s.lines[line-1])
		for i := col - 1; i < len(text) && text[i] != '#'; i++ {
			if text[i] == ']' || text[i] == '}' {
				return line, i + 2, nil
			}
		}
	}
	return 0, 0, ErrNotEditable
}

// endOfQuoted is behind the closing quote; a text of several lines is left to people.
func (s *source) endOfQuoted(n *yaml.Node) (line, col int, err error) {
	c := s.startOf(n)
	quote := '"'
	if n.Style&yaml.SingleQuotedStyle != 0 {
		quote = '\''
	}
	for c.line == n.Line && c.peek(0) != 0 {
		if c.peek(0) == quote && (quote == '"' || c.peek(1) != '\'') {
			return c.line, c.col + 1, nil
		}
		c.next()
	}
	return 0, 0, ErrNotEditable
}
