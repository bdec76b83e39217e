package authz

import (
	"fmt"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// fieldKind is what the bytes of a field are, as far as a decoder may refuse them.
type fieldKind uint8

const (
	kindPlain   fieldKind = iota // numbers and fields that nobody knows: well-formed is all they must be
	kindBytes                    // any bytes
	kindText                     // UTF-8
	kindMessage                  // a message
	kindEntry                    // an entry of a map
)

// slot is where the reader puts a field that a decision uses.
type slot uint8

const (
	slotNone slot = iota
	slotMethod
	slotHost
	slotPath
	slotScheme
	slotCertificate
	slotPrincipal
	slotPeer
	slotKey   // of the header or map entry that is being read
	slotValue // likewise
	slotRaw   // likewise
	slotVouched
)

// part is a message that a decision uses as a whole: that it is there, or what it held when it ended.
type part uint8

const (
	partNone part = iota
	partHTTP
	partHeaderMap
	partHeader      // one header of the header map
	partHeaderEntry // one entry of the map of headers
	partExtension   // one entry of the context extensions
	partMetadata    // one entry of the filter metadata
	partNoSocket    // an address of the peer of another kind, which takes the place of one that came before
)

// messageShape is what the reader knows of a message type in one place of a CheckRequest.
type messageShape struct {
	name   protoreflect.FullName
	part   part
	fields []fieldShape // by number; those of the API have small ones
}

type fieldShape struct {
	kind  fieldKind
	slot  slot
	child *messageShape // of kindMessage and kindEntry
}

// checkRequestShape is made once, from the descriptors of the API that is linked.
var checkRequestShape = shapeOfCheckRequest()

// shapeOfCheckRequest says which fields are kept. What it names must be there: an API in which it is not is another API,
// and the process must not start with it.
func shapeOfCheckRequest() *messageShape {
	root := describe((&authv3.CheckRequest{}).ProtoReflect().Descriptor(), map[protoreflect.FullName]*messageShape{})
	for _, kept := range []struct {
		slot slot
		path []protoreflect.Name
	}{
		{slotPrincipal, []protoreflect.Name{"attributes", "source", "principal"}},
		{slotCertificate, []protoreflect.Name{"attributes", "source", "certificate"}},
		{slotPeer, []protoreflect.Name{"attributes", "source", "address", "socket_address", "address"}},
		{slotMethod, []protoreflect.Name{"attributes", "request", "http", "method"}},
		{slotPath, []protoreflect.Name{"attributes", "request", "http", "path"}},
		{slotHost, []protoreflect.Name{"attributes", "request", "http", "host"}},
		{slotScheme, []protoreflect.Name{"attributes", "request", "http", "scheme"}},
		{slotKey, []protoreflect.Name{"attributes", "request", "http", "headers", "key"}},
		{slotValue, []protoreflect.Name{"attributes", "request", "http", "headers", "value"}},
		{slotKey, []protoreflect.Name{"attributes", "request", "http", "header_map", "headers", "key"}},
		{slotValue, []protoreflect.Name{"attributes", "request", "http", "header_map", "headers", "value"}},
		{slotRaw, []protoreflect.Name{"attributes", "request", "http", "header_map", "headers", "raw_value"}},
		{slotKey, []protoreflect.Name{"attributes", "context_extensions", "key"}},
		{slotValue, []protoreflect.Name{"attributes", "context_extensions", "value"}},
		{slotKey, []protoreflect.Name{"attributes", "metadata_context", "filter_metadata", "key"}},
		{slotVouched, []protoreflect.Name{"attributes", "metadata_context", "filter_metadata", "value"}},
	} {
		_, field := root.own(kept.path)
		field.slot = kept.slot
	}
	for _, whole := range []struct {
		part part
		path []protoreflect.Name
	}{
		{partHTTP, []protoreflect.Name{"attributes", "request", "http", "id"}},
		{partHeaderEntry, []protoreflect.Name{"attributes", "request", "http", "headers", "key"}},
		{partHeaderMap, []protoreflect.Name{"attributes", "request", "http", "header_map", "headers"}},
		{partHeader, []protoreflect.Name{"attributes", "request", "http", "header_map", "headers", "key"}},
		{partExtension, []protoreflect.Name{"attributes", "context_extensions", "key"}},
		{partMetadata, []protoreflect.Name{"attributes", "metadata_context", "filter_metadata", "key"}},
		{partNoSocket, []protoreflect.Name{"attributes", "source", "address", "pipe", "path"}},
		{partNoSocket, []protoreflect.Name{"attributes", "source", "address", "envoy_internal_address", "server_listener_name"}},
	} {
		message, _ := root.own(whole.path)
		message.part = whole.part
	}
	return root
}

// own finds a field by the names that lead to it, and the message that it is in. Every message on the way becomes one of
// this place alone: source and destination have the same type, and only one of them is kept.
func (m *messageShape) own(path []protoreflect.Name) (*messageShape, *fieldShape) {
	descriptor := (&authv3.CheckRequest{}).ProtoReflect().Descriptor()
	for i, name := range path {
		of := descriptor.Fields().ByName(name)
		if of == nil {
			panic(fmt.Sprintf("authz: %s of this version of the API has no field %s: teach the reader", descriptor.FullName(), name))
		}
		field := &m.fields[of.Number()]
		if i == len(path)-1 {
			return m, field
		}
		child := *field.child
		child.fields = append([]fieldShape(nil), child.fields...)
		field.child = &child
		m, descriptor = &child, of.Message()
	}
	panic("authz: a path of no names")
}

// describe reads a message type and all that it can hold. Types that hold themselves (google.protobuf.Value) become rings.
func describe(of protoreflect.MessageDescriptor, known map[protoreflect.FullName]*messageShape) *messageShape {
	if shape := known[of.FullName()]; shape != nil {
		return shape
	}
	shape := &messageShape{name: of.FullName()}
	known[of.FullName()] = shape
	if of.ExtensionRanges().Len() > 0 || of.RequiredNumbers().Len() > 0 {
		panic(fmt.Sprintf("authz: %s of this version of the API has extensions or required fields: teach the reader", of.FullName()))
	}
	for i := range of.Fields().Len() {
		field := of.Fields().Get(i)
		for int(field.Number()) >= len(shape.fields) {
			shape.fields = append(shape.fields, fieldShape{})
		}
		shape.fields[field.Number()] = describeField(field, known)
	}
	return shape
}

// describeField panics on what no message of the API has had so far: packed numbers and groups are read in ways of their
// own, and a field number that needs a large table would deserve another one.
func describeField(field protoreflect.FieldDescriptor, known map[protoreflect.FullName]*messageShape) fieldShape {
	const largest = 64
	switch kind := field.Kind(); {
	case field.Number() > largest, kind == protoreflect.GroupKind,
		field.Syntax() != protoreflect.Proto3, // whose strings are UTF-8, which other syntaxes leave open
		field.IsList() && kind != protoreflect.MessageKind && kind != protoreflect.StringKind && kind != protoreflect.BytesKind:
		panic(fmt.Sprintf("authz: %s of this version of the API is a %s %s in %s: teach the reader",
			field.FullName(), field.Cardinality(), kind, field.Syntax()))
	case field.IsMap():
		return fieldShape{kind: kindEntry, child: describe(field.Message(), known)}
	case kind == protoreflect.MessageKind:
		return fieldShape{kind: kindMessage, child: describe(field.Message(), known)}
	case kind == protoreflect.StringKind:
		return fieldShape{kind: kindText}
	case kind == protoreflect.BytesKind:
		return fieldShape{kind: kindBytes}
	}
	return fieldShape{}
}
