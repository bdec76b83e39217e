package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/config"
)

// TestAnswersAsClientsSeeThem: a laptop that is refused for its state, and a login that is too old, as each client sees it
// through Envoy, over HTTP/1.1 and HTTP/2.
func TestAnswersAsClientsSeeThem(t *testing.T) {
	t.Parallel()
	p := layOut(t, example{name: "../e2e/testdata/answers", envoy: "spiffe://acme.example/ns/edge/sa/envoy",
		clients: map[string][]string{"ingress": {"acme.example", "laptops"}}})
	p.write(t, "policy/routes.yaml", []byte(answerRoutes("127.0.0.1:9")))
	p.load(t)
	p.start(t)
	laptop := made(p.authorities["laptops"].Device("desk", "DESK", forAnHour))(t)
	p.report(t, "mdm", laptop, 0, map[string]any{"platform": "macos", "enrolled_user": "ana", "compromised": true})
	token := made(p.issuers["corp"].Token("ana", []string{"staff"}, forAnHour, map[string]any{"auth_time": time.Now().Add(-time.Hour).Unix()}))(t)
	of := func(host string) *ending { return &ending{host: host, pair: laptop, token: token} }
	for ctx := soon(t, 30*time.Second); ; time.Sleep(10 * time.Millisecond) {
		code, body, err := of("device").ask(t, p)
		if strings.Contains(body, `"reason":"posture"`) {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("never judged: %d %s %v", code, body, err)
		}
	}
	files := config.KeyPair{CertFile: "pki/desk.pem", KeyFile: "pki/desk.key"}
	p.writePair(t, files, func(*testing.T) *devca.Pair { return laptop })
	p.write(t, "pki/servers.pem", p.servers.PEM())
	for _, http1 := range []bool{true, false} {
		version := map[bool]string{true: "HTTP/1.1", false: "HTTP/2"}[http1]
		t.Run("curl "+version, func(t *testing.T) { t.Parallel(); curlSees(t, p, files, token, http1) })
		t.Run("gRPC-Web "+version, func(t *testing.T) { t.Parallel(); grpcWebSees(t, p, of, http1) })
		t.Run("Connect "+version, func(t *testing.T) { t.Parallel(); connectSees(t, p, of("device"), http1) })
	}
	t.Run("gRPC", func(t *testing.T) { t.Parallel(); grpcSees(t, p, of) })
	t.Run("WebSocket", func(t *testing.T) {
		t.Parallel()
		for name, dial := range map[string]streamKind{"HTTP/1.1": streamKinds["WebSocket over HTTP/1.1"], "HTTP/2": streamKinds["WebSocket over HTTP/2"]} {
			_, _, err := dial(soon(t, 10*time.Second), of("device"), p)
			if err == nil || !strings.Contains(err.Error(), "403") || !strings.Contains(err.Error(), `"reason":"posture"`) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// answerRoutes lead nowhere: everything is refused.
func answerRoutes(upstream string) string {
	var out strings.Builder
	document := func(kind, name, spec string, args ...any) {
		fmt.Fprintf(&out, churnDocument, kind, name, fmt.Sprintf(spec, args...))
	}
	document("Upstream", "calls", "endpoints: [%q], plaintext: true", upstream)
	for _, tier := range []string{"device", "hint", "silent", "login"} {
		guards := fmt.Sprintf("hosts: [%s.acme.example], tier: %s, audiences: [staff], upstream: calls", tier, tier)
		document("Route", tier+"-rest", "%s, path: /**", guards)
		document("Route", tier+"-socket", "%s, path: /socket, webSocket: true", guards)
	}
	return out.String()
}

// curlSees asks with the real curl, as an application and as a browser would.
func curlSees(t *testing.T, p *played, files config.KeyPair, token string, http1 bool) {
	t.Helper()
	curl := func(host string, more ...string) (head, body string) {
		version := map[bool]string{true: "--http1.1", false: "--http2"}[http1]
		args := append([]string{"--silent", "--show-error", "--include", version, "--cacert", p.path("pki", "servers.pem"), "--cert", p.path(files.CertFile),
			"--key", p.path(files.KeyFile), "--connect-to", "::" + p.settings.Envoy.Listeners[0].Address,
			"--header", "Authorization: Bearer " + token, "https://" + host + ".acme.example/x"}, more...)
		out, err := exec.CommandContext(soon(t, 10*time.Second), "curl", args...).Output()
		if err != nil {
			t.Fatalf("curl: %v", err)
		}
		head, body, _ = strings.Cut(string(out), "\r\n\r\n")
		return strings.ToLower(head), body
	}
	head, body := curl("device")
	var problem struct {
		Reason, DecisionID, Tier, Contact string
		Status                            int
		Unmet                             []struct{ Signal, Owner, Contact string }
	}
	if err := json.Unmarshal([]byte(body), &problem); err != nil || problem.Reason != "posture" || problem.Status != 403 || problem.Tier != "device" ||
		len(problem.Unmet) != 1 || problem.Unmet[0].Contact != "iam@acme.example" || !strings.Contains(head, "content-type: application/problem+json") ||
		!strings.Contains(head, "x-tiergate-decision-id: "+problem.DecisionID) {
		t.Errorf("%v %s\n%s", err, head, body)
	}
	head, body = curl("device", "--header", "Accept: text/html,*/*;q=0.8", "--header", "Accept-Language: de")
	if root, err := html.Parse(strings.NewReader(body)); err != nil || !strings.Contains(head, "content-type: text/html; charset=utf-8") ||
		!strings.Contains(head, "content-security-policy: default-src 'none'; style-src 'sha256-") || !strings.Contains(body, `<html lang="de"`) ||
		!strings.Contains(body, `href="https://it.acme.example/mend"`) || root == nil || !strings.Contains(head, " 403") {
		t.Errorf("%v %s\n%s", err, head, body)
	}
	if head, body = curl("device", "--header", "Sec-Fetch-Mode: navigate", "--header", "Sec-Fetch-Dest: document"); !strings.Contains(body, "Ring 4711 or: ") {
		t.Errorf("%s\n%s", head, body)
	}
	if head, body = curl("device", "--head", "--header", "Sec-Fetch-Mode: navigate"); body != "" || !strings.Contains(head, "text/html") {
		t.Errorf("HEAD: %s\n%s", head, body)
	}
	head, body = curl("silent")
	for _, word := range []string{"posture", "whole", "iam", "Mend", "silent"} {
		if strings.Contains(head+body, word) {
			t.Errorf("%s is told:\n%s\n%s", word, head, body)
		}
	}
	if head, body = curl("login"); !strings.Contains(head, " 401") || !strings.Contains(head, `max_age="900"`) || !strings.Contains(body, `"step-up"`) {
		t.Errorf("%s\n%s", head, body)
	}
	if head, _ = curl("device", "--header", "Sec-Fetch-Mode: navigate"); strings.Contains(head, "www-authenticate") {
		t.Errorf("a 403 with a challenge: %s", head)
	}
}

// grpcSees is what grpc-go tells its application.
func grpcSees(t *testing.T, p *played, of func(string) *ending) {
	t.Helper()
	for host, want := range map[string]codes.Code{"device": codes.PermissionDenied, "hint": codes.PermissionDenied, "silent": codes.PermissionDenied,
		"login": codes.Unauthenticated} {
		_, _, err := of(host).call(soon(t, 10*time.Second), p)
		s, ok := status.FromError(err)
		if !ok || s.Code() != want || len(s.Details()) == 0 {
			t.Errorf("%s: %v with %v", host, err, s.Details())
			continue
		}
		info, ok := s.Details()[0].(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != "tiergate.dev" || len(info.GetMetadata()["decisionId"]) != 36 {
			t.Errorf("%s: %v", host, s.Details())
			continue
		}
		told := fmt.Sprint(s.Message(), s.Details())
		for _, c := range []struct {
			word  string
			hosts string
		}{{"Mend it.", "device"}, {"https://it.acme.example/mend", "device"}, {"POSTURE", "device hint"}, {"STEP_UP", "login"},
			{"Device needs attention", "device hint"}, {"Not allowed", "silent"}} {
			if strings.Contains(told, c.word) != strings.Contains(c.hosts, host) {
				t.Errorf("%s is told by %s: %t\n%s", c.word, host, strings.Contains(told, c.word), told)
			}
		}
	}
}

// post asks as a client of a protocol does, and reads all that comes.
func (e *ending) post(ctx context.Context, p *played, http1 bool, contentType string) (*http.Response, string, error) {
	transport := e.transport(p, http1)
	defer transport.CloseIdleConnections()
	request, err := e.request(ctx, http.MethodPost, "/grpc.testing.TestService/EmptyCall", "", strings.NewReader("\x00\x00\x00\x00\x00"))
	if err != nil {
		return nil, "", err
	}
	request.Header.Set("Content-Type", contentType)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// grpcWebSees reads status and details where clients of gRPC-Web look: HTTP 200, then headers.
func grpcWebSees(t *testing.T, p *played, of func(string) *ending, http1 bool) {
	t.Helper()
	for contentType, want := range map[string]string{"application/grpc-web+proto": "application/grpc-web+proto", "application/grpc-web-text": "application/grpc-web-text+proto"} {
		response, body, err := of("device").post(soon(t, 10*time.Second), p, http1, contentType)
		if err != nil || response.StatusCode != 200 || len(body) > 8 || response.Header.Get("Content-Type") != want || response.Header.Get("Grpc-Status") != "7" {
			t.Fatalf("%v %+v %q", err, response, body)
		}
		raw := made(base64.RawStdEncoding.DecodeString(response.Header.Get("Grpc-Status-Details-Bin")))(t)
		wire := &rpcstatus.Status{}
		if err := proto.Unmarshal(raw, wire); err != nil {
			t.Fatal(err)
		}
		s := status.FromProto(wire)
		if message := made(url.PathUnescape(response.Header.Get("Grpc-Message")))(t); message != s.Message() || len(s.Details()) != 3 {
			t.Errorf("%q, %v", message, s)
		}
	}
}

// connectSees reads a Connect error, of a unary call and of a stream.
func connectSees(t *testing.T, p *played, e *ending, http1 bool) {
	t.Helper()
	for contentType, want := range map[string]struct {
		status int
		prefix int
		answer string
	}{"application/proto": {403, 0, "application/json"}, "application/connect+proto": {200, 5, "application/connect+proto"}} {
		response, body, err := e.post(soon(t, 10*time.Second), p, http1, contentType)
		if err != nil || response.StatusCode != want.status || response.Header.Get("Content-Type") != want.answer || len(body) < 20 {
			t.Fatalf("%v %+v %q", err, response, body)
		}
		if want.prefix > 0 && (body[0] != 2 || int(body[3])<<8|int(body[4]) != len(body)-5) {
			t.Errorf("a prefix of % x before %d bytes", body[:5], len(body)-5)
		}
		if !strings.Contains(body[want.prefix:], `"code":"permission_denied"`) || !strings.Contains(body, `"type":"google.rpc.ErrorInfo"`) || !json.Valid([]byte(body[want.prefix:])) {
			t.Errorf("%s", body)
		}
	}
}
