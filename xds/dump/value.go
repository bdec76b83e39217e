package dump

import (
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Value is one field of a configuration, or one that is not there; the zero Value is absent.
type Value struct {
	raw  any // map[string]any, []any, string, bool, json.Number; nil: absent
	path string
	name string // of the message, where something else than "@type" said it
}

// Has reports whether the field is written; null is not.
func (v Value) Has() bool { return v.raw != nil }

// Path is where the value stands, such as static_resources.listeners[0].name; of an absent one, where it would stand.
func (v Value) Path() string { return v.path }

// Get follows fields by their names in Envoy's API (snake_case).
func (v Value) Get(fields ...string) Value {
	for _, field := range fields {
		v = v.field(field)
	}
	return v
}

func (v Value) field(name string) Value {
	object, _ := v.raw.(map[string]any)
	if inner, ok := object[name]; ok {
		return Value{raw: inner, path: v.path + step(name, v.path == "")}
	}
	if camel := camelCase(name); camel != name {
		if inner, ok := object[camel]; ok {
			return Value{raw: inner, path: v.path + step(camel, v.path == "")}
		}
	}
	return Value{path: v.path + step(name, v.path == "")}
}

// Fields yields the fields of a message or the entries of a map, sorted by key.
func (v Value) Fields() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		object, _ := v.raw.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(object)) {
			if !yield(key, Value{raw: object[key], path: v.path + step(key, v.path == "")}) {
				return
			}
		}
	}
}

// List is the entries of a list; none of anything else.
func (v Value) List() []Value {
	list, _ := v.raw.([]any)
	out := make([]Value, 0, len(list))
	for i, raw := range list {
		out = append(out, Value{raw: raw, path: v.path + "[" + strconv.Itoa(i) + "]"})
	}
	return out
}

// All yields the value and everything in it, outer before inner.
func (v Value) All() iter.Seq[Value] {
	return func(yield func(Value) bool) { v.each(yield) }
}

func (v Value) each(yield func(Value) bool) bool {
	if !yield(v) {
		return false
	}
	for _, inner := range v.Fields() {
		if !inner.each(yield) {
			return false
		}
	}
	for _, inner := range v.List() {
		if !inner.each(yield) {
			return false
		}
	}
	return true
}

// Text is a scalar as it is written; "" of anything else.
func (v Value) Text() string {
	switch raw := v.raw.(type) {
	case string:
		return raw
	case json.Number:
		return raw.String()
	case bool:
		return strconv.FormatBool(raw)
	}
	return ""
}

// Bool is false unless the field says true, in any way in which Envoy's YAML reader (yaml-cpp) takes it for that.
func (v Value) Bool() bool {
	if inner := v.Get("value"); inner.Has() { // a wrapper that is written out
		v = inner
	}
	switch strings.ToLower(v.Text()) {
	case "true", "yes", "on", "y":
		return true
	}
	return false
}

// Number is a number, or one that is written as text, as 64-bit ones are in JSON.
func (v Value) Number() (float64, bool) {
	if inner := v.Get("value"); inner.Has() {
		v = inner
	}
	if _, truth := v.raw.(bool); truth {
		return 0, false
	}
	number, err := strconv.ParseFloat(strings.ReplaceAll(v.Text(), "_", ""), 64)
	return number, err == nil
}

// Enum is the name of an enumeration's value, which may also be written as its number; names are in the order of numbers.
func (v Value) Enum(names ...string) string {
	n, err := strconv.Atoi(v.Text())
	if err != nil {
		return v.Text()
	}
	if n >= 0 && n < len(names) {
		return names[n]
	}
	return v.Text()
}

// Duration reads seconds with an "s" behind them (google.protobuf.Duration in JSON); false where there is none.
func (v Value) Duration() (time.Duration, bool) {
	digits, ok := strings.CutSuffix(v.Text(), "s")
	seconds, err := strconv.ParseFloat(digits, 64)
	const most = float64(1<<63-1) / float64(time.Second)
	if !ok || err != nil || !(seconds > -most && seconds < most) {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// Type is the name of the message that the value is, by its "@type", without what stands before the last slash; "" where
// nothing says it.
func (v Value) Type() string {
	if v.name != "" {
		return v.name
	}
	return messageName(v.Get("@type").Text())
}

func messageName(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// Is reports whether the value is a message of one of these short names, in whatever version of the API, such as
// "ext_authz.v3.ExtAuthz".
func (v Value) Is(suffixes ...string) bool {
	name := v.Type()
	return slices.ContainsFunc(suffixes, func(s string) bool { return name == s || strings.HasSuffix(name, "."+s) })
}

// Config is an extension's configuration in its wrapper: its typed_config, and what a TypedStruct there holds.
func (v Value) Config() Value { return v.Get("typed_config").Unwrapped() }

// Unwrapped looks into xds.type.v3.TypedStruct, by which configuration of any type may be written as plain fields.
func (v Value) Unwrapped() Value {
	if !v.Is("v3.TypedStruct", "v1.TypedStruct") {
		return v
	}
	inner := v.Get("value")
	inner.name = messageName(v.Get("type_url").Text())
	return inner
}

// step is the part of a path for a key.
func step(key string, first bool) string {
	for _, c := range key {
		if c != '_' && c != '@' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return "[" + strconv.Quote(key) + "]"
		}
	}
	if first {
		return key
	}
	return "." + key
}

// camelCase is the JSON name of a field (the proto3 JSON mapping).
func camelCase(snake string) string {
	var out strings.Builder
	up := false
	for _, c := range snake {
		if c == '_' {
			up = true
			continue
		}
		if up && c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		up = false
		out.WriteRune(c)
	}
	return out.String()
}
