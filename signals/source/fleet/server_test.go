package fleet_test

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
	"github.com/tiergate/tiergate/signals/source/fleet"
)

const (
	token  = "made-for-this-test-only"
	secret = "0123456789abcdef0123456789abcdef"
)

var now = time.Date(2026, 11, 20, 8, 30, 0, 0, time.UTC)

// server answers as Fleet does: what is set for a path, and pages of a list. What it is asked is written down.
type server struct {
	url string

	mu      sync.Mutex
	answers map[string]string // by path; "503" and the like: that status
	list    []json.RawMessage
	most    int // hosts per page, whatever is asked for
	asked   []string
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{answers: map[string]string{}}
	listening := httptest.NewServer(s)
	t.Cleanup(listening.Close)
	s.url = listening.URL
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.Path)
	answer, found := s.answers[r.URL.Path]
	status, _ := strconv.Atoi(answer)
	switch {
	case r.Header.Get("Authorization") != "Bearer "+token:
		w.WriteHeader(http.StatusUnauthorized)
	case status > 0:
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
	case found:
		fmt.Fprint(w, answer)
	case r.URL.Path == "/api/v1/fleet/hosts":
		s.page(w, r)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *server) page(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	number, _ := strconv.Atoi(query.Get("page"))
	per, _ := strconv.Atoi(query.Get("per_page"))
	if s.most > 0 {
		per = min(per, s.most)
	}
	if query.Get("populate_policies") != "true" || query.Get("order_key") != "id" || per == 0 {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	from, to := min(number*per, len(s.list)), min((number+1)*per, len(s.list))
	body, err := json.Marshal(map[string]any{"hosts": s.list[from:to]})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(body)
}

func (s *server) set(path, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[path] = answer
}

// add makes a host known by the answer to the question for it.
func (s *server) add(t testing.TB, detail []byte) (id string) {
	t.Helper()
	var answer struct {
		Host struct {
			ID int64 `json:"id"`
		} `json:"host"`
	}
	if err := json.Unmarshal(detail, &answer); err != nil {
		t.Fatal(err)
	}
	id = strconv.FormatInt(answer.Host.ID, 10)
	s.set("/api/v1/fleet/hosts/"+id, string(detail))
	return id
}

// paths are what was asked since the last time.
func (s *server) paths() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := strings.ReplaceAll(strings.Join(s.asked, " "), "/api/v1/fleet/hosts", "~")
	s.asked = nil
	return asked
}

func options(t testing.TB, s *server) fleet.Options {
	t.Helper()
	client, err := source.NewClient(source.ClientOptions{
		Base: s.url, Credentials: source.Bearer{Token: token}, Rate: 1e6,
	})
	if err != nil {
		t.Fatal(err)
	}
	return fleet.Options{
		Name: "fleet", Auth: source.URLSecret{Values: []string{secret}}, Client: client,
		Policies: map[string][]int64{
			"firewall": {12}, "screen_lock": {15, 16}, "disk_encryption": {13}, "compromised": {20}, "secure_boot": {21},
		},
		Compliance: []int64{12, 15, 21},
		Users:      []string{"mdm_idp_accounts", "custom", "google_chrome_profiles"},
	}
}

// adapter is one with the settings of this test, and what it says of records that cannot be read.
func adapter(t testing.TB, s *server, change func(*fleet.Options)) (a *fleet.Adapter, unreadable *string) {
	t.Helper()
	opts, said := options(t, s), ""
	opts.Unreadable = func(id string, reason error) { said += fmt.Sprintf("%s: %v\n", id, reason) }
	if change != nil {
		change(&opts)
	}
	a, err := fleet.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return a, &said
}

func delivery(body []byte) source.Delivery {
	return source.Delivery{
		Source: "fleet", Segment: secret, Header: http.Header{"Content-Type": {"application/json"}},
		Body: body, Received: now,
	}
}
