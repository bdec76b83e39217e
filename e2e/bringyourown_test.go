package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

const bringYourOwn = "../examples/bring-your-own"

// notSent are the CheckRequests of Envoys that tiergate does not program, by the words of the table in the README of
// examples/bring-your-own, which says what is answered to each.
var notSent = map[string]func(s *stage.Stage) *authv3.CheckRequest{
	"everything": func(s *stage.Stage) *authv3.CheckRequest { return asks(s, "ana-laptop", "ana") },
	"a principal, no certificate": func(s *stage.Stage) *authv3.CheckRequest {
		return without(asks(s, "ana-laptop", "ana"), certificate)
	},
	"a workload's principal, no certificate": func(s *stage.Stage) *authv3.CheckRequest {
		return without(asksPayroll(s), certificate)
	},
	"a workload's certificate": asksPayroll,
	"a certificate, no principal": func(s *stage.Stage) *authv3.CheckRequest {
		return without(asks(s, "ana-laptop", "ana"), principal)
	},
	"neither, and a tier that identifies user and device": func(s *stage.Stage) *authv3.CheckRequest {
		return without(asks(s, "ana-laptop", "ana"), certificate, principal)
	},
	"neither, and a tier that identifies a workload": func(s *stage.Stage) *authv3.CheckRequest {
		return without(asksPayroll(s), certificate, principal)
	},
	"neither, and a tier that identifies a user": func(s *stage.Stage) *authv3.CheckRequest {
		r := without(asks(s, "cleo-laptop", "cleo"), certificate, principal)
		r.GetAttributes().GetRequest().GetHttp().Host = stage.ContractorHost
		return r
	},
	"only x-forwarded-client-cert": func(s *stage.Stage) *authv3.CheckRequest {
		r := asks(s, "ana-laptop", "ana")
		r.GetAttributes().GetRequest().GetHttp().Headers["x-forwarded-client-cert"] =
			`Hash=00;Cert="` + r.GetAttributes().GetSource().GetCertificate() + `";URI=spiffe://acme.example/ns/ci/sa/deployer`
		return without(r, certificate, principal)
	},
	"only the claims of the token, as metadata": func(s *stage.Stage) *authv3.CheckRequest {
		r := without(asks(s, "ana-laptop", "ana"), authorization)
		claims, _ := structpb.NewStruct(map[string]any{"jwt_payload": map[string]any{
			"iss": stage.IssuerURL, "sub": "ana@acme.example", "groups": []any{"staff"}}})
		r.GetAttributes().MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			"envoy.filters.http.jwt_authn": claims}}
		return r
	},
	"no authorization header": func(s *stage.Stage) *authv3.CheckRequest {
		return without(asks(s, "ana-laptop", "ana"), authorization)
	},
	"two authorization headers, joined by a comma": func(s *stage.Stage) *authv3.CheckRequest {
		r := asks(s, "ana-laptop", "ana")
		headers := r.GetAttributes().GetRequest().GetHttp().GetHeaders()
		headers["authorization"] += "," + headers["authorization"]
		return r
	},
	"two authorization headers, raw": func(s *stage.Stage) *authv3.CheckRequest {
		r := raw(asks(s, "ana-laptop", "ana"))
		headers := r.GetAttributes().GetRequest().GetHttp().GetHeaderMap()
		headers.Headers = append(headers.Headers, headers.Headers...)
		return r
	},
	"one authorization header, raw": func(s *stage.Stage) *authv3.CheckRequest { return raw(asks(s, "ana-laptop", "ana")) },
	"context extensions that are not ours": func(s *stage.Stage) *authv3.CheckRequest {
		r := asks(s, "ana-laptop", "ana")
		r.GetAttributes().ContextExtensions = map[string]string{"tier": "contractor", "route": "payroll-admin"}
		return r
	},
	"our context extension, with another route": func(s *stage.Stage) *authv3.CheckRequest {
		r := asks(s, "ana-laptop", "ana")
		r.GetAttributes().ContextExtensions = map[string]string{"tiergate.route": "payroll-admin"}
		return r
	},
	"a host with port and capitals": func(s *stage.Stage) *authv3.CheckRequest {
		r := asks(s, "ana-laptop", "ana")
		r.GetAttributes().GetRequest().GetHttp().Host = strings.ToUpper(stage.PortalHost) + ":443"
		return r
	},
	"a path that Envoy did not normalise": func(s *stage.Stage) *authv3.CheckRequest {
		r := asksPayroll(s)
		r.GetAttributes().GetRequest().GetHttp().Path = "/public/..%2fadmin"
		return r
	},
	"a path that no route has": func(s *stage.Stage) *authv3.CheckRequest {
		r := asksPayroll(s)
		r.GetAttributes().GetRequest().GetHttp().Path = "/runs"
		return r
	},
	"no HTTP at all (a TCP filter)": func(s *stage.Stage) *authv3.CheckRequest {
		r := asks(s, "ana-laptop", "ana")
		r.GetAttributes().Request = nil
		return r
	},
}

// asks is what an Envoy sends that sends all it can, headers joined as by default.
func asks(s *stage.Stage, pair, token string) *authv3.CheckRequest {
	shown := s.Cast.Pairs[pair]
	name := "CN=" + pair // Envoy's principal: the first URI name, else a DNS name, else the subject
	if len(shown.Certificate.URIs) > 0 {
		name = shown.Certificate.URIs[0].String()
	}
	headers := map[string]string{}
	if token != "" {
		headers["authorization"] = "Bearer " + s.Cast.Tokens[token]
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Principal: name, Certificate: url.PathEscape(string(shown.CertificatePEM()))},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: "GET", Host: stage.PortalHost, Path: "/?a=b", Headers: headers,
		}},
	}}
}

func asksPayroll(s *stage.Stage) *authv3.CheckRequest {
	r := asks(s, "deployer", "")
	r.GetAttributes().GetRequest().GetHttp().Host = stage.PayrollHost
	r.GetAttributes().GetRequest().GetHttp().Path = "/admin/run"
	return r
}

// What a request can be sent without.
func certificate(a *authv3.AttributeContext) { a.GetSource().Certificate = "" }
func principal(a *authv3.AttributeContext)   { a.GetSource().Principal = "" }
func authorization(a *authv3.AttributeContext) {
	delete(a.GetRequest().GetHttp().GetHeaders(), "authorization")
}

func without(r *authv3.CheckRequest, parts ...func(*authv3.AttributeContext)) *authv3.CheckRequest {
	for _, leaveOut := range parts {
		leaveOut(r.GetAttributes())
	}
	return r
}

// raw sends headers as encode_raw_headers does.
func raw(r *authv3.CheckRequest) *authv3.CheckRequest {
	http := r.GetAttributes().GetRequest().GetHttp()
	http.HeaderMap = &corev3.HeaderMap{}
	for name, value := range http.GetHeaders() {
		http.HeaderMap.Headers = append(http.HeaderMap.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
	}
	http.Headers = nil
	return r
}

// answered puts an answer as the README does: status and reason.
func answered(r *authv3.CheckResponse) string {
	if r.GetStatus().GetCode() == int32(codes.OK) {
		return "200 allowed"
	}
	var problem stage.Problem
	if err := json.Unmarshal([]byte(r.GetDeniedResponse().GetBody()), &problem); err != nil {
		return "no problem+json: " + err.Error()
	}
	return fmt.Sprintf("%d %s", r.GetDeniedResponse().GetStatus().GetCode(), problem.Reason)
}

// notSentTable reads the README's table: what is sent, and what tiergate answers.
func notSentTable(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile(bringYourOwn + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "<!-- e2e:not-sent -->\n")
	table, _, end := strings.Cut(rest, "\n\n")
	if !found || !end {
		t.Fatal("the README has no table after e2e:not-sent")
	}
	answers := map[string]string{}
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		answers[strings.TrimSpace(cells[0])] = strings.Trim(cells[1], " `")
	}
	return answers
}

// TestWhatOthersDoNotSend: a running tiergate answers a CheckRequest that lacks something as the README says, and never
// with more than the whole one gets.
func TestWhatOthersDoNotSend(t *testing.T) {
	t.Parallel()
	s := theCompany(t)
	connection, err := grpc.NewClient("unix:"+s.Path("run", "authz.sock"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	client, want := authv3.NewAuthorizationClient(connection), notSentTable(t)
	for name, request := range notSent {
		response, err := client.Check(soon(t, 20*time.Second), request(s))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := answered(response); got != want[name] {
			t.Errorf("%s: answered %q, the README says %q", name, got, want[name])
		}
		if response.GetStatus().GetCode() == int32(codes.OK) {
			ownHeadersOnly(t, name, response.GetOkResponse())
		}
	}
	for name := range want {
		if notSent[name] == nil {
			t.Errorf("the README says what happens with %q, and nobody tries it", name)
		}
	}
}

// ownHeadersOnly: an Envoy without our early removal passes a client's x-tiergate-* on, unless the answer sets or removes
// each of them.
func ownHeadersOnly(t *testing.T, name string, ok *authv3.OkHttpResponse) {
	t.Helper()
	said := strings.Join(ok.GetHeadersToRemove(), " ")
	for _, h := range ok.GetHeaders() {
		said += " " + h.GetHeader().GetKey()
		if h.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			t.Errorf("%s: %s would be appended to a client's own", name, h.GetHeader().GetKey())
		}
	}
	for _, header := range []string{"subject", "device", "tier", "route", "decision-id"} {
		if strings.Count(said, "x-tiergate-"+header) != 1 {
			t.Errorf("%s: x-tiergate-%s is neither set nor removed", name, header)
		}
	}
}
