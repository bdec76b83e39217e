package e2e_test

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

const (
	deskOrigin  = "https://desk.acme.example"
	pageOrigin  = "https://one.pages.acme.example:8443"
	otherOrigin = "https://desk.acme.example.evil.example"
)

// crossRoutes are one that ana may use, one that she may not, one that takes OPTIONS itself, and as many without cors.
const crossRoutes = `---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: cross, owner: workplace}
spec:
  hosts: [app.acme.example]
  path: /cross/**
  methods: [GET, POST]
  tier: internal
  audiences: [employees]
  upstream: portal
  cors:
    origins: ["https://desk.acme.example", "https://*.pages.acme.example:8443"]
    methods: [GET]
    headers: [authorization]
    maxAge: 10m
    credentials: true
---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: cross-vault, owner: workplace}
spec: {hosts: [app.acme.example], path: /cross-vault/**, methods: [GET], tier: internal, audiences: [executives], upstream: portal,
  cors: {origins: ["https://desk.acme.example"], headers: [authorization], credentials: true}}
---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: cross-options, owner: workplace}
spec: {hosts: [app.acme.example], path: /cross-options/**, tier: internal, audiences: [employees], upstream: portal,
  cors: {origins: ["https://desk.acme.example"], methods: [GET]}}
---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: same, owner: workplace}
spec: {hosts: [app.acme.example], path: /same/**, methods: [GET, POST], tier: internal, audiences: [employees], upstream: portal}
---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: same-vault, owner: workplace}
spec: {hosts: [app.acme.example], path: /same-vault/**, methods: [GET], tier: internal, audiences: [executives], upstream: portal}
---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: same-options, owner: workplace}
spec: {hosts: [app.acme.example], path: /same-options/**, tier: internal, audiences: [employees], upstream: portal}
`

// crossing is one request of a browser, or of somebody who would like to be taken for one.
type crossing struct {
	http1, token                   bool
	as                             string // default ana
	listener, origin, method, path string
	wanted                         string // Access-Control-Request-Method; empty: none
}

func (c crossing) ask(t *testing.T, s *stage.Stage) stage.Answer {
	t.Helper()
	h := http.Header{}
	if c.origin != "" {
		h.Set("Origin", c.origin)
	}
	if c.wanted != "" {
		h.Set("Access-Control-Request-Method", c.wanted)
		h.Set("Access-Control-Request-Headers", "authorization")
	}
	a := s.Ask(soon(t, 10*time.Second), stage.Request{As: cmp.Or(c.as, "ana"), Listener: c.listener, Host: stage.PortalHost, Path: c.path, Method: c.method,
		HTTP1: c.http1, NoToken: !c.token, Header: h})
	if a.Err != nil {
		t.Fatalf("%+v: %v", c, a.Err)
	}
	return a
}

// listed: may pages of the origin use the place?
func (c crossing) listed() bool {
	return strings.HasPrefix(c.path, "/cross") && (c.origin == deskOrigin || c.origin == pageOrigin && c.path == "/cross/x")
}

// preflight: is it one that is answered?
func (c crossing) preflight() bool {
	return c.method == http.MethodOptions && c.wanted == http.MethodGet && !c.token && c.listed()
}

// TestPagesOfOtherOrigins: whatever browsers and others ask, through the real Envoy: a preflight of a listed origin is answered
// and nobody is asked; anything else is one decision, as if there were no cors; a listed page can read each of its answers,
// refusals included, and nobody else's page any.
func TestPagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	s := crossedCompany(t)
	var all []crossing
	for _, http1 := range []bool{true, false} {
		for _, token := range []bool{true, false} {
			for _, origin := range []string{"", deskOrigin, pageOrigin, otherOrigin, "null"} {
				for _, path := range []string{"/cross/x", "/cross-vault/x", "/cross-options/x"} {
					for _, method := range []string{"GET", "POST", "OPTIONS"} {
						for _, wanted := range []string{"", "GET", "POST"} {
							all = append(all, crossing{http1: http1, token: token, origin: origin, path: path, method: method, wanted: wanted})
						}
					}
				}
			}
		}
	}
	before, answered := decisionsMade(t, s), 0
	for _, c := range all {
		a := c.ask(t, s)
		switch {
		case c.preflight():
			answered++
			judgePreflight(t, c, a)
		case a.DecisionID() == "":
			t.Errorf("%+v: nobody decided: %d %v", c, a.Status, a.Header)
		default:
			judgeCrossed(t, c, a)
		}
	}
	if asked := decisionsMade(t, s) - before; asked != len(all)-answered || answered != 8 {
		t.Errorf("%d requests, %d preflights answered, %d decisions", len(all), answered, asked)
	}
	for _, c := range all {
		if !c.listed() {
			judgeAlike(t, s, c)
		}
	}
	c := crossing{as: "cleo", listener: stage.ListenerContracts, origin: deskOrigin, path: "/cross/x", method: "OPTIONS", wanted: "GET"}
	if a := c.ask(t, s); a.Status < 400 || a.Header.Get("Access-Control-Allow-Origin") != "" || a.Header.Get("Vary") == "Origin" {
		t.Errorf("the contractors' listener tells of it: %d %v", a.Status, a.Header)
	}
}

func judgePreflight(t *testing.T, c crossing, a stage.Answer) {
	t.Helper()
	want := map[string]string{"Access-Control-Allow-Origin": c.origin, "Access-Control-Allow-Methods": "GET",
		"Access-Control-Allow-Headers": "authorization", "Access-Control-Allow-Credentials": "true", "Access-Control-Max-Age": "600"}
	if c.path == "/cross-vault/x" {
		want["Access-Control-Max-Age"] = ""
	}
	if c.path == "/cross-options/x" {
		want = map[string]string{"Access-Control-Allow-Origin": c.origin, "Access-Control-Allow-Methods": "GET"}
	}
	for _, name := range []string{"Origin", "Methods", "Headers", "Credentials"} {
		if name = "Access-Control-Allow-" + name; a.Header.Get(name) != want[name] {
			t.Errorf("%+v: %s: %q, want %q", c, name, a.Header.Get(name), want[name])
		}
	}
	if a.Status != http.StatusOK || a.DecisionID() != "" || len(a.Body) > 0 || a.Header.Get("Access-Control-Max-Age") != want["Access-Control-Max-Age"] {
		t.Errorf("%+v: %d %v %s", c, a.Status, a.Header, a.Body)
	}
}

// judgeCrossed wants the headers by which a listed page reads the answer, and for others none. What is about another method
// than the route has is about no route that could say whose pages may read it.
func judgeCrossed(t *testing.T, c crossing, a stage.Answer) {
	t.Helper()
	taken := c.method == "GET" || c.path == "/cross-options/x" || c.path == "/cross/x" && c.method == "POST"
	want := ""
	if c.listed() && taken && (c.method != "OPTIONS" || c.wanted == "") {
		want = c.origin
	}
	if got := a.Header.Values("Access-Control-Allow-Origin"); strings.Join(got, "|") != want {
		t.Errorf("%+v: %d, for origin %q, want %q", c, a.Status, got, want)
	}
	for name := range a.Header {
		if want == "" && strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%+v: %d says %s", c, a.Status, name)
		}
	}
	if want == "" {
		return
	}
	exposed := strings.Split(a.Header.Get("Access-Control-Expose-Headers"), ", ")
	for _, name := range []string{"www-authenticate", "retry-after", "x-tiergate-decision-id"} {
		if !slices.Contains(exposed, name) {
			t.Errorf("%+v: a page cannot read %s: %q", c, name, exposed)
		}
	}
	varies := strings.ToLower(strings.Join(a.Header.Values("Vary"), ","))
	if !strings.Contains(varies, "origin") {
		t.Errorf("%+v: caches are not told that origins matter: %q", c, varies)
	}
	refused := !c.token || c.path == "/cross-vault/x"
	if refused != (a.Status == 401 || a.Status == 403) || refused && (a.Problem == nil || a.Problem.DecisionID != a.DecisionID()) {
		t.Errorf("%+v: %d %s", c, a.Status, a.Body)
	}
}

// judgeAlike: to an origin that is not listed, a route with cors answers as one without: its status, its reason, and which
// headers it has. What an upstream says comes with Vary: Origin, which only its users see.
func judgeAlike(t *testing.T, s *stage.Stage, c crossing) {
	t.Helper()
	other := c
	other.path = strings.Replace(c.path, "/cross", "/same", 1)
	one, same := c.ask(t, s), other.ask(t, s)
	shape := func(a stage.Answer) string {
		var names []string
		for name := range a.Header {
			if a.Echo == nil || name != "Vary" {
				names = append(names, name+map[bool]string{true: "=" + a.Header.Get(name)}[name == "Vary"])
			}
		}
		slices.Sort(names)
		return fmt.Sprint(a.Status, a.Reason(), names)
	}
	if shape(one) != shape(same) {
		t.Errorf("%+v: %s, and without cors %s", c, shape(one), shape(same))
	}
}

// decisionsMade is how many there were since the process started.
func decisionsMade(t *testing.T, s *stage.Stage) int {
	t.Helper()
	sum := 0
	for _, found := range decisionCount.FindAllStringSubmatch(metrics(t, s), -1) {
		n := made(strconv.Atoi(found[3]))(t)
		sum += n
	}
	return sum
}

func crossedCompany(t *testing.T) *stage.Stage {
	t.Helper()
	s := made(stage.New(stage.Options{Store: stage.StoreEmbedded}))(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	routes := s.Path("policy", "access", "routes.yaml")
	text := string(made(os.ReadFile(routes))(t)) + crossRoutes
	if err := os.WriteFile(routes, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(soon(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := makeHealthy(soon(t, time.Minute), s, "ana-laptop"); err != nil {
		t.Fatal(err)
	}
	return s
}
