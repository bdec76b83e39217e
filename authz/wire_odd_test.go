package authz

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// oddMessage is an encoding that Envoy would not write, and whether protobuf takes it.
type oddMessage struct {
	name    string
	taken   bool
	message []byte
}

var (
	pathHTTP   = []protowire.Number{1, 4, 2}
	pathMap    = []protowire.Number{1, 4, 2, 3}
	pathRaw    = []protowire.Number{1, 4, 2, 13, 1}
	pathSource = []protowire.Number{1, 1}
	pathRoute  = []protowire.Number{1, 10}
	pathFilter = []protowire.Number{1, 11, 1}
)

// at puts texts by their numbers, one after the other, into the message that a path leads to.
func at(path []protowire.Number, fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		b = appendText(b, protowire.Number(fields[i].(int)), fields[i+1].(string))
	}
	return nested(path, b)
}

// oddMessages are one of each kind, also the seeds of the fuzzer.
func oddMessages(t testing.TB) []oddMessage {
	full := marshal(t, fullRequest())
	longTag := func(n int) []byte { // attributes, with a tag of n bytes
		return append(append([]byte{0x8a}, bytes.Repeat([]byte{0x80}, n-2)...), 0x00, 0x00)
	}
	get := at(pathHTTP, 2, "GET")
	group := func(inner ...byte) []byte { return slices.Concat(get, []byte{0x7b}, inner, []byte{0x7c}) }
	wrongTypes := []byte{}
	for _, wire := range [][]byte{{0x08, 0x01}, {0x09, 1, 2, 3, 4, 5, 6, 7, 8}, {0x0d, 1, 2, 3, 4}, {0x0b, 0x10, 0x01, 0x0c}} {
		wrongTypes = append(wrongTypes, wire...)
	}
	return append(oddProofs(get), []oddMessage{
		{"nothing", true, nil},
		{"everything", true, full},
		{"everything twice", true, slices.Concat(full, full)},
		{"attributes in three parts", true, slices.Concat(get, at(pathSource, 4, "spiffe://a/b"), at(pathHTTP, 4, "/x"), at(pathHTTP, 5, "h"))},
		{"a method that is set again", true, slices.Concat(get, at(pathHTTP, 2, "POST"), at(pathHTTP, 2, "DELETE"))},
		{"a path that is emptied again", true, slices.Concat(at(pathHTTP, 4, "/admin"), at(pathHTTP, 4, ""))},
		{"a method twice in one message", true, at(pathHTTP, 2, "GET", 2, "POST")},
		{"attributes that are emptied do not forget", true, slices.Concat(get, []byte{0x0a, 0x00})},
		{"attributes, and nothing in them", true, []byte{0x0a, 0x00}},
		{"http, and nothing in it", true, at(pathHTTP)},
		{"a principal of the destination", true, slices.Concat(get, at([]protowire.Number{1, 2}, 4, "spiffe://a/destination", 5, "pem"))},
		{"a header twice in the map, the last one counts", true, slices.Concat(at(pathMap, 1, "authorization", 2, "Bearer a"),
			at(pathMap, 1, "authorization", 2, "Bearer b"))},
		{"a header twice in the map, then without value", true, slices.Concat(at(pathMap, 1, "authorization", 2, "Bearer a"),
			at(pathMap, 1, "authorization"))},
		{"spellings of a header in the map", true, slices.Concat(at(pathMap, 1, "authorization", 2, "a"), at(pathMap, 1, "AUTHORIZATION", 2, "b"))},
		{"a key twice in one entry", true, at(pathMap, 1, "x", 2, "v", 1, "authorization")},
		{"an entry with its value first", true, at(pathMap, 2, "Bearer a", 1, "authorization")},
		{"an entry without key", true, at(pathMap, 2, "v")},
		{"an empty entry", true, at(pathMap)},
		{"an entry with more fields than it has", true, at(pathMap, 1, "authorization", 2, "v", 3, "\xff")},
		{"raw headers", true, slices.Concat(at(pathRaw, 1, "authorization", 3, "\xff"), at(pathRaw, 1, "authorization", 2, "v"))},
		{"a raw header with both values", true, at(pathRaw, 1, "authorization", 2, "v", 3, "r")},
		{"a raw header whose raw value is emptied", true, at(pathRaw, 1, "authorization", 2, "v", 3, "r", 3, "")},
		{"a header map in two parts", true, slices.Concat(at(pathRaw, 1, "authorization", 3, "a"), get, at(pathRaw, 1, "authorization", 3, "b"))},
		{"the map of headers, then an empty header map", true, slices.Concat(at(pathMap, 1, "authorization", 2, "v"), at(pathRaw[:4]))},
		{"an empty header map, then the map of headers", true, slices.Concat(at(pathRaw[:4]), at(pathMap, 1, "authorization", 2, "v"))},
		{"an extension twice", true, slices.Concat(get, at(pathRoute, 1, extensionRoute, 2, "a"), at(pathRoute, 1, extensionRoute, 2, "b"))},
		{"an extension that is emptied", true, slices.Concat(get, at(pathRoute, 1, extensionRoute, 2, "a"), at(pathRoute, 1, extensionRoute))},
		{"an extension with its key last", true, slices.Concat(get, at(pathRoute, 2, "a", 1, extensionTable))},
		{"unknown fields", true, slices.Concat(get, []byte{0xf8, 0xff, 0xff, 0xff, 0x0f, 0x01}, appendText(nil, 15, "\xff"))},
		{"fields of another wire type", true, slices.Concat(get, wrongTypes)},
		{"a method as a number", true, slices.Concat(get, nested(pathHTTP, []byte{0x10, 0x05}))},
		{"http as a group", true, slices.Concat(get, nested(pathHTTP[:2], []byte{0x13, 0x12, 0x01, 'X', 0x14}))},
		{"an unknown group", true, group()},
		{"a group in a group, and any field number in it", true, group(0x0b, 0x0c, 0xf8, 0xff, 0xff, 0xff, 0x3f, 0x00)},
		{"a group that is not ended", false, group(0x0b)},
		{"a group ended by another number", false, group(0x0b, 0x14)},
		{"a group with half a field", false, group(0x0a, 0x05)},
		{"an end of no group", false, slices.Concat(get, []byte{0x0c})},
		{"an end of no group, of a field that nobody knows", false, slices.Concat(get, []byte{0x7c})},
		{"a group that ends in another message", false, slices.Concat(nested(pathHTTP, []byte{0x7b}), []byte{0x7c})},
		{"field number 0", false, slices.Concat(get, []byte{0x00, 0x00})},
		{"field number 0 in an entry", false, nested(pathMap, []byte{0x02, 0x00})},
		{"a field number beyond the largest", false, slices.Concat(get, []byte{0x80, 0x80, 0x80, 0x80, 0x10, 0x00})},
		{"the largest field number", true, slices.Concat(get, []byte{0xf8, 0xff, 0xff, 0xff, 0x0f, 0x00})},
		{"reserved wire types", false, slices.Concat(get, []byte{0x0e})},
		{"a tag of ten bytes", true, longTag(10)},
		{"a tag of eleven bytes", false, longTag(11)},
		{"a tag that overflows", false, []byte{0x8a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02, 0x00}},
		{"a length of ten bytes", true, []byte{0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}},
		{"a length that overflows", false, []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}},
		{"the largest length", false, []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}},
		{"a length beyond the message", false, []byte{0x0a, 0x01}},
		{"a length beyond the message that it is in", false, append(nested(pathHTTP, []byte{0x12, 0x02, 'G'}), "ET"...)},
		{"a number that overflows, of a size", false, nested(pathHTTP, append([]byte{0x48}, bytes.Repeat([]byte{0xff}, 10)...))},
		{"a method that is not UTF-8", false, at(pathHTTP, 2, "\xff")},
		{"a method that is not UTF-8, and then one that is", false, slices.Concat(at(pathHTTP, 2, "\xff"), get)},
		{"a body that is not UTF-8", false, at(pathHTTP, 11, "\xff")},
		{"a raw body that is not UTF-8", true, at(pathHTTP, 12, "\xff")},
		{"half a surrogate pair", false, at(pathRoute, 1, "\xed\xa0\x80")},
	}...)
}

func TestReaderOnOddMessages(t *testing.T) {
	t.Parallel()
	for _, odd := range oddMessages(t) {
		t.Run(strings.ReplaceAll(odd.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			if compareReaders(t, odd.message) != odd.taken {
				t.Errorf("taken: %v", !odd.taken)
			}
		})
	}
}
