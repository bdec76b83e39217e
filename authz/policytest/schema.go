package policytest

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
	"github.com/tiergate/tiergate/signals"
)

// Schema describes a file of cases in JSON Schema (draft 2020-12), for editors. It is made from the types that Parse
// reads into, always to the same bytes. It refuses nothing that Parse accepts; what only the whole file shows, such as a name
// that nobody has, it cannot know.
func Schema() ([]byte, error) {
	g := &generator{defs: map[string]any{}}
	root := g.object(reflect.TypeFor[file]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "tiergate golden cases"
	root["$defs"] = g.defs
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		return nil, err
	}
	return text.Bytes(), g.err
}

// generator describes types; each struct once, under $defs.
type generator struct {
	defs map[string]any
	err  error // the first type that nothing here describes
}

type node = map[string]any

// notBlank is the pattern of a text; the loader takes a blank one for none.
const notBlank = `\S`

func text(pattern, description string) node {
	n := node{"type": "string", "pattern": pattern}
	if description != "" {
		n["description"] = description
	}
	return n
}

func oneOf[T ~string](words ...T) node { return node{"enum": words} }

// duration is how the file writes one. The pattern is valid in the dialects of ECMAScript and Go.
var duration = text(`^([0-9]{1,9}w)?([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$`,
	"A duration such as 15m, 26h or 1d12h: numbers with the units w, d, h, m, s and ms, the largest first.")

// written are the types and fields of which more is known than their Go type.
func written() map[string]node {
	return map[string]node{
		"request":         text(`^[^ ]+ [^/]+/`, "METHOD HOST/PATH, for instance GET app.acme.example/reports"),
		"moment":          text(notBlank, "2h (ago), now, in 1h, or RFC 3339: 2026-11-20T08:00:00Z"),
		"Time":            text(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T`, "An instant, RFC 3339: 2026-11-20T08:00:00Z"),
		"Case.gap":        oneOf(policy.GapUnknown, policy.GapContested, policy.GapUnreachable),
		"Case.without":    {"type": "array", "items": node{"enum": attributeNames()}},
		"Case.attributes": attributes(), "facts.attributes": attributes(),
		"expect.outcome":   oneOf(outcomes...),
		"expect.reason":    oneOf(reasons...),
		"expect.monitored": oneOf(append(slices.Clone(reasons), none)...),
		"unmet.status":     oneOf(statuses...),
		"unmet.list":       oneOf(lists...),
		"waived.by":        oneOf(waivers...),
	}
}

// describe says what fields mean, as an editor shows it.
var describe = map[string]string{
	"file.people":        "Users by a name: who: ana",
	"file.devices":       "Devices by a name, with what is known of them: who: ana on laptop",
	"file.defaults":      "What holds for every case that does not say otherwise",
	"Case.at":            "The instant of the question; ages count back from it",
	"Case.who":           "PERSON, PERSON on DEVICE, a SPIFFE ID, or a mapping",
	"Case.age":           "How old all facts are",
	"Case.attributes":    "What the facts say otherwise",
	"Case.without":       "Attributes that nobody reports",
	"Case.heard":         "How long ago a source last reported any device; default: its newest fact here",
	"Case.asOf":          "How old our copy of the facts is; default: current",
	"Case.renewals":      "How long ago the device's grace was renewed",
	"Case.graceEnded":    "How long ago somebody ended the device's grace",
	"Case.granted":       "Exceptions granted at run time",
	"Case.gap":           "Why nothing is known of the device",
	"Case.expect":        "What must come of it; what is not named is not compared",
	"Case.each":          "Variants: what is different, and what comes of it",
	"who.expired":        "Certificate and token are out of their window",
	"who.revoked":        "How long ago the identity provider ended the login",
	"who.risk":           "The level of risk at which the identity provider holds the user, where the settings refuse it",
	"who.doubt":          "A proof was shown and is not believed: why",
	"user.login":         "The age of the login; default: the token does not say",
	"user.subject":       "The token's sub; default: the name",
	"expect.detail":      "Texts that must occur in what the operator reads",
	"expect.explanation": "Texts that must occur in what policy explain prints",
	"unmet.fix":          "Occurs in the text or URL of the fix",
}

func attributeNames() []string {
	var names []string
	for _, a := range signals.Attributes() {
		names = append(names, a.Name)
	}
	return names
}

// attributes describes the values of a device's attributes; the loader reads their text, in quotes or not.
func attributes() node {
	properties := node{}
	for _, a := range signals.Attributes() {
		switch {
		case a.Kind == signals.KindBool:
			properties[a.Name] = node{"enum": []any{true, false, "true", "false", "unknown"}}
		case len(a.Scale) > 0:
			properties[a.Name] = node{"enum": append(slices.Clone(a.Scale), "unknown")}
		default:
			properties[a.Name] = node{"type": []string{"string", "number", "boolean"}}
		}
	}
	return node{"type": "object", "properties": properties, "additionalProperties": false}
}

func (g *generator) value(t reflect.Type) node {
	if n, ok := written()[t.Name()]; ok && t.Kind() == reflect.Struct {
		return n
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return duration
	case t.Kind() == reflect.Pointer:
		return g.value(t.Elem())
	case t.Kind() == reflect.Slice:
		return node{"type": "array", "items": g.value(t.Elem())}
	case t.Kind() == reflect.Map:
		return node{"type": "object", "additionalProperties": g.value(t.Elem())}
	case t.Kind() == reflect.String:
		return text(notBlank, "")
	case t.Kind() == reflect.Bool:
		return node{"type": "boolean"}
	case t.Kind() == reflect.Struct && t != reflect.TypeFor[strictyaml.Deferred]():
		return g.define(t)
	}
	g.err = fmt.Errorf("the schema of cases: nothing says how %s is written", t)
	return node{}
}

// define describes a struct once and refers to it; one that can be read from a text has two forms.
func (g *generator) define(t reflect.Type) node {
	name := t.Name()
	if _, known := g.defs[name]; !known {
		g.defs[name] = nil // met; it may hold itself
		n := g.object(t)
		if _, short := reflect.New(t).Interface().(encoding.TextUnmarshaler); short {
			n = node{"oneOf": []node{text(notBlank, ""), n}}
		}
		g.defs[name] = n
	}
	return node{"$ref": "#/$defs/" + name}
}

// object describes the fields of a struct, as strictyaml reads them.
func (g *generator) object(t reflect.Type) node {
	properties, required := node{}, []string{}
	for i := range t.NumField() {
		field := t.Field(i)
		name := fieldName(field)
		if name == "" {
			continue
		}
		key := t.Name() + "." + name
		property, known := written()[key]
		if !known {
			property = g.value(field.Type)
		}
		if text := describe[key]; text != "" {
			property = withDescription(property, text)
		}
		if !strings.HasSuffix(field.Tag.Get("yaml"), ",omitempty") {
			required = append(required, name)
		}
		properties[name] = property
	}
	n := node{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		n["required"] = required
	}
	return n
}

func withDescription(n node, text string) node {
	described := node{"description": text}
	for key, value := range n {
		if key != "description" {
			described[key] = value
		}
	}
	return described
}
