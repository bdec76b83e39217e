package drift

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// redacted is what Envoy writes for a text that its API calls sensitive, context_extensions of ext_authz for one: of these it
// is seen only that they are there.
const redacted = "[redacted]"

// maxShown is how much of a value a difference shows, in bytes.
const maxShown = 80

// plain is a message as maps, lists and scalars, with the names of Envoy's API.
func plain(m proto.Message) (any, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var tree any
	err = json.Unmarshal(text, &tree)
	return tree, err
}

// readAs brings what Envoy wrote into the form that plain gives to what we meant: defaults left out, durations and bytes
// written one way. What has no place in our message, an extension that we never send for one, stays as Envoy wrote it.
func readAs(raw []byte, meant proto.Message, hide func(proto.Message)) any {
	var tree any
	if json.Unmarshal(raw, &tree) != nil {
		return string(raw)
	}
	if fields, ok := tree.(map[string]any); ok {
		delete(fields, "@type") // of the Any in which the dump has it
	}
	bare, err := json.Marshal(tree)
	if err != nil {
		return tree
	}
	message := meant.ProtoReflect().New().Interface()
	if protojson.Unmarshal(bare, message) != nil {
		return tree
	}
	if hide != nil {
		hide(message)
	}
	if read, err := plain(message); err == nil {
		return read
	}
	return tree
}

// firstDifference walks both trees in the order of their keys. ok: there is none.
func firstDifference(path string, meant, has any) (where, what string, ok bool) {
	switch m := meant.(type) {
	case map[string]any:
		if h, same := has.(map[string]any); same {
			return firstOfFields(path, m, h)
		}
	case []any:
		if h, same := has.([]any); same {
			return firstOfItems(path, m, h)
		}
	default:
		if _, text := meant.(string); meant == has || text && has == redacted {
			return "", "", true
		}
	}
	return path, fmt.Sprintf("is %s, meant is %s", shown(has), shown(meant)), false
}

func firstOfFields(path string, meant, has map[string]any) (where, what string, ok bool) {
	keys := map[string]bool{}
	for key := range meant {
		keys[key] = true
	}
	for key := range has {
		keys[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		at := strings.TrimPrefix(path+"."+key, ".")
		m, isMeant := meant[key]
		h, isThere := has[key]
		switch {
		case !isThere:
			return at, fmt.Sprintf("is not set, meant is %s", shown(m)), false
		case !isMeant:
			return at, fmt.Sprintf("is %s, meant is not to be set", shown(h)), false
		}
		if where, what, ok := firstDifference(at, m, h); !ok {
			return where, what, false
		}
	}
	return "", "", true
}

func firstOfItems(path string, meant, has []any) (where, what string, ok bool) {
	for i := range min(len(meant), len(has)) {
		if where, what, ok := firstDifference(fmt.Sprintf("%s[%d]", path, i), meant[i], has[i]); !ok {
			return where, what, false
		}
	}
	if len(meant) != len(has) {
		return path, fmt.Sprintf("has %d items, meant are %d", len(has), len(meant)), false
	}
	return "", "", true
}

// shown is a value in one short line.
func shown(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("a %T", value)
	}
	text := strings.ToValidUTF8(string(raw), "?")
	if len(text) > maxShown {
		return strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return text
}
