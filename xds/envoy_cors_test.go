package xds

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/tiergate/tiergate/authz/policy"
)

const (
	desk    = "https://desk.acme.example"
	pages   = "https://*.pages.acme.example:8443"
	onePage = "https://one.pages.acme.example:8443"
)

// corsPlaces are paths with the methods of the routes that have cors there, and with those that each lets pages use.
var corsPlaces = []struct {
	path    string
	methods []string // of all routes; nil: every one
	pages   []string
}{
	{"/plain", nil, nil},
	{"/open", []string{"GET", "POST"}, []string{"GET", "POST"}},
	{"/every/x", nil, []string{"GET", "PUT"}},
	{"/options", []string{"GET", "OPTIONS"}, []string{"GET", "OPTIONS"}},
	{"/split", []string{"GET", "OPTIONS", "POST"}, []string{"GET"}},
	{"/strange", []string{"GET"}, nil},
}

func crossing(t *testing.T, pki *authority) Input {
	in := acme(t, pki)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range corsAnswers {
			w.Header().Set(name, "*")
		}
		w.Header().Set("Vary", "Accept")
		w.Header().Set("Etag", `"1"`)
		io.WriteString(w, "upstream saw "+r.Method)
	}))
	t.Cleanup(server.Close)
	in.Upstreams = append(in.Upstreams, upstream("web", server.Listener.Addr().String(), ""))
	staff := []string{"employees"}
	add := func(name, path string, cors *policy.CORS, methods ...string) {
		r := route(name, "app.acme.example", path, "web", staff, methods...)
		r.CORS = cors
		in.Routes = append(in.Routes, r)
	}
	full := &policy.CORS{Origins: []string{desk, pages}, Headers: []string{"Content-Type", "authorization"},
		ExposeHeaders: []string{"ETag"}, MaxAge: 10 * time.Minute, Credentials: true}
	every := *full
	every.Methods, every.Credentials = []string{"PUT", "GET"}, false
	add("plain", "/plain", nil)
	add("open", "/open", full, "GET", "POST")
	add("every", "/every/**", &every)
	add("options", "/options", full, "GET", "OPTIONS")
	add("split-a", "/split", full, "GET")
	add("split-b", "/split", nil, "OPTIONS", "POST")
	add("strange", "/strange", &policy.CORS{Origins: []string{"https://other.acme.example"}}, "GET")
	add("many", "/many", manyOrigins(), "GET")
	outside := route("guests", "partner.acme.example", "/shown", "partner", []string{"contractors"}, "GET")
	outside.CORS = full
	in.Routes = append(in.Routes, outside)
	return in
}

// manyOrigins are so many, and so long, that Envoy must not find their expression too large.
func manyOrigins() *policy.CORS {
	cors := &policy.CORS{Origins: []string{desk, pages, "https://[::1]:8443", "https://10.0.0.1"}}
	for i := range 126 {
		name := fmt.Sprintf("%sh%d.acme.example", strings.Repeat(strings.Repeat("a", 55)+".", 4), i)
		cors.Origins = append(cors.Origins, "https://"+name, "https://*."+name+":9443")
	}
	return cors
}

// testOriginsAsEnvoy: Envoy takes origins as policy.Origin does.
func testOriginsAsEnvoy(t *testing.T, r *rig, http2 bool) {
	c := r.client("ingress", ana, http2)
	origins := slices.Clone(someOrigins)
	for _, listed := range manyOrigins().Origins[2:8] {
		written := strings.Replace(listed, "*", "x-1_y", 1)
		origins = append(origins, listed, written, written+"/", written+".", " "+written, strings.ToUpper(written), written+":443",
			strings.Replace(written, "https", "http", 1), strings.Replace(written, ".", "x", 1), written+"\t", "https://x."+written[8:])
	}
	for _, origin := range origins {
		sent := origin
		if !http2 {
			sent = strings.TrimSpace(origin) // the space around a field value is none of it (RFC 9112, section 5.1)
		}
		want := slices.ContainsFunc(manyOrigins().Origins, func(text string) bool {
			o, err := policy.ParseOrigin(text)
			return err == nil && o.Covers(sent)
		})
		h := http.Header{"Access-Control-Request-Method": {"GET"}}
		setIf(h, "Origin", origin)
		r.authz.questions()
		got := c.do("OPTIONS", "app.acme.example", "/many", h)
		answered := got.header.Get("Access-Control-Allow-Origin") == sent && sent != "" && r.authz.questions() == 0
		if answered != want {
			t.Errorf("%q: answered %t, want %t: %d %v", origin, answered, want, got.status, got.header)
		}
	}
}

func TestEnvoyCORS(t *testing.T) { //nolint:tparallel // its subtests share one Envoy and take turns
	t.Parallel()
	pki := newAuthority(t)
	r := newRig(t, pki, crossing(t, pki))
	r.settled(r.build(r.in))
	for _, c := range []struct {
		name string
		test func(*testing.T, *rig, bool)
	}{
		{"answers preflights of listed origins and no others", testPreflights},
		{"takes origins as the policy does", testOriginsAsEnvoy},
		{"lets listed pages read answers", testCrossAnswers},
		{"lets listed pages read refusals", testCrossRefusals},
		{"shows nothing on another listener", testCrossIsolated},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, HTTP/2 %t", c.name, http2), func(t *testing.T) {
				r.t = t
				c.test(t, r, http2)
			})
		}
	}
	r.t = t
}

var someOrigins = []string{desk, onePage, "", "null", "https://evil.example", "https://desk.acme.example.evil.example",
	"https://desk.acme.example:8443", "http://desk.acme.example", "https://DESK.acme.example", "https://pages.acme.example:8443",
	"https://a.b.pages.acme.example:8443", "https://one.pages.acme.example", "https://onexpages.acme.example:8443", "*",
	desk + ", " + desk}

func testPreflights(t *testing.T, r *rig, http2 bool) {
	c := r.client("ingress", ana, http2)
	answered, judged := 0, 0
	for _, place := range corsPlaces {
		for _, q := range preflightQuestions() {
			want := q.method == "OPTIONS" && (q.origin == desk || q.origin == onePage) && slices.Contains(place.pages, q.wanted) &&
				q.carried == ""
			got := c.do(q.method, "app.acme.example", place.path, q.header())
			line := fmt.Sprintf("%+v at %s: %d %v", q, place.path, got.status, got.header)
			if asked := r.authz.questions(); asked != map[bool]int{true: 0, false: 1}[want] {
				t.Fatalf("%s: %d decisions", line, asked)
			}
			if want {
				answered++
				preflightAnswer(t, line, got, q.origin, place.path, place.pages)
			} else {
				judged++
				notPreflightAnswer(t, line, got, place.path, q.origin)
			}
		}
	}
	if answered != 12 || judged < 1000 {
		t.Errorf("%d preflights answered, %d requests judged", answered, judged)
	}
}

// question is a request that is a preflight, or nearly one; carried names a header with credentials.
type question struct{ method, origin, wanted, carried string }

func (q question) header() http.Header {
	h := http.Header{}
	setIf(h, "Origin", q.origin)
	setIf(h, "Access-Control-Request-Method", q.wanted)
	setIf(h, q.carried, "x")
	return h
}

func preflightQuestions() []question {
	var all []question
	for _, origin := range someOrigins {
		for _, method := range []string{"OPTIONS", "GET"} {
			for _, wanted := range []string{"", "GET", "POST", "PUT", "DELETE", "get"} {
				all = append(all, question{method, origin, wanted, ""})
				for _, carried := range []string{"authorization", "cookie", "dpop"} {
					if origin == desk || origin == onePage {
						all = append(all, question{method, origin, wanted, carried})
					}
				}
			}
		}
	}
	return all
}

func setIf(h http.Header, name, value string) {
	if name != "" && value != "" {
		h.Set(name, value)
	}
}

// notPreflightAnswer: nothing that an upstream or the proxy says lets a page go on that is not listed; /plain and /split say
// what they like to OPTIONS.
func notPreflightAnswer(t *testing.T, line string, got answer, path, origin string) {
	t.Helper()
	listed := origin == desk || origin == onePage
	if allowed := got.header.Get("Access-Control-Allow-Origin"); allowed != "" && path != "/plain" && path != "/split" &&
		(!listed || allowed != origin) {
		t.Errorf("%s", line)
	}
	if got.header.Get("Access-Control-Max-Age") == "600" {
		t.Errorf("%s: as if it were a preflight that is answered", line)
	}
}

func preflightAnswer(t *testing.T, line string, got answer, origin, path string, pages []string) {
	t.Helper()
	want := map[string]string{"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Methods": strings.Join(pages, ", "),
		"Access-Control-Allow-Headers": "authorization, content-type", "Access-Control-Max-Age": "600"}
	if path != "/every/x" {
		want["Access-Control-Allow-Credentials"] = "true"
	}
	for name := range got.header {
		if strings.HasPrefix(name, "Access-Control-") && want[name] == "" {
			t.Errorf("%s: says %s", line, name)
		}
	}
	for name, value := range want {
		if got.header.Get(name) != value || got.status != 200 || got.body != "" {
			t.Errorf("%s: want %s: %s", line, name, value)
		}
	}
}

func testCrossAnswers(t *testing.T, r *rig, http2 bool) {
	c := r.client("ingress", ana, http2)
	for _, origin := range someOrigins {
		h := http.Header{}
		setIf(h, "Origin", origin)
		got := c.do("GET", "app.acme.example", "/open", h)
		crossed(t, got, origin)
		if got.status != 200 || got.body != "upstream saw GET" || got.header.Get("Access-Control-Allow-Methods") != "" {
			t.Errorf("%q: %d %s %v", origin, got.status, got.body, got.header)
		}
		if vary := got.header.Values("Vary"); !slices.Equal(vary, []string{"Accept,Origin"}) {
			t.Errorf("%q: Vary: %q", origin, vary)
		}
	}
	got := c.do("GET", "app.acme.example", "/plain", http.Header{"Origin": {desk}})
	if got.header.Get("Access-Control-Allow-Origin") != "*" || slices.Contains(got.header.Values("Vary"), "Origin") {
		t.Errorf("without cors the upstream speaks for itself: %v", got.header)
	}
}

// crossed: what a page may read stands there, for a listed origin and no other.
func crossed(t *testing.T, got answer, origin string) {
	t.Helper()
	want := []string{"", "", ""}
	if origin == desk || origin == onePage {
		want = []string{origin, "true", "etag, grpc-message, grpc-status, grpc-status-details-bin, retry-after, www-authenticate, x-tiergate-decision-id"}
	}
	for i, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers"} {
		if strings.Join(got.header.Values(name), "|") != want[i] {
			t.Errorf("%d for %q: %s: %q, want %q", got.status, origin, name, got.header.Values(name), want[i])
		}
	}
}

func testCrossRefusals(t *testing.T, r *rig, http2 bool) {
	c := r.client("ingress", ana, http2)
	defer r.authz.set(nil)
	for _, code := range []int{401, 403, 503} {
		// What a refusal says of Vary stands for itself, so authz names Origin there, too.
		for vary, says := range map[string]bool{"Origin": false, "x": true} {
			r.authz.set(func(*authv3.CheckRequest) *authv3.CheckResponse { return refusedWith(code, says) })
			for _, origin := range someOrigins {
				h := http.Header{}
				setIf(h, "Origin", origin)
				for _, path := range []string{"/open", "/options"} {
					got := c.do("GET", "app.acme.example", path, h)
					crossed(t, got, origin)
					if got.status != code || got.body != "refused" || got.header.Get("Vary") != vary {
						t.Errorf("%q: %d %s %v", origin, got.status, got.body, got.header)
					}
				}
			}
		}
	}
}

func testCrossIsolated(t *testing.T, r *rig, http2 bool) {
	own, ingress := r.client("contractors", ana, http2), r.client("ingress", ana, http2)
	h := func() http.Header { return http.Header{"Origin": {desk}, "Access-Control-Request-Method": {"GET"}} }
	r.authz.questions()
	if got := own.do("OPTIONS", "partner.acme.example", "/shown", h()); got.header.Get("Access-Control-Allow-Origin") != desk {
		t.Errorf("on its own listener: %d %v", got.status, got.header)
	}
	if n := r.authz.questions(); n != 0 {
		t.Errorf("%d decisions", n)
	}
	for _, place := range corsPlaces {
		got := own.do("OPTIONS", "app.acme.example", place.path, h())
		none := own.do("OPTIONS", "app.acme.example", place.path, nil)
		if got.status != none.status || got.body != none.body || len(got.header) != len(none.header) ||
			got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s on the contractors' listener: %+v, and no preflight: %+v", place.path, got, none)
		}
	}
	if got := ingress.do("OPTIONS", "partner.acme.example", "/shown", h()); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("the contractors' route at ingress: %d %v", got.status, got.header)
	}
}

func refusedWith(code int, varies bool) *authv3.CheckResponse {
	refusal := deny(typev3.StatusCode(code))(nil)
	denied := refusal.GetDeniedResponse()
	denied.Body = "refused"
	for _, name := range []string{"www-authenticate", "content-type", "vary"} {
		if name == "vary" && !varies {
			continue
		}
		denied.Headers = append(denied.Headers, &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: "x"},
			AppendAction: corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD})
	}
	return refusal
}
