package kandji_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/kandji"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

const (
	token = "made for this test only"
	mac   = "0a1b2c3d-1111-4111-8111-000000000001"
	ipad  = "0a1b2c3d-1111-4111-8111-000000000002"
)

// server answers as Kandji's API does: lists by limit and offset, a filter by device, and what is set for a path.
type server struct {
	url string

	mu      sync.Mutex
	lists   map[string][]json.RawMessage // by path
	answers map[string]string            // by path; "503" and the like: that status
	asked   []string
	deaf    bool // it does not look at the query
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{answers: map[string]string{}, lists: map[string][]json.RawMessage{}}
	listening := httptest.NewServer(s)
	t.Cleanup(listening.Close)
	s.url = listening.URL
	for _, table := range kandji.Tables() {
		s.lists["/api/v1/prism/"+table] = nil
	}
	s.lists["/api/v1/devices"], s.lists["/api/v1/threat-details"] = nil, nil
	return s
}

// full is the server with what lies in testdata.
func full(t testing.TB) *server {
	t.Helper()
	s := newServer(t)
	for _, table := range kandji.Tables() {
		s.lists["/api/v1/prism/"+table] = elements(t, "testdata/prism_"+table+".json", "data")
	}
	s.lists["/api/v1/threat-details"] = elements(t, "testdata/threats.json", "results")
	s.lists["/api/v1/devices"] = elements(t, "testdata/devices.json", "")
	for _, raw := range s.lists["/api/v1/devices"] {
		s.answers["/api/v1/devices/"+field(raw, "device_id")] = string(raw)
	}
	s.answers["/api/v1/devices/"+mac+"/details"] = string(sourcetest.Content(t, "testdata/details_mac.json"))
	s.answers["/api/v1/devices/"+ipad+"/details"] = string(sourcetest.Content(t, "testdata/details_ipad.json"))
	s.answers["/api/v1/devices/"+mac+"/status"] = string(sourcetest.Content(t, "testdata/status.json"))
	return s
}

// elements are those of an array, or of the array that is a member of an object.
func elements(t testing.TB, file, member string) (all []json.RawMessage) {
	t.Helper()
	raw := json.RawMessage(sourcetest.Content(t, file))
	if member != "" {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(raw, &object); err != nil {
			t.Fatal(err)
		}
		raw = object[member]
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func field(raw json.RawMessage, name string) string {
	var object map[string]any
	_ = json.Unmarshal(raw, &object)
	text, _ := object[name].(string)
	return text
}

func (s *server) set(path, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[path] = answer
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.RequestURI())
	answer, found := s.answers[r.URL.Path]
	status, _ := strconv.Atoi(answer)
	list, isList := s.lists[r.URL.Path]
	switch {
	case r.Header.Get("Authorization") != "Bearer "+token:
		w.WriteHeader(http.StatusUnauthorized)
	case strings.HasPrefix(answer, "http"):
		http.Redirect(w, r, answer, http.StatusFound)
	case status > 0:
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
	case found:
		fmt.Fprint(w, answer)
	case isList:
		s.page(w, r, list)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *server) page(w http.ResponseWriter, r *http.Request, all []json.RawMessage) {
	query := r.URL.Query()
	limit, _ := strconv.Atoi(query.Get("limit"))
	offset, _ := strconv.Atoi(query.Get("offset"))
	only := query.Get("device_id")
	if raw := query.Get("filter"); raw != "" {
		var filter struct {
			Device struct{ In []string } `json:"device_id"`
		}
		if err := json.Unmarshal([]byte(raw), &filter); err != nil || len(filter.Device.In) != 1 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		only = filter.Device.In[0]
	}
	most := 300
	if strings.HasSuffix(r.URL.Path, "threat-details") {
		most = 1000
	}
	if limit < 1 || limit > most {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	some := []json.RawMessage{}
	for _, raw := range all {
		if s.deaf || only == "" || field(raw, "device_id") == only {
			some = append(some, raw)
		}
	}
	count := len(some)
	if s.deaf {
		offset = 0
	}
	some = some[min(offset, count):min(offset+limit, count)]
	var answer any = some
	switch {
	case strings.HasSuffix(r.URL.Path, "threat-details"):
		answer = map[string]any{"count": count, "next": nil, "results": some}
	case strings.Contains(r.URL.Path, "/prism/"):
		answer = map[string]any{"cursor": nil, "data": some, "limit": limit, "offset": offset, "total": nil}
	}
	body, err := json.Marshal(answer)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(body)
}

func adapter(t testing.TB, s *server, change func(*kandji.Options)) (a *kandji.Adapter, unreadable *[]string) {
	t.Helper()
	client, err := source.NewClient(source.ClientOptions{Base: s.url, Credentials: source.Bearer{Token: token}, Rate: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	unreadable = &[]string{}
	opts := kandji.Options{Name: "kandji", API: client,
		Unreadable: func(id string, reason error) { *unreadable = append(*unreadable, id+": "+reason.Error()) }}
	if change != nil {
		change(&opts)
	}
	a, err = kandji.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return a, unreadable
}
