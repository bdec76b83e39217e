package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/html"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pages "github.com/tiergate/tiergate/authz/answers"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// TestCouldNotKnowForEveryClient: the column "could not know" of the README's table, cell by cell through the real Envoy. The
// store is a real Valkey that has died, and the laptop one that was never looked up; then tiergate itself does not answer.
func TestCouldNotKnowForEveryClient(t *testing.T) {
	t.Parallel()
	p := layOut(t, example{name: "../e2e/testdata/answers", envoy: "spiffe://acme.example/ns/edge/sa/envoy",
		clients: map[string][]string{"ingress": {"acme.example", "laptops"}}})
	p.write(t, "policy/routes.yaml", []byte(answerRoutes("127.0.0.1:9")))
	p.onItsOwnValkey(t)
	p.load(t)
	p.start(t)
	laptop := made(p.authorities["laptops"].Device("desk", "DESK", forAnHour))(t)
	token := made(p.issuers["corp"].Token("ana", []string{"staff"}, forAnHour, map[string]any{"auth_time": time.Now().Unix()}))(t)
	of := func(host string) *ending { return &ending{host: host, pair: laptop, token: token} }
	until := func(want int, reason string) {
		t.Helper()
		for ctx := soon(t, 30*time.Second); ; time.Sleep(10 * time.Millisecond) {
			code, body, err := of("device").ask(t, p)
			if code == want && strings.Contains(body, reason) {
				return
			}
			if ctx.Err() != nil {
				t.Fatalf("never %d %s: %d %s %v", want, reason, code, body, err)
			}
		}
	}
	until(http.StatusForbidden, `"reason":"device-unknown"`) // the store says that it knows no such laptop
	if err := p.processes.Kill("valkey"); err != nil {
		t.Fatal(err)
	}
	until(http.StatusServiceUnavailable, `"reason":"store-unreachable"`)
	for _, http1 := range []bool{true, false} {
		unknownOverHTTP(t, p, of, http1)
		unknownOverRPC(t, p, of, http1)
	}
	unknownOverGRPC(t, p, of)
	for name, dial := range map[string]streamKind{"HTTP/1.1": streamKinds["WebSocket over HTTP/1.1"], "HTTP/2": streamKinds["WebSocket over HTTP/2"]} {
		_, _, err := dial(soon(t, 10*time.Second), of("device"), p)
		if err == nil || !strings.HasPrefix(err.Error(), "503") || !strings.Contains(err.Error(), `"reason":"store-unreachable"`) {
			t.Errorf("WebSocket over %s: %v", name, err)
		}
	}
	nobodyAnswers(t, p, of)
	if err := p.processes.Restart(soon(t, time.Minute), "valkey"); err != nil {
		t.Fatal(err)
	}
	until(http.StatusForbidden, `"reason":"device-unknown"`)
}

// onItsOwnValkey starts a Valkey for an example that has none, and writes its settings so.
func (p *played) onItsOwnValkey(t *testing.T) {
	t.Helper()
	socket := p.path("run", "valkey.sock")
	binaries := made(stage.FindBinaries())(t)
	if err := p.processes.Start(soon(t, time.Minute), stage.Process{Name: "valkey", Path: binaries.Valkey, Log: p.path("logs", "valkey.log"),
		Args: []string{"--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", p.path("store"), "--appendonly", "yes",
			"--save", "", "--daemonize", "no"},
		Ready: func(ctx context.Context) error { return reachable(ctx, "unix", socket) }}); err != nil {
		t.Fatal(err)
	}
	settings := replaceOnce(t, string(made(os.ReadFile(p.path("settings.yaml")))(t)), "{embedded: {file: store/tiergate.db}}",
		fmt.Sprintf("{redis: {address: %s, unsealed: true}}", socket))
	p.write(t, "settings.yaml", []byte(settings))
}

// unknownOverHTTP is what a person, a script of a page and an application see.
func unknownOverHTTP(t *testing.T, p *played, of func(string) *ending, http1 bool) {
	t.Helper()
	script := http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Accept": {"*/*"}}
	because := pages.BuiltIn().Choose("en").Reason(policy.ReasonStoreUnreachable).Detail
	for _, c := range []struct {
		method, host string
		header       http.Header
		contentType  string
		says, hides  []string
	}{
		{"GET", "device", navigating, "text/html; charset=utf-8", []string{because, "store-unreachable", "Ring 4711 or: ", "iam@acme.example"}, nil},
		{"HEAD", "device", navigating, "text/html; charset=utf-8", nil, nil},
		{"GET", "hint", navigating, "text/html; charset=utf-8", []string{because, "store-unreachable"}, []string{"iam@acme.example"}},
		{"GET", "silent", navigating, "text/html; charset=utf-8", nil, []string{because, "store-unreachable", "silent"}},
		{"GET", "device", script, "application/problem+json", []string{because}, nil},
		{"POST", "device", nil, "application/problem+json", []string{because, `"tier":"device"`, "iam@acme.example"}, nil},
		{"GET", "hint", nil, "application/problem+json", []string{because}, []string{"iam@acme.example", `"tier"`}},
		{"GET", "silent", nil, "application/problem+json", nil, []string{because, "store", "silent"}},
	} {
		e := of(c.host)
		request := made(e.request(soon(t, 10*time.Second), c.method, "/x", "", nil))(t)
		for name, values := range c.header {
			request.Header[name] = values
		}
		transport := e.transport(p, http1)
		response, body, err := exchanged(transport, request)
		transport.CloseIdleConnections()
		how := fmt.Sprintf("%s %s of %s, HTTP/1 %t", c.method, c.contentType, c.host, http1)
		if err != nil || unlike503(response) != "" || response.Header.Get("Content-Type") != c.contentType {
			t.Fatalf("%s: %v %s", how, err, unlike503(response))
		}
		for _, word := range c.says {
			if !strings.Contains(body, word) {
				t.Errorf("%s: does not say %q:\n%s", how, word, body)
			}
		}
		for _, word := range c.hides {
			if strings.Contains(body, word) {
				t.Errorf("%s: says %q:\n%s", how, word, body)
			}
		}
		if got := unreadable(c.method, c.host, body, response); got != "" {
			t.Errorf("%s: %s:\n%s", how, got, body)
		}
	}
}

// unlike503 says in what a response is not one to come again to.
func unlike503(r *http.Response) string {
	switch {
	case r == nil:
		return "none"
	case r.StatusCode != http.StatusServiceUnavailable, r.Header.Get("Retry-After") != "5", r.Header.Get("Cache-Control") != "no-store",
		len(r.Header.Get("X-Tiergate-Decision-Id")) != 36, len(r.Header.Values("WWW-Authenticate")) > 0, r.Header.Get("Location") != "":
		return fmt.Sprintf("%d %v", r.StatusCode, r.Header)
	}
	return ""
}

// unreadable says what is wrong with the body of a 503 as a client reads it.
func unreadable(method, host, body string, r *http.Response) string {
	id := r.Header.Get("X-Tiergate-Decision-Id")
	if method == http.MethodHead {
		return body
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
		if _, err := html.Parse(strings.NewReader(body)); err != nil || !strings.Contains(body, id) || strings.Contains(body, "<script") {
			return fmt.Sprintf("no page: %v", err)
		}
		return ""
	}
	var problem struct {
		Type, Title, Detail, Reason, DecisionID string
		Status                                  int
	}
	err := json.Unmarshal([]byte(body), &problem)
	want := map[string]string{"device": "store-unreachable", "hint": "store-unreachable"}
	if err != nil || problem.Status != http.StatusServiceUnavailable || problem.DecisionID != id || problem.Title == "" || problem.Reason != want[host] {
		return fmt.Sprintf("no problem: %v %+v", err, problem)
	}
	return ""
}

// unknownOverRPC is what clients of gRPC-Web and Connect see.
func unknownOverRPC(t *testing.T, p *played, of func(string) *ending, http1 bool) {
	t.Helper()
	for _, contentType := range []string{"application/grpc-web+proto", "application/grpc-web-text"} {
		response, body, err := of("device").post(soon(t, 10*time.Second), p, http1, contentType)
		if err != nil || response.StatusCode != http.StatusOK || response.Header.Get("Grpc-Status") != "14" || len(body) > 8 ||
			response.Header.Get("Grpc-Message") == "" {
			t.Fatalf("%s: %v %+v %q", contentType, err, response, body)
		}
		wire := &rpcstatus.Status{}
		raw := made(base64.RawStdEncoding.DecodeString(response.Header.Get("Grpc-Status-Details-Bin")))(t)
		if err := proto.Unmarshal(raw, wire); err != nil {
			t.Fatal(err)
		}
		s := status.FromProto(wire)
		if message := made(url.PathUnescape(response.Header.Get("Grpc-Message")))(t); message != s.Message() || unlikeUnavailable(s, true) != "" {
			t.Errorf("%s: %q, %s", contentType, message, unlikeUnavailable(s, true))
		}
	}
	for contentType, want := range map[string]struct {
		status, prefix int
		answer         string
	}{"application/proto": {503, 0, "application/json"}, "application/connect+proto": {200, 5, "application/connect+proto"}} {
		response, body, err := of("device").post(soon(t, 10*time.Second), p, http1, contentType)
		if err != nil || response.StatusCode != want.status || response.Header.Get("Content-Type") != want.answer || len(body) < 20 {
			t.Fatalf("%s: %v %+v %q", contentType, err, response, body)
		}
		if want.prefix == 0 && response.Header.Get("Retry-After") != "5" {
			t.Errorf("%s: %v", contentType, response.Header)
		}
		if !json.Valid([]byte(body[want.prefix:])) || !strings.Contains(body, `"code":"unavailable"`) ||
			!strings.Contains(body, `"type":"google.rpc.RetryInfo"`) || !strings.Contains(body, `"type":"google.rpc.ErrorInfo"`) {
			t.Errorf("%s: %s", contentType, body)
		}
	}
}

// unknownOverGRPC is what grpc-go tells its application.
func unknownOverGRPC(t *testing.T, p *played, of func(string) *ending) {
	t.Helper()
	for _, host := range []string{"device", "hint", "silent"} {
		_, _, err := of(host).call(soon(t, 10*time.Second), p)
		s, _ := status.FromError(err)
		if got := unlikeUnavailable(s, host != "silent"); got != "" {
			t.Errorf("%s: %s", host, got)
		}
	}
}

// unlikeUnavailable says in what a status is not one to come again to.
func unlikeUnavailable(s *status.Status, tells bool) string {
	var reason string
	var retry bool
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetMetadata()["reason"]
		case *errdetails.RetryInfo:
			retry = d.GetRetryDelay().AsDuration() == 5*time.Second
		}
	}
	if s.Code() != codes.Unavailable || !retry || (reason == string(policy.ReasonStoreUnreachable)) != tells {
		return fmt.Sprintf("%v with %v", s, s.Details())
	}
	return ""
}

// nobodyAnswers: tiergate stands still, so that Envoy itself has to say that nobody could know. It has no words for it, and lets
// nobody in.
func nobodyAnswers(t *testing.T, p *played, of func(string) *ending) {
	t.Helper()
	pid := p.processes.Pid("serve")
	suspend(t, pid)
	defer func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}()
	for _, contentType := range []string{"", "application/json", "application/grpc", "application/grpc-web+proto", "application/proto"} {
		response, body, err := of("device").post(soon(t, 10*time.Second), p, false, contentType)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{fmt.Sprint(response.StatusCode), response.Header.Get("Grpc-Status"), body, response.Header.Get("X-Tiergate-Decision-Id")}
		want := []string{"503", "", "", ""}
		if contentType == "application/grpc" {
			want[0], want[1] = "200", "14"
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s, and nobody answers: %q", contentType, got)
		}
	}
}
