package stage

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// TestOpen: a WebSocket shows the caller's certificate and token, and what is said comes back until the other side is gone.
func TestOpen(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	listener, err := net.Listen("tcp", s.Ports.Ingress)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 2)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Host + r.URL.Path + " " + r.Header.Get("Authorization") + " " + r.TLS.PeerCertificates[0].Subject.CommonName
		if r.URL.Path == "/refused" || !converse(w, r) {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.TLS = &tls.Config{Certificates: []tls.Certificate{s.Cast.Pairs["ingress"].TLS()}, MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: devca.Pool(s.Cast.Devices)}
	server.StartTLS()
	defer server.Close()
	live := Request{As: "ana", Host: PortalHost, Path: "/live"}
	c, err := s.Open(t.Context(), live)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := <-seen, PortalHost+"/live Bearer "+s.Cast.Tokens["ana"]+" ana-laptop"; got != want {
		t.Errorf("the other side saw %q, want %q", got, want)
	}
	for _, text := range []string{"a", strings.Repeat("long ", 100), "ü"} {
		if back, err := c.Say(text); back != text || err != nil {
			t.Errorf("%q came back as %q, %v", text, back, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if back, err := c.Say("after all"); err == nil {
		t.Errorf("%q came back over a closed WebSocket", back)
	}
	live.Path = "/refused"
	if _, err := s.Open(t.Context(), live); err == nil || !strings.Contains(err.Error(), "open a WebSocket at app.acme.example/refused") {
		t.Errorf("a refused WebSocket: %v", err)
	}
	for _, r := range []Request{{As: "nobody"}, {As: "ana", Listener: "nowhere"}, {As: "cleo", Host: PortalHost, Path: "/"}} {
		if _, err := s.Open(t.Context(), r); err == nil {
			t.Errorf("%+v was opened", r)
		}
	}
}

// TestLintVerb: an answer of no is an answer; whatever else goes wrong is an error, and so is a report that contradicts itself.
func TestLintVerb(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	s.binaries.Tiergate = filepath.Join(t.TempDir(), "tiergate")
	play := func(script string) ([]Finding, error) {
		if err := os.WriteFile(s.binaries.Tiergate, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
		return s.Lint(t.Context(), "admin: {}\n")
	}
	found := `{"listeners":1,"findings":[{"code":"a","severity":"hole","where":"w","what":"x","fix":"f"}]}`
	list, err := play(`test "$*" = "envoy lint - -o json" && test "$(cat)" = "admin: {}" && echo '` + found + `'; exit 1`)
	if err != nil || len(list) != 1 || list[0] != (Finding{"a", "hole", "w", "x", "f"}) {
		t.Errorf("%+v %v", list, err)
	}
	for script, hint := range map[string]string{
		`echo '` + found + `'`:                         "its exit status says no: false",
		`echo '{"listeners":1,"findings":[]}'; exit 1`: "its exit status says no: true",
		`echo '{"findings":[]}'`:                       "in 0 listeners",
		`echo found; exit 0`:                           "no JSON",
		`echo complaint >&2; exit 1`:                   "complaint",
		`exit 2`:                                       "exit status 2",
	} {
		if list, err := play(script); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%s: %+v, %v", script, list, err)
		}
	}
}
