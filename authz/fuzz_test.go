package authz

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// FuzzCheckAlwaysAnswers: whatever bytes a CheckRequest has, there is an answer, it can be sent, it is the same with both
// readers, and it is an allow only for the one token that is believed.
func FuzzCheckAlwaysAnswers(f *testing.F) {
	for _, token := range []string{"good", "bad", "panic", ""} {
		raw, err := proto.Marshal(request(token, map[string]string{extensionRoute: "app", extensionTable: "x"}))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte("garbage"))
	p := compiled(f, "app", "/**")
	f.Fuzz(func(t *testing.T, raw []byte) {
		told := map[bool]string{}
		for _, stock := range []bool{false, true} {
			var call *Call
			s := New(Options{Tokens: onePerson{}, StockCodec: stock})
			s.SetPolicy(p)
			response := answerTo(t, s, raw)
			code := codes.Code(response.GetStatus().GetCode())
			told[stock] = code.String() + " " + reasonOf(response)
			call, _ = readWithProto(raw)
			if code == codes.OK && (call == nil || len(call.Authorization) != 1) {
				t.Fatal("allowed without exactly one token")
			}
		}
		if told[false] != told[true] {
			t.Fatalf("our reader: %s; protobuf's: %s", told[false], told[true])
		}
	})
}

// FuzzReaderAgreesWithProto: our reader and protobuf take the same bytes, refuse the same bytes, and read the same Call.
func FuzzReaderAgreesWithProto(f *testing.F) {
	for _, odd := range oddMessages(f) {
		f.Add(odd.message)
	}
	f.Fuzz(func(t *testing.T, message []byte) { compareReaders(t, message) })
}
