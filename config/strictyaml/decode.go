package strictyaml

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// maxProblems bounds what one document may have wrong before we stop counting.
const maxProblems = 100

// Deferred is a field whose content Decode leaves alone, to be decoded later by its path.
type Deferred struct{}

var (
	deferredType = reflect.TypeFor[Deferred]()
	durationType = reflect.TypeFor[time.Duration]()
)

// Decode reads the field at path ("" is the whole document) into a pointer. What is right is set even if other fields are
// wrong. Field names are yaml tags; a field without omitempty must be written, and if it is a list or mapping, not be
// empty; a duration whose tag says positive is not zero. Types: string, bool, integers, time.Duration, pointers, slices, maps
// by string, structs, Deferred, and encoding.TextUnmarshaler for a scalar (a struct that has one may also be written as a
// mapping of its fields). Any other type is a mistake of the program and panics.
func (d *Document) Decode(path string, into any) Problems {
	at, exact := d.find(path)
	c := &decoding{document: d, root: path}
	if !exact {
		c.fault(path, d.At(path), fmt.Sprintf("field %q is missing", path), "write it")
		return c.problems
	}
	c.value(path, at.value, reflect.ValueOf(into).Elem())
	return c.problems
}

type decoding struct {
	document *Document
	root     string // the path that Decode was given
	problems Problems
}

func (c *decoding) fault(path string, pos Position, message, help string) {
	switch {
	case len(c.problems) < maxProblems:
		c.problems = append(c.problems, c.document.source.problem(pos.Line, pos.Col, path, message, help))
	case len(c.problems) == maxProblems:
		first := c.document.Position()
		c.problems = append(c.problems, c.document.source.problem(first.Line, first.Col, "",
			fmt.Sprintf("more than %d faults in this document", maxProblems), "mend these first"))
	}
}

func (c *decoding) faultAt(path string, n *yaml.Node, message, help string) {
	c.fault(path, Position{Line: n.Line, Col: n.Column}, message, help)
}

// value decodes a node. Faults stand at the node as it is written, which may be an alias.
func (c *decoding) value(path string, written *yaml.Node, into reflect.Value) {
	n := followed(written)
	if into.Type() == deferredType || len(c.problems) > maxProblems || n.Style&yaml.TaggedStyle != 0 {
		return // left alone, or too much is wrong, or checkTree has refused it
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		pos := c.document.At(path)
		c.fault(path, pos, fmt.Sprintf("%s has no value", name(path)), "write a value or remove the field")
		return
	}
	if n.Kind == yaml.ScalarNode {
		if text, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
			c.text(path, written, text)
			return
		}
	}
	if isText(into.Type()) {
		c.wrong(path, written, "text", "write "+example(into.Type()))
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		c.value(path, written, into.Elem())
	case reflect.Struct:
		c.structure(path, written, into)
	case reflect.Slice:
		c.slice(path, written, into)
	case reflect.Map:
		c.mapping(path, written, into)
	default:
		c.scalar(path, written, into)
	}
}

func (c *decoding) wrong(path string, written *yaml.Node, want, help string) {
	c.faultAt(path, written, fmt.Sprintf("%s wants %s, this is %s", name(path), want, describe(followed(written))), help)
}

func (c *decoding) slice(path string, written *yaml.Node, into reflect.Value) {
	n := followed(written)
	if n.Kind != yaml.SequenceNode {
		help := "begin each entry with \"- \""
		if n.Kind == yaml.ScalarNode {
			help = fmt.Sprintf("write [%s]", shorten(n.Value))
		}
		c.wrong(path, written, "a list", help)
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		c.value(path+"["+strconv.Itoa(i)+"]", item, into.Index(i))
	}
}

func (c *decoding) mapping(path string, written *yaml.Node, into reflect.Value) {
	n := followed(written)
	if n.Kind != yaml.MappingNode {
		c.wrong(path, written, "a mapping of names", "write name: value lines below it")
		return
	}
	into.Set(reflect.MakeMapWithSize(into.Type(), len(n.Content)/2))
	for key, value := range c.fields(n) {
		if len(c.problems) > maxProblems {
			return
		}
		at := path + step(key)
		if key.Tag != "!!str" && key.Tag != "!!timestamp" {
			c.faultAt(at, key, fmt.Sprintf("a name is wanted, this is %s", describe(key)), "put it in quotes")
			continue
		}
		if strings.TrimSpace(key.Value) == "" {
			c.faultAt(at, key, "the name is empty", "write a name")
			continue
		}
		element := reflect.New(into.Type().Elem()).Elem()
		c.value(at, value, element)
		into.SetMapIndex(reflect.ValueOf(key.Value).Convert(into.Type().Key()), element)
	}
}

// fields yields the members that checkTree has not already refused: each name once, no merge keys.
func (c *decoding) fields(n *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		seen := map[string]bool{}
		for key, value := range members(n) {
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" || seen[key.Value] {
				continue
			}
			seen[key.Value] = true
			if !yield(key, value) {
				return
			}
		}
	}
}

func (c *decoding) structure(path string, written *yaml.Node, into reflect.Value) {
	n := followed(written)
	names, fields := fieldsOf(into.Type())
	if n.Kind != yaml.MappingNode {
		c.wrong(path, written, "a mapping", "write its fields below it: "+strings.Join(names, ", "))
		return
	}
	present := map[string]bool{}
	for key, value := range c.fields(n) {
		if len(c.problems) > maxProblems {
			return
		}
		at := strings.TrimPrefix(path+step(key), ".")
		field, known := fields[key.Value]
		if !known {
			c.unknown(path, at, key, names)
			continue
		}
		present[key.Value] = true
		c.value(at, value, into.Field(field.index))
		c.empty(at, followed(value), field)
		c.zero(at, value, into.Field(field.index), field)
	}
	for _, missing := range names {
		if field := fields[missing]; field.required && !present[missing] {
			at := strings.TrimPrefix(path+"."+missing, ".")
			c.fault(at, c.document.At(at), fmt.Sprintf("field %q is missing in %s", missing, c.place(path)),
				"write "+missing+": "+example(into.Field(field.index).Type()))
		}
	}
}

// empty refuses a list or mapping that must be written and holds nothing.
func (c *decoding) empty(path string, n *yaml.Node, field structField) {
	if field.required && len(n.Content) == 0 && (n.Kind == yaml.SequenceNode || n.Kind == yaml.MappingNode) &&
		field.collection {
		c.fault(path, c.document.At(path), fmt.Sprintf("%s is empty", name(path)), "write at least one entry")
	}
}

// zero refuses a duration of nothing where the tag says positive: to the program it is the same as not written, and to
// whoever wrote it something else.
func (c *decoding) zero(path string, written *yaml.Node, into reflect.Value, field structField) {
	n := followed(written)
	if into.Type() != durationType || !field.positive || into.Int() != 0 || n.Kind != yaml.ScalarNode {
		return
	}
	if d, err := ParseDuration(n.Value); err == nil && d == 0 {
		c.faultAt(path, written, fmt.Sprintf("%s is %s, which would be taken for none", name(path), n.Value),
			"write a longer one, or remove the field")
	}
}

func (c *decoding) unknown(parent, path string, key *yaml.Node, names []string) {
	message := fmt.Sprintf("unknown field %q in %s", shorten(key.Value), c.place(parent))
	help := "known are " + strings.Join(names, ", ")
	if near, ok := Nearest(key.Value, names); ok {
		help = fmt.Sprintf("did you mean %q?", near)
	}
	if c.document.Unknown != nil {
		if m, h, ok := c.document.Unknown(path, key.Value); ok {
			message, help = m, h
		}
	}
	c.faultAt(path, key, message, help)
}

// place names a mapping in a message.
func (c *decoding) place(path string) string {
	switch {
	case path == c.root && path == "":
		return cmp.Or(c.document.Title, "the document")
	case path == c.root && c.document.Title != "":
		return c.document.Title + " " + path
	}
	return path
}

type structField struct {
	index      int
	required   bool
	collection bool
	positive   bool // a duration that is not zero
}

// fieldsOf lists the names of a struct's fields as they are declared.
func fieldsOf(t reflect.Type) ([]string, map[string]structField) {
	var names []string
	fields := map[string]structField{}
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("yaml")
		name, options, _ := strings.Cut(tag, ",")
		if name == "-" {
			continue
		}
		if name == "" || !t.Field(i).IsExported() {
			panic(fmt.Sprintf("strictyaml: %s.%s needs a yaml tag", t, t.Field(i).Name))
		}
		kind, words := t.Field(i).Type.Kind(), strings.Split(options, ",")
		names = append(names, name)
		fields[name] = structField{
			index:      i,
			required:   !slices.Contains(words, "omitempty"),
			positive:   slices.Contains(words, "positive"),
			collection: kind == reflect.Slice || kind == reflect.Map,
		}
	}
	return names, fields
}

// name is the last part of a path, as messages call a field.
func name(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 && !strings.HasSuffix(path, `"]`) {
		return path[i+1:]
	}
	return cmp.Or(path, "the document")
}
