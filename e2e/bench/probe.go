package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
)

// vouch makes sure of what a row claims: every server admits the request, and those that decide refuse it once its
// token, its certificate or its route is another one. A server that admits everything would be fast for nothing.
func (f *fleet) vouch(ctx context.Context, s *server) error {
	if err := resume(s.pid); err != nil {
		return err
	}
	err := s.vouch(ctx)
	if err != nil {
		err = fmt.Errorf("server (%s): %w", s.key, err)
	}
	return errors.Join(err, pause(s.pid))
}

func (s *server) vouch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	connection, err := grpc.NewClient("unix:"+s.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }() // all was said
	client := authv3.NewAuthorizationClient(connection)
	ask := func(change func(*authv3.AttributeContext)) (codes.Code, error) {
		message := &authv3.CheckRequest{}
		if err := proto.Unmarshal(s.request, message); err != nil {
			return 0, err
		}
		change(message.GetAttributes())
		answer, err := client.Check(ctx, message)
		return codes.Code(answer.GetStatus().GetCode()), err
	}
	if code, err := ask(func(*authv3.AttributeContext) {}); err != nil || code != codes.OK {
		return fmt.Errorf("the request should be admitted and the answer is %s: %w", code, err)
	}
	if s.site == nil {
		return nil
	}
	for what, change := range forgeries {
		if code, err := ask(change); err != nil || code == codes.OK {
			return fmt.Errorf("%s should be refused and the answer is %s: %w", what, code, err)
		}
	}
	return nil
}

// forgeries are changes after which the request must be refused.
var forgeries = map[string]func(*authv3.AttributeContext){
	"a token with one character changed": func(a *authv3.AttributeContext) {
		for _, h := range a.GetRequest().GetHttp().GetHeaderMap().GetHeaders() {
			if h.GetKey() == "authorization" {
				h.GetRawValue()[len(h.GetRawValue())/2] ^= 1
			}
		}
	},
	"a request without a certificate": func(a *authv3.AttributeContext) {
		a.GetSource().Certificate, a.GetSource().Principal = "", ""
	},
	"a path that Envoy did not mean": func(a *authv3.AttributeContext) { a.GetRequest().GetHttp().Path = "/elsewhere" },
}
