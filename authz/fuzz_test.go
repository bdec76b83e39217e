package authz

import (
	"context"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// FuzzCheckAlwaysAnswers: whatever bytes a CheckRequest has, there is an answer, it can be sent, and it is an allow only
// for the one token that is believed.
func FuzzCheckAlwaysAnswers(f *testing.F) {
	for _, token := range []string{"good", "bad", "panic", ""} {
		raw, err := proto.Marshal(request(token, map[string]string{extensionRoute: "app", extensionTable: "x"}))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	p := compiled(f, "app", "/**")
	f.Fuzz(func(t *testing.T, raw []byte) {
		req := &authv3.CheckRequest{}
		if proto.Unmarshal(raw, req) != nil {
			return
		}
		s := New(Options{Tokens: onePerson{}})
		s.SetPolicy(p)
		response, err := s.Check(context.Background(), req)
		if err != nil {
			t.Fatalf("Check failed: %v", err)
		}
		if _, err := proto.Marshal(response); err != nil {
			t.Fatalf("the answer cannot be sent: %v", err)
		}
		if response.GetStatus().GetCode() == int32(codes.OK) && len(parseCall(req).Authorization) != 1 {
			t.Fatal("allowed without exactly one token")
		}
	})
}
