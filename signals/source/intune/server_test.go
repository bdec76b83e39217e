package intune_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/intune"
)

const (
	tenant = "3adb963c-0000-48e8-a06d-6dbb0dacea39"
	state  = "made-for-this-test-only"
	pass   = "the-forwarders-secret"
	policy = "1aa3f0f3-0000-4349-885b-c86d273aa14e"
)

var now = time.Date(2026, 11, 20, 8, 30, 0, 0, time.UTC)

// graph plays Microsoft Graph, with the login that gives its tokens on another host: lists by @odata.nextLink with a
// $skiptoken, two entries a page; devices; what a test sets for a path.
type graph struct {
	url, login string

	mu      sync.Mutex
	lists   map[string][]json.RawMessage // by path
	answers map[string]string            // by path; "503" and the like: that status; "https://…": a redirect
	asked   []string
	tokens  int // given so far
	good    int // how often a token may still be used
	next    func(link string) string
}

func newGraph(t testing.TB) *graph {
	t.Helper()
	g := &graph{lists: map[string][]json.RawMessage{}, answers: map[string]string{}, good: 1 << 30,
		next: func(link string) string { return link }}
	api, login := httptest.NewServer(g), httptest.NewServer(http.HandlerFunc(g.token))
	t.Cleanup(api.Close)
	t.Cleanup(login.Close)
	g.url, g.login = api.URL, login.URL
	return g
}

func (g *graph) token(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.FormValue("client_id") != "app" || r.FormValue("client_secret") != "app-secret" ||
		r.FormValue("scope") != "https://graph.microsoft.com/.default" || r.FormValue("grant_type") != "client_credentials" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.tokens++
	fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3599,"access_token":"token-%d"}`, g.tokens)
}

func (g *graph) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, r.URL.Path)
	answer, found := g.answers[r.URL.Path]
	status, _ := strconv.Atoi(answer)
	list, listed := g.lists[r.URL.Path]
	g.good--
	switch {
	case r.Header.Get("Authorization") != "Bearer token-"+strconv.Itoa(g.tokens) || g.good < 0:
		g.good = 1 << 30
		w.WriteHeader(http.StatusUnauthorized)
	case status > 0:
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
	case strings.HasPrefix(answer, "http"):
		http.Redirect(w, r, answer, http.StatusFound)
	case found:
		fmt.Fprint(w, answer)
	case listed:
		g.page(w, r, list)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (g *graph) page(w http.ResponseWriter, r *http.Request, list []json.RawMessage) {
	from, _ := strconv.Atoi(r.FormValue("$skiptoken"))
	to := min(from+2, len(list))
	answer := map[string]any{"@odata.count": to - from, "value": list[from:to]}
	if to < len(list) {
		query := url.Values{"$skiptoken": {strconv.Itoa(to)}, "$select": {r.FormValue("$select")}}
		answer["@odata.nextLink"] = g.next(g.url + r.URL.Path + "?" + query.Encode())
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (g *graph) set(path, answer string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers[path] = answer
}

// add takes a device in, in both versions of the API.
func (g *graph) add(t testing.TB, raw []byte) (id string) {
	t.Helper()
	var who struct{ ID string }
	if err := json.Unmarshal(raw, &who); err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, version := range []string{"/v1.0", "/beta"} {
		path := version + "/deviceManagement/managedDevices"
		g.lists[path] = append(g.lists[path], raw)
		g.answers[path+"/"+who.ID] = string(raw)
	}
	return who.ID
}

func adapter(t testing.TB, g *graph, change func(*intune.Options)) (a *intune.Adapter, unreadable *[]string) {
	t.Helper()
	client, err := source.NewClient(source.ClientOptions{Base: g.url, Rate: 1e6,
		Credentials: source.ClientCredentials{Endpoint: g.login + "/" + tenant + "/oauth2/v2.0/token", ID: "app",
			Secret: "app-secret", Scope: "https://graph.microsoft.com/.default"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	unreadable = &[]string{}
	opts := intune.Options{Name: "intune", Client: client, Tenant: tenant, Beta: true, ClientStates: []string{"older-" + state, state},
		Forwarder:    source.Header{Name: "X-Forwarder-Secret", Values: []string{pass}},
		SecureBootOn: []string{"Enabled"}, SecureBootOff: []string{"Disabled"},
		Unreadable: func(id string, _ error) { *unreadable = append(*unreadable, id) }}
	if change != nil {
		change(&opts)
	}
	a, err = intune.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return a, unreadable
}

// delivery is one of the forwarder's, or of Graph's, whose secret is in the body.
func delivery(body []byte) source.Delivery {
	return source.Delivery{Source: "intune", Body: body, Received: now, Header: http.Header{"X-Forwarder-Secret": {pass}}}
}

// kept is what the receiver keeps of a body: nothing of a client state or a validation token, and always the same.
func kept(t testing.TB, a *intune.Adapter, body []byte) []byte {
	t.Helper()
	left, err := a.Redact(body)
	again, _ := a.Redact(body)
	if err != nil || !bytes.Equal(left, again) || bytes.Contains(left, []byte("clientState")) || bytes.Contains(left, []byte("eyJ")) {
		t.Fatalf("%s and %s, %v", left, again, err)
	}
	return left
}
