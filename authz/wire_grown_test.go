package authz

import (
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"
)

// TestReaderOnGrownMessages compares the readers on messages that are grown along the descriptors: fields again and again
// in any order, hence split and repeated messages and duplicate keys, of the right and of wrong wire types, unknown ones
// and groups, numbers in more bytes than they need, and now and then a cut or a spoilt byte.
func TestReaderOnGrownMessages(t *testing.T) {
	t.Parallel()
	taken, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range 10 {
			g := grower{t: t}
			message := g.message((&authv3.CheckRequest{}).ProtoReflect().Descriptor(), 0)
			if len(message) > 0 && g.chance(12) {
				message = message[:rapid.IntRange(0, len(message)-1).Draw(t, "cut")]
			}
			if len(message) > 0 && g.chance(12) {
				message[rapid.IntRange(0, len(message)-1).Draw(t, "spoilt")] = rapid.Byte().Draw(t, "byte")
			}
			if compareReaders(t, message) {
				taken++
			} else {
				refused++
			}
		}
	})
	if !t.Failed() && (taken < 100 || refused < 10) {
		t.Errorf("%d messages were taken and %d refused", taken, refused)
	}
}

// grower grows bytes that look like a message.
type grower struct{ t *rapid.T }

func (g grower) chance(in int) bool { return rapid.IntRange(1, in).Draw(g.t, "chance") == in }

// number writes a varint, sometimes longer than it need be, seldom too long.
func (g grower) number(b []byte, v uint64) []byte {
	start := len(b)
	b = protowire.AppendVarint(b, v)
	if !g.chance(15) {
		return b
	}
	width := rapid.IntRange(1, 10).Draw(g.t, "width")
	if g.chance(20) {
		width = 11
	}
	for len(b)-start < width {
		b[len(b)-1] |= 0x80
		b = append(b, 0)
	}
	return b
}

func (g grower) tag(b []byte, number protowire.Number, wire protowire.Type) []byte {
	return g.number(b, protowire.EncodeTag(number, wire))
}

func (g grower) bytes(b []byte, number protowire.Number, value []byte) []byte {
	return append(g.number(g.tag(b, number, protowire.BytesType), uint64(len(value))), value...)
}

var grownTexts = []string{"", "a", "authorization", "Authorization", "Bearer x", extensionRoute, extensionTable, extensionUpstream, "é", "/x",
	"dpop", "DPoP", "x-forwarded-client-cert", "X-Forwarded-Client-Cert", metadataVouched, metadataVouched,
	"accept", "Accept", "content-type", "accept-language", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-site", "x-requested-with",
	"origin", "access-control-request-method", "text/html"}

func (g grower) text() []byte {
	if g.chance(8) {
		return rapid.SliceOfN(rapid.Byte(), 0, 6).Draw(g.t, "bytes")
	}
	if g.chance(20) {
		return []byte("\xff")
	}
	return []byte(rapid.SampledFrom(grownTexts).Draw(g.t, "text"))
}

// message grows a message of a type, an entry of a map included.
func (g grower) message(of protoreflect.MessageDescriptor, depth int) []byte {
	var b []byte
	count := rapid.IntRange(0, 4).Draw(g.t, "fields")
	if depth < 4 {
		count++
	}
	for range count {
		if depth > 8 || g.chance(10) {
			b = g.unknown(b, protowire.Number(rapid.SampledFrom([]int{1, 2, 3, 14, 15, 16, 2047, 1<<29 - 1}).Draw(g.t, "number")), 0)
			continue
		}
		field := of.Fields().Get(rapid.IntRange(0, of.Fields().Len()-1).Draw(g.t, "field"))
		if depth < 3 && g.chance(2) { // towards what is kept
			for _, name := range []protoreflect.Name{"attributes", "request", "http", "metadata_context", "filter_metadata"} {
				if f := of.Fields().ByName(name); f != nil && (name != "metadata_context" || g.chance(3)) {
					field = f
				}
			}
		}
		switch {
		case g.chance(15):
			b = g.unknown(b, field.Number(), 0)
		case field.Message() != nil:
			b = g.bytes(b, field.Number(), g.message(field.Message(), depth+1))
		case field.Kind() == protoreflect.StringKind, field.Kind() == protoreflect.BytesKind:
			b = g.bytes(b, field.Number(), g.text())
		default:
			b = g.unknown(b, field.Number(), 0)
		}
	}
	return b
}

// unknown grows a field of any wire type.
func (g grower) unknown(b []byte, number protowire.Number, depth int) []byte {
	wire := protowire.Type(rapid.IntRange(0, 5).Draw(g.t, "wire"))
	if wire == protowire.EndGroupType && !g.chance(10) || wire == protowire.StartGroupType && depth > 3 {
		wire = protowire.VarintType
	}
	b = g.tag(b, number, wire)
	switch wire {
	case protowire.VarintType:
		b = g.number(b, rapid.Uint64().Draw(g.t, "value"))
	case protowire.Fixed64Type:
		b = append(b, make([]byte, 8)...)
	case protowire.Fixed32Type:
		b = append(b, make([]byte, 4)...)
	case protowire.BytesType:
		text := g.text()
		b = append(g.number(b, uint64(len(text))), text...)
	case protowire.StartGroupType:
		for range rapid.IntRange(0, 2).Draw(g.t, "inner") {
			b = g.unknown(b, protowire.Number(rapid.IntRange(1, 20).Draw(g.t, "number")), depth+1)
		}
		if g.chance(12) {
			number++
		}
		b = g.tag(b, number, protowire.EndGroupType)
	default:
	}
	return b
}
