package policyfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// Schema describes one policy document, of whatever kind, in JSON Schema (draft 2020-12), for editors. It is made from
// the Go types that Compile decodes into, always to the same bytes. It refuses nothing that Compile accepts; what only
// the whole policy or the YAML text shows, it cannot know. The error is a mistake of the program: a type that nothing
// here describes.
func Schema() ([]byte, error) {
	g := &generator{defs: map[string]*node{}, of: map[string]reflect.Type{}, met: map[string]bool{}}
	root := g.document()
	for _, field := range slices.Sorted(maps.Keys(writtenAs)) {
		if !g.met[field] {
			g.fail("there is no field %s any more", field)
		}
	}
	if g.err != nil {
		return nil, g.err
	}
	root.Defs = g.defs
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(root)
	return text.Bytes(), err
}

// node is a schema. The fields stand in the order in which they are printed.
type node struct {
	Schema        string           `json:"$schema,omitempty"`
	Title         string           `json:"title,omitempty"`
	Description   string           `json:"description,omitempty"`
	Ref           string           `json:"$ref,omitempty"`
	Type          string           `json:"type,omitempty"`
	Const         string           `json:"const,omitempty"`
	Enum          []string         `json:"enum,omitempty"`
	Format        string           `json:"format,omitempty"`
	Pattern       string           `json:"pattern,omitempty"`
	MinLength     int              `json:"minLength,omitempty"`
	Minimum       *int             `json:"minimum,omitempty"`
	MinItems      int              `json:"minItems,omitempty"`
	Items         *node            `json:"items,omitempty"`
	Required      []string         `json:"required,omitempty"`
	Properties    map[string]*node `json:"properties,omitempty"`
	MinProperties int              `json:"minProperties,omitempty"`
	PropertyNames *node            `json:"propertyNames,omitempty"`
	Additional    any              `json:"additionalProperties,omitempty"` // false or a *node
	OneOf         []*node          `json:"oneOf,omitempty"`
	AllOf         []*node          `json:"allOf,omitempty"`
	If            *node            `json:"if,omitempty"`
	Then          *node            `json:"then,omitempty"`
	Defs          map[string]*node `json:"$defs,omitempty"`
}

// writtenAs is what holds for one field beyond its Go type, because Compile or policy.New says so.
var writtenAs = map[string]func(*node){
	"header.apiVersion":      func(n *node) { *n = node{Const: APIVersion} },
	"header.kind":            func(n *node) { *n = node{Enum: kindNames} },
	"header.metadata":        func(n *node) { *n = node{Type: "object"} }, // each kind says more
	"header.spec":            func(n *node) { *n = node{Type: "object"} },
	"Meta.name":              func(n *node) { n.Pattern = namePattern.String() },
	"Route.methods":          func(n *node) { n.MinItems = 1 },
	"Baseline.platforms":     func(n *node) { n.Items = scale("platform") },
	"Member.deviceOwnership": func(n *node) { *n = *scale("ownership") },
	"Monitor.watch":          func(n *node) { n.Items = words("watchable") },
	"Identity.recordedIn":    func(n *node) { *n = *words("recordedIn") },
}

// scale is the enumeration of what an attribute of a device can be.
func scale(attribute string) *node {
	a, _ := signals.LookupAttribute(attribute)
	return &node{Type: "string", Enum: a.Scale}
}

// words is an enumeration that package policy keeps under a name.
func words(name string) *node { return &node{Type: "string", Enum: schemaWords[name]} }

// document describes the header; the document's kind decides about metadata and spec.
func (g *generator) document() *node {
	root := g.object(reflect.TypeFor[header]())
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "tiergate policy document"
	owned := g.object(reflect.TypeFor[policy.Meta]())
	unowned := *owned
	unowned.Properties = maps.Clone(owned.Properties)
	delete(unowned.Properties, "owner")
	owned.Required = append(owned.Required, "owner")
	g.defs["Meta"], g.defs["GovernanceMeta"] = owned, &unowned
	for _, name := range kindNames {
		meta := "Meta"
		if name == policy.KindGovernance {
			meta = "GovernanceMeta"
		}
		spec := g.value(kinds[name].spec)
		if def := g.defs[kinds[name].spec.Name()]; def != nil {
			def.MinProperties = 1
		}
		root.AllOf = append(root.AllOf, &node{
			If:   &node{Required: []string{"kind"}, Properties: map[string]*node{"kind": {Const: name}}},
			Then: &node{Properties: map[string]*node{"metadata": reference(meta), "spec": spec}},
		})
	}
	return root
}

func reference(def string) *node { return &node{Ref: "#/$defs/" + def} }

func (g *generator) fail(format string, args ...any) {
	if g.err == nil {
		g.err = fmt.Errorf("the schema of the policy language: "+format, args...)
	}
}
