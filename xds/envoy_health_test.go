package xds

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
)

// probe asks in plaintext, as a kubelet does.
func probe(t *testing.T, address, method, path string) (status int, header http.Header) {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Do(request)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); len(body) > 0 {
		t.Errorf("%s %s: a body: %q", method, path, body)
	}
	return response.StatusCode, response.Header
}

// TestEnvoyHealth: the address for probes says 200 or 503 at one path, is nothing else, asks nobody, and knows when authz is
// away or Envoy is being taken out.
func TestEnvoyHealth(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	in := acme(t, pki)
	in.Settings.Health = freeport.For(t)
	r := newRig(t, pki, in)
	r.settled(r.build(r.in))
	becomes := func(want int) {
		t.Helper()
		r.eventually(fmt.Sprintf("probes are answered %d", want), func() error {
			if got, _ := probe(t, in.Settings.Health, "GET", healthPath); got != want {
				return fmt.Errorf("%d", got)
			}
			return nil
		})
	}
	becomes(200)
	r.authz.last()
	for _, path := range []string{"/", "/healthz/", "/healthz/x", "/healthz?x=1", "/Healthz", "//healthz/..", "/admin", "/stats"} {
		if got, _ := probe(t, in.Settings.Health, "GET", path); got != 404 {
			t.Errorf("%s: %d, want 404", path, got)
		}
	}
	request, _ := http.NewRequest("GET", "http://"+in.Settings.Health+"/", nil)
	request.Host = "app.acme.example"
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 404 || r.authz.last() != nil {
		t.Errorf("a guarded host in plaintext: %d", response.StatusCode)
	}
	for _, c := range []struct {
		path string
		want int
	}{{"/healthcheck/fail", 503}, {"/healthcheck/ok", 200}} {
		response, err := r.admin.Post("http://admin"+c.path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		becomes(c.want)
	}
	r.stopAuthz()
	becomes(503)
	r.startAuthz()
	becomes(200)
}
