package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
)

const (
	asksForMore = ` realm="tiergate", error="insufficient_user_authentication", ` +
		`error_description="A stronger or fresher sign-in is required"`
	strongSpan = 15 * time.Minute
)

// edge is a route that wants a strong login of the last quarter of an hour, through the real Envoy, and an upstream behind it.
type edge struct {
	*played
	laptop *devca.Pair

	mu   sync.Mutex
	said map[string]string // outcome of each decision, as a client saw it
}

func newEdge(t *testing.T) *edge {
	t.Helper()
	p := layOut(t, example{name: "../e2e/testdata/answers", envoy: "spiffe://acme.example/ns/edge/sa/envoy",
		clients: map[string][]string{"ingress": {"acme.example", "laptops"}}})
	app := listening(t, &http.Server{Handler: saying("steady"), ReadHeaderTimeout: 5 * time.Second})
	p.write(t, "policy/routes.yaml", []byte(answerRoutes(app)+
		fmt.Sprintf(churnDocument, "Tier", "strong", "identify: user, stepUp: {when: always, acr: [phr, phrh], maxAge: "+strongSpan.String()+"}")+
		fmt.Sprintf(churnDocument, "Route", "strong", "hosts: [strong.acme.example], path: /**, tier: strong, audiences: [staff], upstream: calls")))
	text := replaceOnce(t, string(made(os.ReadFile(p.path("settings.yaml")))(t)), "  checkTimeout: 2s", "  checkTimeout: 2s\n"+
		"  accessLog: {file: "+p.path("logs", "access.json")+"}")
	p.write(t, "settings.yaml", []byte(text))
	p.load(t)
	p.start(t)
	return &edge{played: p, laptop: made(p.authorities["laptops"].Device("desk", "DESK", forAnHour))(t), said: map[string]string{}}
}

// token is one of a user with claims besides those of every token.
func (e *edge) token(t *testing.T, user string, claims map[string]any) string {
	t.Helper()
	return made(e.issuers["corp"].Token(user, []string{"staff"}, forAnHour, claims))(t)
}

// sends sends one request with credentials, over a connection that transport keeps, and reports whether it came through.
func (e *edge) sends(t *testing.T, transport *http.Transport, header http.Header) (through bool, response *http.Response, body string) {
	t.Helper()
	request := made((&ending{host: "strong"}).request(soon(t, 10*time.Second), http.MethodGet, "/steady/x", "", nil))(t)
	request.Header = header
	response, body, err := exchanged(transport, request)
	if err != nil {
		t.Error(err)
		return false, &http.Response{}, ""
	}
	through = response.StatusCode != http.StatusUnauthorized // 504: admitted, and cut in its last millisecond
	e.mu.Lock()
	defer e.mu.Unlock()
	e.said[response.Header.Get("X-Tiergate-Decision-Id")] = map[bool]string{true: "allow", false: "not"}[through]
	return through, response, body
}

func (e *edge) transport(http1 bool) *http.Transport {
	return (&ending{host: "strong", pair: e.laptop}).transport(e.played, http1)
}

func bearer(values ...string) http.Header {
	header := http.Header{}
	for _, v := range values {
		header.Add("Authorization", "Bearer "+v)
	}
	return header
}

// TestEdgesOfALogin: logins replayed from another session and another person, of the future, of odd kinds, and those that grow
// too old while they are asked with: through the real Envoy, over HTTP/1.1 and HTTP/2, none is accepted. Challenges are byte for
// byte those of RFC 9470, section 3, and RFC 9449, section 7.1, and Envoy's access log names every decision.
func TestEdgesOfALogin(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.replays(t)
	e.challenges(t)
	e.ages(t)
	e.logged(t)
}

// replays are tried after a login that counts, and before another.
func (e *edge) replays(t *testing.T) {
	t.Helper()
	now := time.Now().Unix()
	of := func(user, session string, acr, at any) string {
		return e.token(t, user, map[string]any{"sid": session, "acr": acr, "auth_time": at})
	}
	strong, weak := of("ana", "s1", "phr", now), of("ana", "s2", nil, now)
	part := func(raw string, i int) string { return strings.Split(raw, ".")[i] }
	tried := map[string]http.Header{
		"another session of hers":           bearer(weak),
		"another person":                    bearer(of("ben", "s3", nil, now)),
		"her session's name, another's":     bearer(of("ben", "s1", nil, now)),
		"the same session without acr":      bearer(of("ana", "s1", nil, now)),
		"a weaker kind in the same session": bearer(of("ana", "s1", "pwd", now)),
		"two tokens":                        bearer(weak, strong),
		"two tokens, the other way":         bearer(strong, weak),
		"claims of another token":           bearer(part(weak, 0) + "." + part(strong, 1) + "." + part(weak, 2)),
		"as Basic":                          {"Authorization": {"Basic " + strong}},
		"at another issuer's word":          bearer(e.token(t, "ana", map[string]any{"iss": "https://login.evil.example", "acr": "phr", "auth_time": now})),
		"for another audience":              bearer(e.token(t, "ana", map[string]any{"aud": "https://other.example", "acr": "phr", "auth_time": now})),
	}
	for what, acr := range map[string]any{"a list": []string{"phr"}, "a longer one": "phr ", "in capitals": "PHR", "two of them": "phr phrh",
		"with a zero byte": "phr\x00", "an object": map[string]any{"phr": true}, "a number": 1, "true": true, "empty": "", "its beginning": "ph",
		"as a URL": "https://acme.example/phr"} {
		tried["acr: "+what] = bearer(of("ana", "s4", acr, now))
	}
	for what, at := range map[string]any{"in a day": now + 86400, "at the end of numbers": uint64(1) << 63, "past it": json.Number("1e30"),
		"in text": fmt.Sprint(now), "before 1970": -1, "nowhere": nil, "a list": []int64{now}, "true": true, "in milliseconds": now * 1000,
		"too old by a second": now - int64(strongSpan/time.Second) - 1} {
		tried["auth_time: "+what] = bearer(of("ana", "s5", "phr", at))
	}
	asked := 0
	for _, http1 := range []bool{true, false} {
		transport := e.transport(http1)
		defer transport.CloseIdleConnections()
		control := func() {
			if through, response, body := e.sends(t, transport, bearer(strong)); !through {
				t.Errorf("HTTP/1 %t: the strong login itself is refused, which shows nothing: %d %s", http1, response.StatusCode, body)
			}
		}
		try := func(what string, header http.Header) {
			control()
			through, response, body := e.sends(t, transport, header)
			if asked++; through || response.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s, HTTP/1 %t: %d %s", what, http1, response.StatusCode, body)
			}
		}
		for what, header := range tried {
			try(what, header.Clone())
		}
		for _, ahead := range []int64{20, 60} { // counted from when it is sent: all that was before took some seconds
			try(fmt.Sprintf("auth_time: in %d s", ahead), bearer(of("ana", "s5", "phr", time.Now().Unix()+ahead)))
		}
		control()
	}
	t.Logf("%d replayed and misdated logins, accepted: 0", asked)
}

// challenges are compared as Envoy sends them.
func (e *edge) challenges(t *testing.T) {
	t.Helper()
	key := made(oidc.NewKey())(t)
	now := time.Now().Unix()
	weak := e.token(t, "ana", map[string]any{"auth_time": now})
	bound := e.token(t, "ana", map[string]any{"auth_time": now, "cnf": map[string]string{"jkt": key.Thumbprint()}})
	const asked = asksForMore + `, acr_values="phr phrh", max_age="900"`
	algs := `, algs="` + token.ProofAlgorithms() + `"`
	proof := func() string { return made(key.Proof("GET", "https://strong.acme.example/steady/x", bound))(t) }
	for _, http1 := range []bool{true, false} {
		transport := e.transport(http1)
		defer transport.CloseIdleConnections()
		for what, c := range map[string]struct {
			header http.Header
			want   string
		}{
			"bearer":            {bearer(weak), "Bearer" + asked},
			"by its key":        {http.Header{"Authorization": {"DPoP " + bound}, "Dpop": {proof()}}, "DPoP" + asked + algs},
			"by no key":         {http.Header{"Authorization": {"DPoP " + bound}}, `DPoP realm="tiergate", error="invalid_token"` + algs},
			"bound, as bearer":  {bearer(bound), `Bearer realm="tiergate", error="invalid_token"`},
			"nothing":           {http.Header{}, `Bearer realm="tiergate"`},
			"what is no token":  {bearer("x"), `Bearer realm="tiergate", error="invalid_token"`},
			"a letter too much": {bearer(weak + "x"), `Bearer realm="tiergate", error="invalid_token"`},
		} {
			_, response, body := e.sends(t, transport, c.header)
			if got := response.Header.Values("WWW-Authenticate"); len(got) != 1 || got[0] != c.want || response.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s, HTTP/1 %t: %d %q, want %s\n%s", what, http1, response.StatusCode, got, c.want, body)
			}
		}
	}
}

// ages asks without a pause while one login grows too old: what is sent when its last second is over is never accepted, and what
// is answered before that is never refused. Ages are of whole seconds (authz/token/README.md): one of maxAge still counts.
func (e *edge) ages(t *testing.T) {
	t.Helper()
	const room = 4 * time.Second // before and after the end, for a machine that is busy with other things
	born := time.Now().Add(room).Truncate(time.Second).Add(-strongSpan)
	end := born.Add(strongSpan + time.Second)
	login := e.token(t, "ana", map[string]any{"sid": "s6", "acr": "phrh", "auth_time": born.Unix()})
	var all sync.WaitGroup
	var before, after, late, early int
	var mu sync.Mutex
	for _, http1 := range []bool{true, false} {
		all.Go(func() {
			transport := e.transport(http1)
			defer transport.CloseIdleConnections()
			for time.Now().Before(end.Add(room)) {
				sent := time.Now()
				through, response, body := e.sends(t, transport, bearer(login))
				back := time.Now()
				if s := response.StatusCode; s != http.StatusOK && s != http.StatusUnauthorized &&
					(s != http.StatusGatewayTimeout || back.Before(end.Add(-tooEarly))) {
					t.Errorf("%v before the end: %d %s", end.Sub(back), s, body)
				}
				mu.Lock()
				switch {
				case !sent.Before(end) && through:
					late++
				case !sent.Before(end):
					after++
				case back.Before(end) && !through:
					early++
				case back.Before(end):
					before++
				}
				mu.Unlock()
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	all.Wait()
	if late > 0 || early > 0 || before < 20 || after < 20 {
		t.Errorf("a login of more than %s: accepted %d times, refused %d times; a younger one: refused %d times, accepted %d times", strongSpan,
			late, after, early, before)
	}
	t.Logf("past maxAge: %d asked, accepted: %d; %d accepted before", after+late, late, before)
}

// logged reads Envoy's access log: it has a line of each decision, with tier, outcome and policy.
func (e *edge) logged(t *testing.T) {
	t.Helper()
	if err := e.processes.End("envoy"); err != nil { // which writes down what it holds back for ten seconds
		t.Fatal(err)
	}
	if missing, wrong := e.unlogged(t); missing > 0 || wrong != "" || len(e.said) < 100 {
		t.Errorf("of %d decisions %d are not in Envoy's access log; one is wrong there: %s", len(e.said), missing, wrong)
	}
}

// unlogged counts the decisions that are not in the log, and shows a line that says something else than the client saw.
func (e *edge) unlogged(t *testing.T) (missing int, wrong string) {
	t.Helper()
	seen := map[string]bool{}
	raw := made(os.ReadFile(e.path("logs", "access.json")))(t)
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		var line struct {
			Decision, Tier, Outcome, Policy, Reason string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return 0, lines.Text()
		}
		said, ours := e.said[line.Decision]
		seen[line.Decision] = true
		tier := "strong"
		if line.Reason == string(policy.ReasonIdentityDoubted) {
			tier = "" // who is not believed is refused before any tier is looked at
		}
		if ours && (line.Tier != tier || (line.Outcome == "allow") != (said == "allow") || line.Policy != e.policy.Digest()) {
			return 0, lines.Text()
		}
	}
	for id := range e.said {
		if !seen[id] {
			missing++
		}
	}
	return missing, ""
}
