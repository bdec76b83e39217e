package policyfile

import (
	"encoding"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// generator turns Go types into schemas. Types with a name of their own are described once, under $defs.
type generator struct {
	defs map[string]*node
	of   map[string]reflect.Type // which type a definition is of
	met  map[string]bool         // fields that writtenAs speaks of
	err  error                   // the first mistake
}

// The patterns are valid in the dialects of both ECMAScript and Go.
const (
	notBlank = `\S`
	day      = `[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])`
)

// scalars are the types that are written as one text of a certain form.
var scalars = map[reflect.Type]node{
	reflect.TypeFor[time.Duration](): {
		Description: "A duration such as 15m, 26h or 1d12h: numbers with the units w, d, h, m, s and ms, each at most " +
			"once, the largest first. A day has 24 hours.",
		Type: "string", MinLength: 1,
		Pattern: `^([0-9]{1,9}w)?([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$`,
	},
	reflect.TypeFor[time.Time](): {
		Description: "An instant, RFC 3339: 2026-11-20T08:00:00Z.",
		// What time.Time reads is a little more than RFC 3339, so that this has no format: an hour may have one digit, a
		// fraction a comma, a zone 24 hours and 60 minutes.
		Type: "string",
		Pattern: `^` + day + `T([01]?[0-9]|2[0-3])(:[0-5][0-9]){2}([.,][0-9]+)?` +
			`(Z|[+-]([01][0-9]|2[0-4]):([0-5][0-9]|60))$`,
	},
	reflect.TypeFor[policy.Date](): {
		Description: "A day of the calendar: 2027-03-01.",
		Type:        "string", Format: "date", Pattern: `^` + day + `$`,
	},
}

// shortWords are the only words of a short form; the short form of any other type is a name.
var shortWords = map[reflect.Type][]string{
	reflect.TypeFor[policy.OnGap](): {"deny"},
}

// value describes what is written for a Go value.
func (g *generator) value(t reflect.Type) *node {
	if _, ok := scalars[t]; ok {
		return g.define(t, func() *node { n := scalars[t]; return &n })
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.value(t.Elem())
	case reflect.Struct:
		return g.define(t, func() *node { return g.structure(t) })
	case reflect.Slice:
		return &node{Type: "array", Items: g.value(t.Elem())}
	case reflect.Map:
		return &node{Type: "object", PropertyNames: &node{Pattern: notBlank}, Additional: g.value(t.Elem())}
	case reflect.String:
		return g.text(t)
	case reflect.Bool:
		return &node{Type: "boolean"}
	}
	switch v := reflect.New(t).Elem(); {
	case v.CanInt():
		return &node{Type: "integer"}
	case v.CanUint():
		return &node{Type: "integer", Minimum: new(int)}
	}
	g.fail("nothing says how %s is written", t)
	return &node{}
}

// text describes free text, or the words of an enumeration. A string type of its own must be one.
func (g *generator) text(t reflect.Type) *node {
	if t == reflect.TypeFor[string]() {
		return &node{Type: "string", Pattern: notBlank}
	}
	if len(schemaWords[t.Name()]) == 0 {
		g.fail("no constant of type %s is known; run go test ./config/policyfile -run Schema -update", t)
	}
	return g.define(t, func() *node { return words(t.Name()) })
}

// define describes a type once and refers to it.
func (g *generator) define(t reflect.Type, describe func() *node) *node {
	name := t.Name()
	switch first, known := g.of[name]; {
	case !known:
		g.of[name] = t
		n := describe()
		if n.Description == "" {
			n.Description = schemaTexts[name]
		}
		g.defs[name] = n
	case first != t:
		g.fail("%s and %s have one name", first, t)
	}
	return reference(name)
}

// structure describes a mapping, or either of two forms where the type can also be read from a text.
func (g *generator) structure(t reflect.Type) *node {
	short, ok := reflect.New(t).Interface().(encoding.TextUnmarshaler)
	if !ok {
		return g.object(t)
	}
	text := &node{Type: "string", Pattern: notBlank}
	examples := []string{"a-name"}
	if only := shortWords[t]; len(only) > 0 {
		text, examples = &node{Type: "string", Enum: only}, only
	}
	for _, word := range examples {
		if err := short.UnmarshalText([]byte(word)); err != nil {
			g.fail("%s is not written as %q: %w", t, word, err)
		}
	}
	return &node{OneOf: []*node{text, g.object(t)}}
}

// object describes the fields of a struct, as strictyaml reads them.
func (g *generator) object(t reflect.Type) *node {
	n := &node{Type: "object", Properties: map[string]*node{}, Additional: false}
	for field := range t.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch name {
		case "-":
			continue
		case "":
			g.fail("%s.%s has no yaml tag", t, field.Name)
			continue
		}
		property := &node{}
		key := t.Name() + "." + name
		as, more := writtenAs[key]
		if field.Type != reflect.TypeFor[strictyaml.Deferred]() {
			property = g.value(field.Type)
		}
		if !slices.Contains(strings.Split(options, ","), "omitempty") {
			n.Required = append(n.Required, name)
			// A list or mapping that must be written must hold something.
			switch field.Type.Kind() {
			case reflect.Slice:
				property.MinItems = 1
			case reflect.Map:
				property.MinProperties = 1
			}
		}
		if more {
			as(property)
			g.met[key] = true
		}
		property.Description = schemaTexts[key]
		n.Properties[name] = property
	}
	slices.Sort(n.Required)
	return n
}
