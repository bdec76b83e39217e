package defender_test

import (
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
	"github.com/tiergate/tiergate/signals/source/defender"
)

var now = time.Date(2026, 11, 20, 8, 30, 0, 0, time.UTC)

// api plays Defender's API: $top, $skip, and $filter=lastSeen gt …; machines; what a test sets for a path. The login
// that gives its tokens is on another host.
type api struct {
	url, login string

	mu      sync.Mutex
	list    []json.RawMessage
	answers map[string]string // by path; "503" and the like: that status; "http…": a redirect
	asked   []string
	most    int // machines per page, whatever is asked for
	tokens  int // given so far
	good    int // how often a token may still be used
	slow    bool
}

func newAPI(t testing.TB) *api {
	t.Helper()
	s := &api{answers: map[string]string{}, most: 2, good: 1 << 30}
	listening, login := httptest.NewServer(s), httptest.NewServer(http.HandlerFunc(s.token))
	t.Cleanup(listening.Close)
	t.Cleanup(login.Close)
	s.url, s.login = listening.URL, login.URL
	return s
}

func (s *api) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.FormValue("client_id") != "app" || r.FormValue("client_secret") != "app-secret" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.tokens++
	fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3599,"access_token":"token-%d"}`, s.tokens)
}

func (s *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.RequestURI())
	answer, found := s.answers[r.URL.Path]
	status, _ := strconv.Atoi(answer)
	s.good--
	if s.slow {
		<-r.Context().Done() // until the client has gone
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer token-"+strconv.Itoa(s.tokens) || s.good < 0:
		s.good = 1 << 30
		w.WriteHeader(http.StatusUnauthorized)
	case status > 0:
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
	case strings.HasPrefix(answer, "http"):
		http.Redirect(w, r, answer, http.StatusFound)
	case found:
		fmt.Fprint(w, answer)
	case r.URL.Path == "/api/machines":
		s.page(w, r)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *api) page(w http.ResponseWriter, r *http.Request) {
	top, bad := strconv.Atoi(r.FormValue("$top"))
	skip, worse := strconv.Atoi(r.FormValue("$skip"))
	var since time.Time
	if filter, is := strings.CutPrefix(r.FormValue("$filter"), "lastSeen gt "); is {
		since, _ = time.Parse(time.RFC3339, filter)
	}
	if bad != nil || worse != nil || top > defender.MaxPageSize || since.IsZero() != (r.FormValue("$filter") == "") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	seen := []json.RawMessage{}
	for _, raw := range s.list {
		var m struct{ LastSeen time.Time }
		if _ = json.Unmarshal(raw, &m); since.IsZero() || m.LastSeen.After(since) {
			seen = append(seen, raw)
		}
	}
	from := min(skip, len(seen))
	_ = json.NewEncoder(w).Encode(map[string]any{"@odata.context": s.url + "/api/$metadata#Machines",
		"value": seen[from:min(from+min(top, s.most), len(seen))]})
}

func (s *api) set(path, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[path] = answer
}

func (s *api) add(t testing.TB, raw []byte) (id string) {
	t.Helper()
	var who struct{ ID string }
	if err := json.Unmarshal(raw, &who); err != nil {
		t.Fatal(err)
	}
	s.list = append(s.list, raw)
	s.set("/api/machines/"+who.ID, string(raw))
	return who.ID
}

func adapter(t testing.TB, s *api, change func(*defender.Options)) (a *defender.Adapter, unreadable *[]string) {
	t.Helper()
	return hasty(t, s, 0, change)
}

// hasty is an adapter that waits so long for each answer; 0: as long as the product.
func hasty(t testing.TB, s *api, within time.Duration, change func(*defender.Options)) (a *defender.Adapter, unreadable *[]string) {
	t.Helper()
	client, err := source.NewClient(source.ClientOptions{Base: s.url, Rate: 1e6, Timeout: within,
		Credentials: source.ClientCredentials{Endpoint: s.login + "/token", ID: "app", Secret: "app-secret", Scope: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	unreadable = &[]string{}
	opts := defender.Options{Name: "mde", Client: client, Now: func() time.Time { return now },
		Unreadable: func(id string, _ error) { *unreadable = append(*unreadable, id) }}
	if change != nil {
		change(&opts)
	}
	a, err = defender.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return a, unreadable
}
