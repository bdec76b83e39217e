package authz

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/returnto"
	"github.com/tiergate/tiergate/authz/token"
)

// factors believes tokens that are named by the login behind them.
type factors struct{}

func (factors) Judge(c *token.Credential, at time.Time) (token.Proof, error) {
	user := &identity.User{Issuer: "corp", Name: "ana", AuthTime: at.Add(-time.Minute), AMR: []string{"pwd"},
		Token: identity.Validity{NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour)}}
	switch c.Token {
	case "weak":
	case "strong":
		user.ACR, user.AMR = "phr", []string{"pwd", "hwk"}
	case "old":
		user.ACR, user.AuthTime = "phr", at.Add(-16*time.Minute)
	case "expired":
		user.Token.NotAfter = at
	case "hostile": // what an issuer says is shown as text
		user.AMR = []string{`<script>alert("x")</script>`, strings.Repeat("y", 4000)}
	default:
		return token.Proof{}, errors.New("the signature does not verify")
	}
	return token.Proof{Proven: identity.Proven{User: user}}, nil
}

const (
	signInKey  = "dGllcmdhdGUgZXhhbXBsZSBrZXksIG5ldmVyIHVzZSE="
	signInPage = "https://login.acme.example/step-up?tenant=a"
)

// signInServer has a route that sends browsers to log in, with a step-up that is wanted always, one that wants a factor for
// which RFC 9470 has no parameter, and one route that sends nobody anywhere.
func signInServer(t *testing.T) (*Server, returnto.Key) {
	t.Helper()
	key, err := returnto.ParseKey([]byte(signInKey))
	if err != nil {
		t.Fatal(err)
	}
	meta := func(name string) policy.Meta { return policy.Meta{Name: name, Owner: "iam"} }
	spec := policy.Spec{
		Governance: []policy.Governance{{Meta: policy.Meta{Name: "g"}, Accountable: policy.Contact{Name: "a", Contact: "b"},
			Teams: map[string]policy.Team{"iam": {Contact: "iam@acme.example"}}}},
		Tiers: []policy.Tier{{Meta: meta("strong"), Identify: policy.IdentifyUser,
			StepUp: &policy.StepUpDemand{ACR: []string{"phr", "phrh"}, MaxAge: 15 * time.Minute}},
			{Meta: meta("factor"), Identify: policy.IdentifyUser, StepUp: &policy.StepUpDemand{AMR: []string{"hwk"}}},
			{Meta: meta("device"), Identify: policy.IdentifyUserDevice}},
		Audiences: []policy.Audience{{Meta: meta("all"), Members: []policy.Member{{Issuer: "corp"}}}},
		Upstreams: []policy.Upstream{{Meta: meta("app"), Endpoints: []string{"127.0.0.1:1"}, Plaintext: true}},
	}
	for path, route := range map[string]policy.Route{
		"/admin/**":  {Meta: meta("admin"), Tier: "strong", Login: &policy.Login{URL: signInPage}},
		"/factor":    {Meta: meta("factor"), Tier: "factor", Login: &policy.Login{URL: "/login"}},
		"/device":    {Meta: meta("device"), Tier: "device", Login: &policy.Login{URL: signInPage}},
		"/nowhere/*": {Meta: meta("nowhere"), Tier: "strong"},
	} {
		route.Path, route.Hosts, route.Audiences, route.Upstream = path, []string{"app.example"}, []string{"all"}, "app"
		spec.Routes = append(spec.Routes, route)
	}
	p, faults := policy.New(spec, policy.World{})
	if faults != nil {
		t.Fatal(faults)
	}
	s := New(Options{Tokens: factors{}, ReturnKey: key})
	s.SetPolicy(p)
	return s, key
}

// visit is one request of a browser, or of something else.
type visit struct {
	method, path, token string
	headers             map[string]string
}

var navigation = map[string]string{"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "accept": "text/html"}

// shown is what came back: the status, where to, and the body.
type shown struct {
	status             int
	location, headers  string
	body, authenticate string
}

func (v visit) to(t *testing.T, s *Server) shown {
	t.Helper()
	if v.method == "" {
		v.method = "GET"
	}
	var headers []*corev3.HeaderValue
	for name, value := range v.headers {
		headers = append(headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
	}
	if v.token != "" {
		headers = append(headers, &corev3.HeaderValue{Key: "authorization", RawValue: []byte("Bearer " + v.token)})
	}
	message, err := proto.Marshal(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{Method: v.method, Host: "App.Example:8443", Path: v.path, Scheme: "https",
			HeaderMap: &corev3.HeaderMap{Headers: headers}}}}})
	if err != nil {
		t.Fatal(err)
	}
	response := answerTo(t, s, message)
	denied := response.GetDeniedResponse()
	if denied == nil {
		return shown{status: 200}
	}
	if response.GetStatus().GetCode() == int32(codes.OK) {
		t.Errorf("%+v: a refusal of code 0 lets everybody in", v)
	}
	got := shown{status: int(denied.GetStatus().GetCode()), body: denied.GetBody()}
	for _, h := range denied.GetHeaders() {
		name, value := h.GetHeader().GetKey(), h.GetHeader().GetValue()
		got.headers += name + ": " + value + "\n"
		switch name {
		case "location":
			got.location = value
		case "www-authenticate":
			got.authenticate = value
		}
	}
	return got
}

// TestOnlyBrowsersAreSentToLogIn: by a navigation that can be repeated, and where a login would help.
func TestOnlyBrowsersAreSentToLogIn(t *testing.T) {
	t.Parallel()
	s, _ := signInServer(t)
	with := func(more map[string]string) map[string]string {
		all := map[string]string{}
		for _, from := range []map[string]string{navigation, more} {
			for name, value := range from {
				all[name] = value
			}
		}
		return all
	}
	for name, row := range map[string]struct {
		visit
		want int
	}{
		"no login":                {visit{path: "/admin", headers: navigation}, 302},
		"a weak one":              {visit{path: "/admin", token: "weak", headers: navigation}, 302},
		"an old one":              {visit{path: "/admin", token: "old", headers: navigation}, 302},
		"an expired one":          {visit{path: "/admin", token: "expired", headers: navigation}, 302},
		"HEAD":                    {visit{method: "HEAD", path: "/admin", headers: navigation}, 302},
		"an older browser":        {visit{path: "/admin", headers: map[string]string{"accept": "text/html,*/*;q=0.8"}}, 302},
		"the right one":           {visit{path: "/admin", token: "strong", headers: navigation}, 200},
		"a forged one":            {visit{path: "/admin", token: "forged", headers: navigation}, 401},
		"POST":                    {visit{method: "POST", path: "/admin", headers: navigation}, 401},
		"OPTIONS":                 {visit{method: "OPTIONS", path: "/admin", headers: navigation}, 401},
		"fetch":                   {visit{path: "/admin", headers: with(map[string]string{"sec-fetch-mode": "cors"})}, 401},
		"fetch of the same site":  {visit{path: "/admin", headers: with(map[string]string{"sec-fetch-mode": "same-origin"})}, 401},
		"an image":                {visit{path: "/admin", headers: with(map[string]string{"sec-fetch-mode": "no-cors"})}, 401},
		"a WebSocket":             {visit{path: "/admin", headers: with(map[string]string{"sec-fetch-mode": "websocket"})}, 401},
		"a frame":                 {visit{path: "/admin", headers: with(map[string]string{"sec-fetch-dest": "iframe"})}, 401},
		"XMLHttpRequest":          {visit{path: "/admin", headers: map[string]string{"accept": "text/html", "x-requested-with": "XMLHttpRequest"}}, 401},
		"an API client":           {visit{path: "/admin", headers: map[string]string{"accept": "application/json"}}, 401},
		"nothing said":            {visit{path: "/admin"}, 401},
		"gRPC":                    {visit{path: "/admin", headers: with(map[string]string{"content-type": "application/grpc"})}, 401},
		"a route without login":   {visit{path: "/nowhere/a", headers: navigation}, 401},
		"no route":                {visit{path: "/else", headers: navigation}, 403},
		"no login, device wanted": {visit{path: "/device", headers: navigation}, 302},
		"login without device":    {visit{path: "/device", token: "strong", headers: navigation}, 401},
		"a path too long":         {visit{path: "/admin/" + strings.Repeat("a", returnto.MaxPath), headers: navigation}, 401},
	} {
		got := row.to(t, s)
		if got.status != row.want || (got.location != "") != (row.want == 302) || (got.authenticate != "") != (row.want == 401) {
			t.Errorf("%s: %d to %q, %q; want %d", name, got.status, got.location, got.authenticate, row.want)
		}
		if got.status == 302 && (got.body != "" || !strings.Contains(got.headers, "cache-control: no-store\n")) {
			t.Errorf("%s: %s%s", name, got.headers, got.body)
		}
	}
	s.opts.ReturnKey = returnto.Key{}
	if got := (visit{path: "/admin", headers: navigation}).to(t, s); got.status != 401 || !strings.Contains(got.body, "<html") {
		t.Errorf("without a key: %+v", got)
	}
}

// TestWhatBrowsersAreSentWith verifies, says what is wanted, and leads back to what was asked for.
func TestWhatBrowsersAreSentWith(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, key := signInServer(t)
		for _, row := range []struct{ path, token, acr, age, back string }{
			{"/admin/runs?year=2026&q=%26a", "weak", "phr phrh", "900", "/admin/runs?year=2026&q=%26a"},
			{"/admin/runs", "", "phr phrh", "900", "/admin/runs"}, // all at once: nobody is to log in twice
			{"/admin?to=//evil.example/\\x#y", "", "phr phrh", "900", "/admin?to=//evil.example/%5Cx%23y"},
			{"/admin?" + strings.Repeat("a", returnto.MaxPath), "", "phr phrh", "900", "/admin"},
			{"/admin?a&tiergate_stepup=v1.1.any.x", "", "phr phrh", "900", "/admin?a"},
			{"/factor?a", "weak", "", "", "/factor?a"},
		} {
			got := visit{path: row.path, token: row.token, headers: navigation}.to(t, s)
			at, err := url.Parse(got.location)
			if err != nil || got.status != 302 {
				t.Fatalf("%s: %+v, %v", row.path, got, err)
			}
			page := signInPage + "&"
			if strings.HasPrefix(row.path, "/factor") {
				page = "/login?"
			}
			back, err := returnto.Verify(at.Query(), time.Now(), key)
			if err != nil || !strings.HasPrefix(got.location, page) {
				t.Fatalf("%s: %s: %v", row.path, got.location, err)
			}
			if back.ACR != row.acr || back.MaxAge != row.age || back.Path != row.back || back.Host != "app.example" {
				t.Errorf("%s: %+v", row.path, back)
			}
		}
	})
}

// TestNobodyGoesRoundInCircles: who comes back without what was asked for gets a page, until the ticket has expired.
func TestNobodyGoesRoundInCircles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, key := signInServer(t)
		back := func(got shown) string {
			t.Helper()
			at, err := url.Parse(got.location)
			if err != nil || got.status != 302 {
				t.Fatalf("%+v, %v", got, err)
			}
			r, err := returnto.Verify(at.Query(), time.Now(), key)
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimPrefix(r.URL(), "https://app.example")
		}
		for _, path := range []string{"/admin/runs?a=b", "/factor"} {
			returned := back(visit{path: path, headers: navigation}.to(t, s))
			for _, came := range []string{"", "weak", "expired"} {
				got := visit{path: returned, token: came, headers: navigation}.to(t, s)
				if got.status != 401 || got.location != "" || !strings.Contains(got.body, "You came back from signing in") {
					t.Errorf("%s, back with %q: %+v", path, came, got)
				}
			}
			if got := (visit{path: returned, token: "strong", headers: navigation}).to(t, s); got.status != 200 {
				t.Errorf("%s, back with what was asked for: %+v", path, got)
			}
			time.Sleep(returnto.Lifetime) // a bookmark of the page must work later on
			if got := (visit{path: returned, token: "weak", headers: navigation}).to(t, s); back(got) == returned {
				t.Errorf("%s, much later: %+v", path, got)
			}
		}
		sent := returnto.Return{Host: "app.example", Route: "admin", Path: "/admin"} // only to log in; now more is wanted
		if err := key.Sign(&sent, time.Now()); err != nil {
			t.Fatal(err)
		}
		once := visit{path: strings.TrimPrefix(sent.URL(), "https://app.example"), token: "weak", headers: navigation}.to(t, s)
		if got := (visit{path: back(once), token: "weak", headers: navigation}).to(t, s); got.status != 401 {
			t.Errorf("asked twice for the same: %+v", got)
		}
		other, err := returnto.ParseKey([]byte("YW5vdGhlciBleGFtcGxlIGtleSBvZiB0aWVyZ2F0ZSEh"))
		if err != nil {
			t.Fatal(err)
		}
		returned := back(visit{path: "/admin", headers: navigation}.to(t, s))
		s.opts.ReturnKey = other // another sidecar, whose key is not the same
		if got := (visit{path: returned, token: "weak", headers: navigation}).to(t, s); got.status != 401 {
			t.Errorf("two sidecars with different keys send browsers round: %+v", got)
		}
	})
}

// TestThePageSaysWhatWasAskedAndWhatCame, as text and in both languages.
func TestThePageSaysWhatWasAskedAndWhatCame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := signInServer(t)
		first := visit{path: "/admin", headers: navigation}.to(t, s)
		at, err := url.Parse(first.location)
		if err != nil {
			t.Fatal(err)
		}
		marked := "/admin?" + returnto.Mark + "=" + at.Query().Get(returnto.ParamTicket)
		for token, parts := range map[string][]string{
			"weak": {"phr, phrh", "15m", "pwd", "1999-12-31 23:59:00 UTC", "nothing", `href="https://login.acme.example/step-up?tenant=a&amp;acr`},
			"":     {"phr, phrh", "nothing"},
		} {
			got := visit{path: marked, token: token, headers: navigation}.to(t, s)
			for _, part := range parts {
				if !strings.Contains(got.body, part) {
					t.Errorf("%q: the page does not say %q:\n%s", token, part, got.body)
				}
			}
		}
		hostile := visit{path: marked, token: "hostile", headers: navigation}.to(t, s).body
		if strings.Contains(hostile, "<script") || !strings.Contains(hostile, "&lt;script") || len(hostile) > 8<<10 {
			t.Errorf("%d bytes:\n%s", len(hostile), hostile)
		}
		german := map[string]string{"sec-fetch-mode": "navigate", "accept-language": "de"}
		if got := (visit{path: marked, token: "weak", headers: german}).to(t, s); !strings.Contains(got.body, "Gekommen: Art (acr)") {
			t.Errorf("%s", got.body)
		}
	})
}

// TestLoginPagesHaveNoParametersOfOurs: package policy knows by heart what package returnto writes.
func TestLoginPagesHaveNoParametersOfOurs(t *testing.T) {
	t.Parallel()
	s, _ := signInServer(t)
	spec := s.current.Load().policy.Spec()
	for _, name := range returnto.Params {
		for i := range spec.Routes {
			if spec.Routes[i].Meta.Name == "admin" {
				spec.Routes[i].Login = &policy.Login{URL: "https://login.acme.example/?" + name + "=x"}
			}
		}
		if _, faults := policy.New(spec, policy.World{}); len(faults) != 1 || faults[0].Field != "spec.login.url" {
			t.Errorf("%s: %v", name, faults)
		}
	}
}
