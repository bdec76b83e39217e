package strictyaml

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxAliasNodes bounds the nodes that aliases add to a document; an alias bomb passes it at once.
const maxAliasNodes = 10_000

// extent is what a node comes to once its aliases are followed.
type extent struct{ nodes, levels int }

// treeCheck finds what is wrong with a document whatever type it is meant for.
type treeCheck struct {
	document *Document
	path     []string
	extents  map[*yaml.Node]extent // of anchored nodes
	open     map[*yaml.Node]bool   // anchored nodes that are being walked
	written  int
	cyclic   bool
	problems Problems
}

// checkTree refuses merge keys, explicit tags, keys that are no text, repeated keys, and aliases that refer to themselves
// or blow the document up. The last two make the document unusable.
func (d *Document) checkTree() Problems {
	c := &treeCheck{document: d, extents: map[*yaml.Node]extent{}, open: map[*yaml.Node]bool{}}
	whole := c.walk(d.root)
	switch {
	case c.cyclic:
		d.refused = true
	case whole.nodes-c.written > maxAliasNodes:
		c.fault(d.root, fmt.Sprintf("aliases add more than %d nodes", maxAliasNodes), "write the values out")
		d.refused = true
	case whole.levels > maxDepth:
		c.fault(d.root, fmt.Sprintf("nested deeper than %d levels", maxDepth), "flatten it")
		d.refused = true
	}
	return c.problems
}

func (c *treeCheck) fault(n *yaml.Node, message, help string) {
	if len(c.problems) < maxProblems {
		path := ""
		for _, step := range c.path {
			path += step
		}
		path = strings.TrimPrefix(path, ".")
		c.problems = append(c.problems, c.document.source.problem(n.Line, n.Column, path, message, help))
	}
}

func (c *treeCheck) walk(n *yaml.Node) extent {
	if n.Kind == yaml.AliasNode {
		if c.open[n.Alias] {
			c.cyclic = true
			c.fault(n, fmt.Sprintf("alias *%s refers to a value that holds it", n.Value), "write the value out")
			return extent{1, 1}
		}
		return c.extents[n.Alias]
	}
	if n.Style&yaml.TaggedStyle != 0 {
		help := "remove the tag; put the value in quotes if it is text"
		if !strings.HasPrefix(n.Tag, "!!") {
			help = "put text that begins with ! in quotes"
		}
		c.fault(n, fmt.Sprintf("explicit tag %s", n.Tag), help)
	}
	if n.Anchor != "" {
		c.open[n] = true
	}
	c.written++
	whole := extent{1, 1}
	if n.Kind == yaml.MappingNode {
		c.walkMapping(n, &whole)
	} else {
		for i, item := range n.Content {
			c.child("["+strconv.Itoa(i)+"]", item, &whole)
		}
	}
	if n.Anchor != "" {
		delete(c.open, n)
		c.extents[n] = whole
	}
	return whole
}

func (c *treeCheck) child(step string, n *yaml.Node, whole *extent) {
	c.path = append(c.path, step)
	below := c.walk(n)
	c.path = c.path[:len(c.path)-1]
	// Saturates: a bomb would overflow.
	whole.nodes = min(whole.nodes+below.nodes, 1<<40)
	whole.levels = max(whole.levels, below.levels+1)
}

func (c *treeCheck) walkMapping(n *yaml.Node, whole *extent) {
	first := map[string]int{}
	for key, value := range members(n) {
		c.written++
		whole.nodes++
		switch {
		case key.Tag == "!!merge":
			c.fault(key, "merge keys (<<) are not read", "write the fields out")
		case key.Kind != yaml.ScalarNode:
			c.fault(key, "a list, mapping or alias where the name of a field is wanted", "write a plain name")
		case first[key.Value] > 0:
			c.fault(key, fmt.Sprintf("field %q is written twice; first in line %d", key.Value, first[key.Value]),
				"keep one of them")
		default:
			first[key.Value] = key.Line
			if key.Style&yaml.TaggedStyle != 0 {
				c.fault(key, fmt.Sprintf("explicit tag %s", key.Tag), "remove the tag")
			}
		}
		c.child(step(key), value, whole)
	}
}

// members yields the key and value nodes of a mapping.
func members(n *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// step is a field's name as a part of a path: .name, or ["na.me"] where a plain name would be ambiguous.
func step(key *yaml.Node) string {
	for _, r := range key.Value {
		if strings.ContainsRune(".[]\"", r) {
			return "[" + strconv.Quote(key.Value) + "]"
		}
	}
	return "." + key.Value
}
