package source

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Decode reads raw into the value that into points to, if raw passes CheckJSON and has no members but those that the
// value has, spelled exactly so: encoding/json alone would take "Serial" for a field "serial". A misspelled member is
// an error because a fact must not be lost by a typo.
func Decode(raw []byte, into any) error {
	if err := CheckJSON(raw); err != nil {
		return err
	}
	if err := exactNames(raw, reflect.TypeOf(into), ""); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("the body does not have the shape that this source sends: %w", err)
	}
	return nil
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// exactNames compares the members of raw, which is valid JSON, with the fields of the type it will be decoded into.
// Values of another shape are left for the decoder to refuse. Embedded fields are not looked into: write them out.
func exactNames(raw json.RawMessage, t reflect.Type, path string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		return exactFields(raw, t, path)
	case reflect.Map:
		var members map[string]json.RawMessage
		if json.Unmarshal(raw, &members) != nil {
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if err := exactNames(members[name], t.Elem(), path+"."+name); err != nil {
				return err
			}
		}
	case reflect.Slice, reflect.Array:
		var items []json.RawMessage
		if json.Unmarshal(raw, &items) != nil {
			return nil
		}
		for i, item := range items {
			if err := exactNames(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func exactFields(raw json.RawMessage, t reflect.Type, path string) error {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return nil
	}
	fields := make(map[string]reflect.Type, t.NumField())
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		fields[cmp.Or(name, field.Name)] = field.Type
	}
	for _, name := range slices.Sorted(maps.Keys(members)) { // sorted: the same body always has the same error
		member := members[name]
		inner, known := fields[name]
		if !known {
			return fmt.Errorf("there is no member %.60q here; correct its name or leave it out",
				strings.TrimPrefix(path+"."+name, "."))
		}
		if err := exactNames(member, inner, path+"."+name); err != nil {
			return err
		}
	}
	return nil
}
