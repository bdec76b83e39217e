package authz

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// said is a Struct of one text, as the bytes of a text field.
func said(name, value string) string { return string(appendMember(nil, name, value)) }

// oddProofs are encodings of what proves who asks, next to the bearer token.
func oddProofs(get []byte) []oddMessage {
	const xfcc, jwt = "x-forwarded-client-cert", metadataVouched
	corp, other := said("iss", "corp"), said("iss", "other")
	return []oddMessage{
		{"a scheme, and another", true, slices.Concat(at(pathHTTP, 6, "http"), at(pathHTTP, 6, "https"))},
		{"proofs in the order in which they came", true, slices.Concat(at(pathRaw, 1, "dpop", 3, "b"), at(pathRaw, 1, "DPoP", 2, "a"),
			at(pathRaw, 1, "dpop\x00", 3, "c"), at(pathRaw, 1, "d-op", 3, "c"), at(pathRaw, 1, "dpo", 3, "c"))},
		{"forwarded in the order in which they came", true, slices.Concat(at(pathRaw, 1, xfcc, 3, "b"),
			at(pathRaw, 1, strings.ToUpper(xfcc), 2, "a"), at(pathRaw, 1, "x-forwarded-client_cert", 3, "c"), at(pathRaw, 1, xfcc, 3, "\xff"))},
		{"names that only look alike", true, slices.Concat(at(pathRaw, 1, "x-forwarded-client-ce\u017ft", 3, "c"), at(pathRaw, 1, "\u0501pop", 3, "c"),
			at(pathRaw, 1, "authori\u0292ation", 3, "c"))},
		{"spellings of forwarded in the map", true, slices.Concat(at(pathMap, 1, xfcc, 2, "a"), at(pathMap, 1, strings.ToUpper(xfcc), 2, "b"))},
		{"a spelling of forwarded in the map", true, slices.Concat(at(pathMap, 1, xfcc, 2, "a"), at(pathMap, 1, xfcc, 2, "b"), at(pathMap, 1, "DPOP", 2, "c"))},
		{"spellings of a proof in the map", true, slices.Concat(at(pathMap, 1, "dpop", 2, "a"), at(pathMap, 1, "DPoP", 2, "b"))},
		{"what a filter said", true, slices.Concat(get, at(pathFilter, 1, jwt, 2, corp))},
		{"what a filter said, and then another thing", true, slices.Concat(get, at(pathFilter, 1, jwt, 2, corp), at(pathFilter, 1, jwt, 2, other))},
		{"what a filter said, and then nothing", true, slices.Concat(get, at(pathFilter, 1, jwt, 2, corp), at(pathFilter, 1, jwt))},
		{"what a filter said, then an empty thing", true, slices.Concat(get, at(pathFilter, 1, jwt, 2, corp), at(pathFilter, 1, jwt, 2, ""))},
		{"what a filter said in two parts", true, slices.Concat(get, at(pathFilter, 1, jwt, 2, corp, 2, said("sub", "ana")))},
		{"what a filter said in three parts, one of them empty", true, slices.Concat(get, at(pathFilter, 2, "", 1, jwt, 2, corp, 2, "", 2, other))},
		{"what a filter said before its name", true, slices.Concat(get, at(pathFilter, 2, corp, 1, jwt))},
		{"what a filter said under two names", true, slices.Concat(get, at(pathFilter, 1, jwt, 2, corp, 1, "other"))},
		{"what a filter said under its second name", true, slices.Concat(get, at(pathFilter, 1, "other", 2, corp, 1, jwt))},
		{"what another filter said", true, slices.Concat(get, at(pathFilter, 1, "other", 2, corp), at(pathFilter, 1, strings.ToUpper(jwt), 2, corp))},
		{"what a filter said of the route", true, slices.Concat(get, at([]protowire.Number{1, 13, 1}, 1, jwt, 2, corp))},
		{"what a filter said, typed", true, slices.Concat(get, at([]protowire.Number{1, 11, 2}, 1, jwt, 2, corp))},
		{"what a filter said as a number", true, slices.Concat(get, nested(pathFilter, append(appendText(nil, 1, jwt), 0x10, 0x05)))},
		{"what a filter said in fields that nobody knows", true, slices.Concat(get, at(pathFilter, 1, jwt, 2, "\x7a\x01x", 2, corp, 2, "\x7a\x01y"))},
		{"what a filter said, and no HTTP", true, at(pathFilter, 1, jwt, 2, corp)},
		{"half of what a filter said", false, slices.Concat(get, at(pathFilter, 1, jwt, 2, corp[:len(corp)-1]))},
		{"what a filter said is not UTF-8", false, slices.Concat(get, at(pathFilter, 1, jwt, 2, said("iss", "\xff")))},
	}
}

// TestProofsAreRead says what comes of it, not only that both readers agree.
func TestProofsAreRead(t *testing.T) {
	t.Parallel()
	const xfcc = "x-forwarded-client-cert"
	corp := said("iss", "corp")
	raw := slices.Concat(at(pathHTTP, 6, "https"), at(pathRaw, 1, "dpop", 3, "p1"), at(pathRaw, 1, xfcc, 3, "f2"), at(pathRaw, 1, "DPoP", 2, "p2"),
		at(pathRaw, 1, "X-Forwarded-Client-Cert", 3, "f1"), at(pathRaw, 1, "authorization", 3, "a"), at(pathFilter, 1, metadataVouched, 2, corp))
	joined := slices.Concat(at(pathMap, 1, "dpop", 2, "p1,p2"), at(pathMap, 1, xfcc, 2, "f2,f1"))
	ambiguous := slices.Concat(at(pathMap, 1, xfcc, 2, "f2"), at(pathMap, 1, "X-forwarded-client-cert", 2, "f1"), at(pathMap, 1, "dpop", 2, "p"),
		at(pathMap, 1, "authorization", 2, "a"), at(pathFilter, 1, metadataVouched, 2, corp))
	merged := slices.Concat(at(pathHTTP), at(pathFilter, 1, metadataVouched, 2, corp, 2, said("sub", "ana"), 2, said("iss", "other")))
	for name, c := range map[string]struct{ message, want string }{
		"raw":       {string(raw), `https [p1 p2] [f2 f1] [a] map[iss:corp] `},
		"joined":    {string(joined), ` [p1,p2] [f2,f1] [] map[] `},
		"ambiguous": {string(ambiguous), ` [] [] [] map[] the map of headers has x-forwarded-client-cert more than once; let Envoy send encode_raw_headers`},
		"merged":    {string(merged), ` [] [] [] map[iss:other sub:ana] `},
	} {
		r := &reader{}
		for range 2 { // and nothing stays behind
			r.clear()
			if err := r.read([]byte(c.message)); err != nil {
				t.Fatal(err)
			}
		}
		want, err := readWithProto([]byte(c.message))
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []*Call{&r.call, want} {
			vouched := &structpb.Struct{}
			if err := proto.Unmarshal(call.Vouched, vouched); err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprint(call.Scheme, " ", call.Proofs, " ", call.Forwarded, " ", call.Authorization, " ", vouched.AsMap(), " ", call.Malformed)
			if got != c.want {
				t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
			}
		}
	}
}

// TestManyPartsCostWhatTheyAre: a metadata entry whose value comes in very many parts is read in time that grows with it.
func TestManyPartsCostWhatTheyAre(t *testing.T) {
	part := appendText(nil, 2, "\x7a\x00")
	message := slices.Concat(at(pathHTTP), nested(pathFilter, append(appendText(nil, 1, metadataVouched), slices.Repeat(part, maxMessageBytes/len(part)-100)...)))
	r := &reader{}
	if allocations := testing.AllocsPerRun(1, func() {
		r.clear()
		if err := r.read(message); err != nil {
			t.Fatal(err)
		}
	}); len(r.call.Vouched) < len(message)/3 || allocations > 100 {
		t.Errorf("%d bytes are kept of %d, with %v allocations", len(r.call.Vouched), len(message), allocations)
	}
}
