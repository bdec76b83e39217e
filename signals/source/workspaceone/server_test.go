package workspaceone_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/workspaceone"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

const (
	tenant   = "made for this test only"
	password = "another one of this test"
)

var now = time.Date(2026, 11, 20, 8, 30, 0, 0, time.UTC)

// server is a console with its search by pages; beside it, on another host, is the server of tokens.
type server struct {
	url, tokens string

	mu      sync.Mutex
	devices []json.RawMessage
	answers map[string]string // by path; "503" and the like: that status, http…: a redirect
	asked   []string
	issued  int
	left    int // how many questions a token is good for; 0: any number
	silent  bool
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{answers: map[string]string{}}
	listening, tokens := httptest.NewServer(s), httptest.NewServer(http.HandlerFunc(s.token))
	t.Cleanup(listening.Close)
	t.Cleanup(tokens.Close)
	s.url, s.tokens = listening.URL, tokens.URL
	return s
}

// full is a console with what lies in testdata.
func full(t testing.TB) *server {
	t.Helper()
	s := newServer(t)
	var search struct{ Devices []json.RawMessage }
	if err := json.Unmarshal(sourcetest.Content(t, "testdata/search.json"), &search); err != nil {
		t.Fatal(err)
	}
	s.devices = search.Devices
	return s
}

func (s *server) set(path, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[path] = answer
}

// token is the endpoint of uemauth: client credentials in the form.
func (s *server) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method != http.MethodPost || r.URL.Path != "/connect/token" || r.FormValue("client_secret") != "api-secret" ||
		r.FormValue("grant_type") != "client_credentials" || r.Header.Get("aw-tenant-code") != "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.issued++
	fmt.Fprintf(w, `{"access_token":"t%d","expires_in":3600,"token_type":"Bearer"}`, s.issued)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.RequestURI())
	if r.Header.Get("aw-tenant-code") != tenant || r.Header.Get("Accept") != "application/json;version=1" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if r.Header.Get("Authorization") != fmt.Sprintf("Bearer t%d", s.issued) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if s.left > 0 {
		if s.left--; s.left == 0 {
			s.issued++ // what was issued before is good no longer
		}
	}
	answer, found := s.answers[r.URL.Path]
	status, _ := strconv.Atoi(answer)
	switch {
	case strings.HasPrefix(answer, "http"):
		http.Redirect(w, r, answer, http.StatusFound)
	case status > 0:
		w.Header().Set("Retry-After", "7")
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.WriteHeader(status)
	case found:
		fmt.Fprint(w, answer)
	case r.URL.Path == "/api/mdm/devices/search":
		s.search(w, r)
	default:
		s.one(w, strings.TrimPrefix(r.URL.Path, "/api/mdm/devices/"))
	}
}

func (s *server) one(w http.ResponseWriter, id string) {
	for _, raw := range s.devices {
		if idOf(raw) == id {
			_, _ = w.Write(raw)
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
}

func idOf(raw json.RawMessage) string {
	var who struct {
		ID struct{ Value json.Number } `json:"Id"`
	}
	_ = json.Unmarshal(raw, &who)
	return who.ID.Value.String()
}

func (s *server) search(w http.ResponseWriter, r *http.Request) {
	page, err := strconv.Atoi(r.URL.Query().Get("page"))
	size, err2 := strconv.Atoi(r.URL.Query().Get("pagesize"))
	if err != nil || err2 != nil || size < 1 || size > 500 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	count := len(s.devices)
	some := s.devices[min(page*size, count):min(page*size+size, count)]
	if len(some) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer := map[string]any{"Devices": some, "Page": page, "PageSize": size, "Total": count}
	if s.silent {
		delete(answer, "Total")
	}
	body, err := json.Marshal(answer)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(body)
}

func adapter(t testing.TB, s *server, change func(*workspaceone.Options)) (a *workspaceone.Adapter, unreadable *[]string) {
	t.Helper()
	client, err := source.NewClient(source.ClientOptions{Base: s.url, Rate: 100_000, NoContent: true,
		Header:      http.Header{"aw-tenant-code": {tenant}, "Accept": {"application/json;version=1"}},
		Credentials: source.ClientCredentials{Endpoint: s.tokens + "/connect/token", ID: "tiergate", Secret: "api-secret"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	unreadable = &[]string{}
	opts := workspaceone.Options{Name: "uem", API: client, Auth: source.Basic{User: "uem", Passwords: []string{password}},
		Unreadable: func(id string, reason error) { *unreadable = append(*unreadable, id+": "+reason.Error()) }}
	if change != nil {
		change(&opts)
	}
	a, err = workspaceone.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return a, unreadable
}

func delivery(body []byte) source.Delivery {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("uem:"+password))
	return source.Delivery{Source: "uem", Header: http.Header{"Authorization": {basic}, "Content-Type": {"application/json"}},
		Body: body, Received: now}
}
