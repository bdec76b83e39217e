package sourcetest

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/tiergate/tiergate/signals/source"
)

// Token is what Server's clients show.
const Token = "made-for-this-test-only"

// Server plays a vendor's API: by path what was set, else what the test's own handler answers.
type Server struct {
	URL string
	// Wants are headers that each request must have, besides the token.
	Wants http.Header
	// Else answers what no Set is for; nil: 404. It is called by one request at a time.
	Else http.HandlerFunc

	mu      sync.Mutex
	answers map[string]string
	asked   []string
}

// NewServer listens on loopback until the test ends.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s := &Server{answers: map[string]string{}}
	listening := httptest.NewServer(s)
	t.Cleanup(listening.Close)
	s.URL = listening.URL
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.RequestURI())
	answer, found := s.answers[r.URL.Path]
	status, err := strconv.Atoi(answer)
	switch {
	case r.Header.Get("Authorization") != "Bearer "+Token || !s.wanted(r):
		w.WriteHeader(http.StatusUnauthorized)
	case found && err == nil:
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
	case found:
		_, _ = w.Write([]byte(answer)) // the client went away; the test sees what it got
	case s.Else != nil:
		s.Else(w, r)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *Server) wanted(r *http.Request) bool {
	for name := range s.Wants {
		if r.Header.Get(name) != s.Wants.Get(name) {
			return false
		}
	}
	return true
}

// Set says what a path answers: a body, or a status such as 503, which comes with Retry-After: 7.
func (s *Server) Set(path, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[path] = answer
}

// Asked is what was asked for so far: paths with their queries.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// Client is a client of the server, which shows the token and the headers that it wants.
func (s *Server) Client(t testing.TB) *source.Client {
	t.Helper()
	client, err := source.NewClient(source.ClientOptions{Base: s.URL, Credentials: source.Bearer{Token: Token}, Rate: 1000, Header: s.Wants})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
