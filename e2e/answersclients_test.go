package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// refusedCase is somebody who is refused, and what every client must be told of it.
type refusedCase struct {
	host, authorization string
	status              int
	code                string // of gRPC
	reason, challenge   string
}

const (
	plainChallenge = `Bearer realm="tiergate"`
	wrongToken     = plainChallenge + `, error="invalid_token"`
	olderLogin     = plainChallenge + `, error="insufficient_user_authentication", ` +
		`error_description="A stronger or fresher sign-in is required", max_age="900"`
)

// soonToCome is in the place of a login that is dated 20 s ahead of when it is sent: all cases together take longer than that
// on a busy machine.
const soonToCome = "a login of the near future"

// TestEveryRefusalForEveryClient: who is unknown, not believed, logged in too long ago or in the future, or refused, through the
// real Envoy: each client gets the status of its protocol, the reason, and, over HTTP, exactly the bytes of the challenge.
func TestEveryRefusalForEveryClient(t *testing.T) {
	t.Parallel()
	p := layOut(t, example{name: "../e2e/testdata/answers", envoy: "spiffe://acme.example/ns/edge/sa/envoy",
		clients: map[string][]string{"ingress": {"acme.example", "laptops"}}})
	p.write(t, "policy/routes.yaml", []byte(answerRoutes("127.0.0.1:9")))
	p.load(t)
	p.start(t)
	laptop := made(p.authorities["laptops"].Device("desk", "DESK", forAnHour))(t)
	loggedIn := func(at any) string {
		return "Bearer " + made(p.issuers["corp"].Token("ana", []string{"staff"}, forAnHour, map[string]any{"auth_time": at}))(t)
	}
	now := time.Now().Unix()
	old := loggedIn(now - 3600)
	cases := map[string]refusedCase{
		"no token":                {"login", "", 401, "16", "identity-missing", plainChallenge},
		"no token of ours":        {"login", "Bearer a.b.c", 401, "16", "identity-doubted", wrongToken},
		"another scheme":          {"login", "Basic YTpi", 401, "16", "", ""},
		"an old login":            {"login", old, 401, "16", "step-up", olderLogin},
		"a laptop never seen":     {"device", old, 403, "7", "device-unknown", ""},
		"of the future, a day":    {"login", loggedIn(now + 86400), 401, "16", "identity-doubted", wrongToken},
		"of the end of numbers":   {"login", loggedIn(uint64(1) << 62), 401, "16", "identity-doubted", wrongToken},
		"of the future, in text":  {"login", loggedIn(fmt.Sprint(now + 60)), 401, "16", "identity-doubted", wrongToken},
		"past maxAge by a second": {"login", loggedIn(now - 901), 401, "16", "step-up", olderLogin},
		"before 1970":             {"login", loggedIn(-1), 401, "16", "", ""},
		"at no time":              {"login", loggedIn(nil), 401, "16", "", ""},
		"of the future, 20 s":     {"login", soonToCome, 401, "16", "identity-doubted", wrongToken},
	}
	for name, c := range cases {
		for _, http1 := range []bool{true, false} {
			for kind, contentType := range map[string]string{"API": "application/json", "page": "", "gRPC": "application/grpc",
				"gRPC-Web": "application/grpc-web+proto", "gRPC-Web in text": "application/grpc-web-text", "Connect": "application/proto"} {
				if kind == "gRPC" && http1 {
					continue // there is none
				}
				asked := c
				if c.authorization == soonToCome {
					asked.authorization = loggedIn(time.Now().Unix() + 20)
				}
				got := refusedAs(t, p, laptop, &asked, kind, contentType, http1)
				if got != "" {
					t.Errorf("%s, %s, HTTP/1 %t: %s", name, kind, http1, got)
				}
			}
		}
	}
}

// refusedAs asks as one client does, and says what is wrong with what it is told.
func refusedAs(t *testing.T, p *played, laptop *devca.Pair, c *refusedCase, kind, contentType string, http1 bool) string {
	t.Helper()
	e := &ending{host: c.host, pair: laptop}
	transport := e.transport(p, http1)
	defer transport.CloseIdleConnections()
	request := made(e.request(soon(t, 10*time.Second), http.MethodPost, "/grpc.testing.TestService/EmptyCall", "",
		strings.NewReader("\x00\x00\x00\x00\x00")))(t)
	request.Header.Set("Content-Type", contentType)
	if kind == "page" {
		request.Method, request.Body, request.ContentLength = http.MethodGet, http.NoBody, 0
		request.Header = navigating.Clone()
	}
	if c.authorization != "" {
		request.Header.Set("Authorization", c.authorization)
	}
	response, body, err := exchanged(transport, request)
	if err != nil {
		return err.Error()
	}
	challenge := strings.Join(response.Header.Values("WWW-Authenticate"), " AND ")
	overGRPC := strings.HasPrefix(kind, "gRPC")
	switch status := response.StatusCode; {
	case response.Header.Get("X-Tiergate-Decision-Id") == "":
		return fmt.Sprintf("nobody decided: %d %s", status, body)
	case overGRPC && (status != http.StatusOK || response.Header.Get("Grpc-Status") != c.code || response.Header.Get("Grpc-Status-Details-Bin") == ""):
		return fmt.Sprintf("%d, grpc-status %q, %v", status, response.Header.Get("Grpc-Status"), response.Header)
	case !overGRPC && status != c.status:
		return fmt.Sprintf("status %d, want %d: %s", status, c.status, body)
	case !overGRPC && c.reason != "" && challenge != c.challenge:
		return fmt.Sprintf("challenge %q, want %q", challenge, c.challenge)
	case !overGRPC && (challenge == "") != (status != http.StatusUnauthorized):
		return fmt.Sprintf("%d with the challenge %q", status, challenge)
	case !overGRPC && !strings.Contains(body, c.reason) && !strings.Contains(body, strings.ToUpper(strings.ReplaceAll(c.reason, "-", "_"))) && kind != "Connect":
		return fmt.Sprintf("no reason %s: %s", c.reason, body)
	}
	return ""
}

// exchanged sends a request and reads all that comes.
func exchanged(transport http.RoundTripper, request *http.Request) (*http.Response, string, error) {
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}
