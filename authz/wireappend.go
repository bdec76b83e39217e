package authz

import "google.golang.org/protobuf/encoding/protowire"

// The sizes and bytes of the few kinds of fields that an answer is written with. All of their numbers are below 16, so
// that every tag is one byte.

// lengthSize is the size of a field of n bytes, with its tag and its length.
func lengthSize(n int) int { return 1 + protowire.SizeBytes(n) }

func textSize(text string) int { return lengthSize(len(text)) }

// optionSize is the size of a HeaderValueOption: header (1) with key (1) and value (2), append_action (3).
func optionSize(name, value string) int { return lengthSize(textSize(name)+textSize(value)) + 2 }

// memberSize is the size of an entry of Struct.fields: key (1), and value (2) with its string_value (3).
func memberSize(name, value string) int { return textSize(name) + lengthSize(textSize(value)) }

// appendLength begins a field of n bytes.
func appendLength(b []byte, number protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.BytesType), uint64(n))
}

func appendText(b []byte, number protowire.Number, text string) []byte {
	return append(appendLength(b, number, len(text)), text...)
}

// appendOption writes a field that holds a HeaderValueOption.
func appendOption(b []byte, number protowire.Number, name, value string, action int32) []byte {
	b = appendLength(b, number, optionSize(name, value))
	b = appendLength(b, 1, textSize(name)+textSize(value))
	b = appendText(appendText(b, 1, name), 2, value)
	return protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), uint64(action))
}

// appendMember writes an entry of Struct.fields (1).
func appendMember(b []byte, name, value string) []byte {
	b = appendLength(b, 1, memberSize(name, value))
	b = appendText(b, 1, name)
	b = appendLength(b, 2, textSize(value))
	return appendText(b, 3, value)
}
