package strictyaml

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Document is one YAML document of a file, with the place of everything in it.
type Document struct {
	// Title names the document in messages about its own fields, for instance "Tier" or "the settings".
	Title string
	// Unknown may explain a field that the Go type does not have. The default names the nearest field.
	Unknown func(path, field string) (message, help string, ok bool)

	source  *source
	root    *yaml.Node
	refused bool
}

// place is a node with the key it stands under; key is nil for the root and for items of a list.
type place struct{ key, value *yaml.Node }

// Position is where the document's content begins.
func (d *Document) Position() Position {
	return Position{File: d.source.name, Line: d.root.Line, Col: d.root.Column}
}

// Has reports whether a field is written. Paths are as Problem has them: spec.require[1], spec.teams["a.b"].contact.
func (d *Document) Has(path string) bool {
	_, exact := d.find(path)
	return exact
}

// Text is the text of a scalar field, "" if it is absent or no scalar.
func (d *Document) Text(path string) string {
	at, exact := d.find(path)
	if n := followed(at.value); exact && n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return ""
}

// At is the place of a field: a scalar's value, the key of a list or mapping. If the field is absent it is the nearest
// parent that is written.
func (d *Document) At(path string) Position {
	at, exact := d.find(path)
	n := at.node(exact)
	return Position{File: d.source.name, Line: n.Line, Col: n.Column}
}

// Problem is a fault at a field.
func (d *Document) Problem(path, message, help string) Problem {
	pos := d.At(path)
	return d.source.problem(pos.Line, pos.Col, path, message, help)
}

// ProblemInside is a fault inside a scalar: offset counts the characters of its value, whatever quotes, escapes, folds or
// indentation its source has. Without such a scalar it is a fault at the field.
func (d *Document) ProblemInside(path string, offset int, message, help string) Problem {
	at, exact := d.find(path)
	n := followed(at.value)
	if !exact || offset <= 0 || n.Kind != yaml.ScalarNode {
		return d.Problem(path, message, help)
	}
	line, col := d.source.inside(n, offset)
	return d.source.problem(line, col, path, message, help)
}

// node is where a place is shown.
func (p place) node(exact bool) *yaml.Node {
	scalar := p.value.Kind == yaml.ScalarNode && p.value.Tag != "!!null" || p.value.Kind == yaml.AliasNode
	if p.key == nil || exact && scalar {
		return p.value
	}
	return p.key
}

// followed is what an alias stands for; checkTree has refused cycles.
func followed(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// find walks a path as far as it is written and says whether that was all of it.
func (d *Document) find(path string) (at place, exact bool) {
	at = place{value: d.root}
	for rest := path; rest != ""; {
		n := followed(at.value)
		next, after, ok := place{}, "", false
		switch n.Kind {
		case yaml.MappingNode:
			next, after, ok = member(n, rest)
		case yaml.SequenceNode:
			next, after, ok = item(n, rest)
		}
		if !ok {
			return at, false
		}
		at, rest = next, after
	}
	return at, true
}

// member finds the field that a path begins with. Names may hold dots, so the longest name that fits is meant.
func member(n *yaml.Node, path string) (found place, rest string, ok bool) {
	quoted, after, isQuoted := quotedName(path)
	plain := strings.TrimPrefix(path, ".")
	best := -1
	for key, value := range members(n) {
		switch {
		case key.Kind != yaml.ScalarNode:
		case isQuoted && key.Value == quoted:
			return place{key, value}, after, true
		case len(key.Value) > best && strings.HasPrefix(plain, key.Value) && endsName(plain[len(key.Value):]):
			found, rest, ok, best = place{key, value}, plain[len(key.Value):], true, len(key.Value)
		}
	}
	return found, rest, ok
}

func endsName(rest string) bool { return rest == "" || rest[0] == '.' || rest[0] == '[' }

// quotedName reads the ["na.me"] that a path may begin with.
func quotedName(path string) (text, rest string, ok bool) {
	inner, bracket := strings.CutPrefix(path, "[")
	quoted, err := strconv.QuotedPrefix(inner)
	if !bracket || err != nil || !strings.HasPrefix(inner[len(quoted):], "]") {
		return "", "", false
	}
	text, err = strconv.Unquote(quoted)
	return text, inner[len(quoted)+1:], err == nil
}

func item(n *yaml.Node, path string) (found place, rest string, ok bool) {
	digits, rest, closed := strings.Cut(strings.TrimPrefix(path, "["), "]")
	i, err := strconv.Atoi(digits)
	if !closed || path[0] != '[' || err != nil || i < 0 || i >= len(n.Content) {
		return place{}, "", false
	}
	return place{value: n.Content[i]}, rest, true
}

// Empty reports whether a list or mapping is written at a path and holds nothing.
func (d *Document) Empty(path string) bool {
	at, exact := d.find(path)
	n := followed(at.value)
	return exact && (n.Kind == yaml.SequenceNode || n.Kind == yaml.MappingNode) && len(n.Content) == 0
}
