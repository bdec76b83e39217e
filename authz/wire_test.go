package authz

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// readWithProto is what the reader must agree with.
func readWithProto(message []byte) (*Call, error) {
	request := &authv3.CheckRequest{}
	if err := proto.Unmarshal(message, request); err != nil {
		return nil, err
	}
	return parseCall(request), nil
}

// compareReaders fails unless both readers refuse a message, or both read the same Call. It reports whether they took it.
func compareReaders(t interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}, message []byte) bool {
	t.Helper()
	want, refused := readWithProto(message)
	before := bytes.Clone(message)
	r := &reader{}
	err := r.read(message)
	if (err != nil) != (refused != nil) {
		t.Fatalf("our reader says %v, protobuf says %v, of % x", err, refused, message)
	}
	if !bytes.Equal(before, message) {
		t.Fatal("the message was written to")
	}
	if err != nil {
		return false
	}
	plain := [2]Call{*want, r.call}
	for i := range plain {
		for _, list := range []*[]string{&plain[i].Authorization, &plain[i].Proofs, &plain[i].Forwarded} {
			if len(*list) == 0 { // nil or not
				*list = nil
			}
			if !r.raw { // a map has no order, and neither have the credentials that it holds
				slices.Sort(*list)
			}
		}
		plain[i].Vouched = nil
	}
	if !reflect.DeepEqual(plain[0], plain[1]) || !sameVouched(want.Vouched, r.call.Vouched) {
		t.Fatalf("protobuf reads\n%+v, our reader\n%+v, of % x", want, &r.call, message)
	}
	return true
}

// sameVouched compares what two encodings of a Struct say. Nothing at all is nothing, not an empty encoding.
func sameVouched(a, b []byte) bool {
	var said [2]structpb.Struct
	for i, wire := range [][]byte{a, b} {
		if wire != nil && len(wire) == 0 || proto.Unmarshal(wire, &said[i]) != nil {
			return false
		}
	}
	return (a == nil) == (b == nil) && proto.Equal(&said[0], &said[1])
}

// fullRequest has every field of every message that a CheckRequest can hold, but for the alternatives of a oneof.
func fullRequest() *authv3.CheckRequest {
	address := func(a *corev3.SocketAddress) *corev3.Address {
		return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: a}}
	}
	fields := &structpb.Struct{Fields: map[string]*structpb.Value{
		"list": structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{
			structpb.NewNumberValue(1.5), structpb.NewBoolValue(true), structpb.NewNullValue(), structpb.NewStringValue("é")}}),
		"deep": structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"": structpb.NewStringValue("")}}),
	}}
	data := &corev3.Metadata{
		FilterMetadata:      map[string]*structpb.Struct{"envoy.filters.http.jwt_authn": fields},
		TypedFilterMetadata: map[string]*anypb.Any{"x": {TypeUrl: "type.googleapis.com/none", Value: []byte{0xff}}},
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{
			Address: address(&corev3.SocketAddress{Protocol: corev3.SocketAddress_UDP, Address: "10.0.0.1", ResolverName: "r",
				PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 443}, Ipv4Compat: true, NetworkNamespaceFilepath: "/n"}),
			Service: "s", Labels: map[string]string{"a": "b"}, Principal: "spiffe://acme.example/a", Certificate: "-----BEGIN%20",
		},
		Destination: &authv3.AttributeContext_Peer{
			Address:   &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/p", Mode: 0o700}}},
			Principal: "spiffe://acme.example/destination", Certificate: "destination",
		},
		Request: &authv3.AttributeContext_Request{Time: &timestamppb.Timestamp{Seconds: 1, Nanos: -1},
			Http: &authv3.AttributeContext_HttpRequest{
				Id: "1", Method: "GET", Path: "/x?y", Host: "app.example", Scheme: "https", Query: "q", Fragment: "f", Size: -1,
				Protocol: "HTTP/2", Body: "b", RawBody: []byte{0x80},
				Headers: map[string]string{"authorization": "Bearer map", "x": "y"},
				HeaderMap: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
					{Key: "DPoP", RawValue: []byte("e30.e30.x")}, {Key: "X-Forwarded-Client-Cert", Value: "By=spiffe://acme.example/in"},
					{Key: "Authorization", RawValue: []byte("Bearer \xff")}, {Key: "x", Value: "v"}, {Key: "y", Value: "v", RawValue: []byte("w")},
					{Key: "Accept", Value: "a"}, {Key: "accept", RawValue: []byte("text/html")}, {Key: "accept", Value: "b"},
					{Key: "accept-language", Value: "de"}, {Key: "content-type", Value: "c"}, {Key: "sec-fetch-mode", Value: "m"},
					{Key: "sec-fetch-dest", Value: "d"}, {Key: "sec-fetch-site", Value: "s"}, {Key: "x-requested-with", Value: "w"},
					{Key: "origin", Value: "o"}, {Key: "access-control-request-method", Value: "r"},
				}},
			}},
		ContextExtensions:    map[string]string{extensionRoute: "app", extensionTable: "sha256:1", extensionUpstream: "u", "other": "z"},
		MetadataContext:      data,
		RouteMetadataContext: data,
		TlsSession:           &authv3.AttributeContext_TLSSession{Sni: "app.example"},
	}}
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

// TestRefusedMessagesLeaveNothing: what was read before a fault was found is not told, by neither reader.
func TestRefusedMessagesLeaveNothing(t *testing.T) {
	t.Parallel()
	for _, withProto := range []bool{false, true} {
		x := &exchange{message: append(marshal(t, fullRequest()), 0x0a)}
		call := x.call(withProto)
		if call.Malformed == "" || call.Host != "" || call.Certificate != "" || len(call.Authorization) != 0 || call.Route != "" ||
			len(call.Proofs) != 0 || len(call.Forwarded) != 0 || call.Vouched != nil {
			t.Errorf("%+v", call)
		}
		x.release()
		if x.reader.call.Malformed != "" || x.message != nil {
			t.Errorf("left behind: %+v", x)
		}
	}
}

// TestReaderTruncated cuts a full message at every byte, and spoils every byte in several ways.
func TestReaderTruncated(t *testing.T) {
	t.Parallel()
	message := marshal(t, fullRequest())
	if !compareReaders(t, message) {
		t.Fatal("the whole message is refused")
	}
	for cut := range message {
		compareReaders(t, message[:cut:cut])
	}
	taken := 0
	for i := range message {
		for _, spoilt := range []byte{0x00, 0x01, 0x7f, 0x80, 0xff, message[i] ^ 1, message[i] ^ 8, message[i] + 1} {
			other := bytes.Clone(message)
			other[i] = spoilt
			if compareReaders(t, other) {
				taken++
			}
		}
	}
	if taken == 0 {
		t.Error("no spoilt message was taken: the readers were compared on refusals only")
	}
}

// TestReaderChecksEveryText puts bytes that are not UTF-8 into each text of each message type, at every place where one
// can be reached; fields of bytes take them.
func TestReaderChecksEveryText(t *testing.T) {
	t.Parallel()
	texts, others := 0, 0
	var visit func(of protoreflect.MessageDescriptor, wrap func([]byte) []byte, above []protoreflect.FullName)
	visit = func(of protoreflect.MessageDescriptor, wrap func([]byte) []byte, above []protoreflect.FullName) {
		if slices.Contains(above, of.FullName()) {
			return
		}
		above = append(slices.Clip(above), of.FullName())
		for i := range of.Fields().Len() {
			field := of.Fields().Get(i)
			put := func(content []byte) []byte {
				b := protowire.AppendTag(nil, field.Number(), protowire.BytesType)
				return wrap(protowire.AppendBytes(b, content))
			}
			for _, odd := range []string{"\xff", "\xc0\x80", "\xed\xa0\x80", "a\xe2\x82", "\xf4\x90\x80\x80"} {
				taken := compareReaders(t, put([]byte(odd)))
				switch field.Kind() {
				case protoreflect.StringKind:
					texts++
					if taken {
						t.Errorf("%s may be %q", field.FullName(), odd)
					}
				default:
					others++
				}
			}
			compareReaders(t, put(nil))
			if field.Message() != nil {
				visit(field.Message(), put, above)
			}
		}
	}
	visit((&authv3.CheckRequest{}).ProtoReflect().Descriptor(), func(b []byte) []byte { return b }, nil)
	if texts < 5*40 || others < 5*30 {
		t.Errorf("only %d texts and %d other fields were visited", texts, others)
	}
}

// TestReaderDepth compares the readers around the depth at which protobuf refuses, with every kind of ring.
func TestReaderDepth(t *testing.T) {
	t.Parallel()
	for name, levels := range map[string][][]protowire.Number{
		"lists":   {{6, 1}},    // Value.list_value, ListValue.values
		"structs": {{5, 1, 2}}, // Value.struct_value, Struct.fields, the entry's value
		"both":    {{6, 1}, {5, 1, 2}},
	} {
		var path []protowire.Number
		for len(path) < maxDepth+10 {
			for _, l := range levels {
				path = append(path, l...)
			}
		}
		// attributes, metadata_context, filter_metadata's entry, its value (a Struct), fields' entry, its value
		path = slices.Concat([]protowire.Number{1, 11, 1, 2, 1, 2}, path)
		took := map[bool]int{}
		for depth := maxDepth - 3; depth <= maxDepth+1; depth++ {
			for _, inner := range [][]byte{nil, {0x08, 0x01}, {0x0a, 0x00}, {0x0d, 0, 0, 0, 0}, {0x12, 0x00}, {0x2a, 0x00}, {0x32, 0x00}} {
				took[compareReaders(t, nested(path[:depth], inner))]++
			}
		}
		if took[true] == 0 || took[false] == 0 {
			t.Errorf("%s: the limit does not lie where it was looked for: %v", name, took)
		}
	}
	groups := func(n int) []byte { // unknown groups have a limit of their own
		return append(bytes.Repeat([]byte{0x7b}, n), bytes.Repeat([]byte{0x7c}, n)...)
	}
	for n := maxDepth - 3; n < maxDepth+5; n++ {
		compareReaders(t, groups(n))
	}
}

// nested wraps bytes into fields, the innermost last. The bytes are written from the end, since lengths stand in front.
func nested(path []protowire.Number, inner []byte) []byte {
	reversed := bytes.Clone(inner)
	slices.Reverse(reversed)
	for _, number := range slices.Backward(path) {
		head := protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.BytesType), uint64(len(reversed)))
		slices.Reverse(head)
		reversed = append(reversed, head...)
	}
	slices.Reverse(reversed)
	return reversed
}

// TestReaderCountsHeaders: the limits are those of parseCall, also where names stand twice.
func TestReaderCountsHeaders(t *testing.T) {
	t.Parallel()
	entry := func(name, value string) []byte {
		b := appendText(appendText(nil, 1, name), 2, value)
		return nested([]protowire.Number{1, 4, 2, 3}, b)
	}
	raw := func(name, value string) []byte {
		b := appendText(appendText(nil, 1, name), 3, value)
		return nested([]protowire.Number{1, 4, 2, 13, 1}, b)
	}
	for _, count := range []int{maxHeaders - 1, maxHeaders, maxHeaders + 1, 3 * maxHeaders} {
		for _, put := range []func(string, string) []byte{entry, raw} {
			var distinct, same, both []byte
			for i := range count {
				distinct = append(distinct, put(strings.Repeat("n", i), "v")...)
				same = append(same, put("authorization", strings.Repeat("v", i%7))...)
				both = slices.Concat(both, entry(strings.Repeat("n", i%300), "v"), raw("Authorization", "r"))
			}
			for _, message := range [][]byte{distinct, same, both} {
				compareReaders(t, message)
			}
		}
	}
	for _, size := range []int{maxHeaderBytes - 2, maxHeaderBytes - 1, maxHeaderBytes} {
		large := strings.Repeat("v", size)
		for _, message := range [][]byte{entry("n", large), raw("n", large), append(entry("n", large), entry("n", "")...)} {
			compareReaders(t, message)
		}
	}
}
