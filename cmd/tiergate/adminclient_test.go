package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
)

// TestAListThatIsRefusedIsAskedForOnce: a process that refuses, and would answer the next time, has not given an empty list.
func TestAListThatIsRefusedIsAskedForOnce(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // it holds a socket, which is gone by then
	socket := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	server := &httptest.Server{Listener: listener, Config: &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if asked++; asked == 1 {
				admin.Refuse(w, http.StatusServiceUnavailable, "the postures are not loaded yet")
				return
			}
			admin.Answer(w, http.StatusOK, []string{})
		})}}
	server.Start()
	defer server.Close()
	err = eachAdminLine(t.Context(), socket, "/v1/devices", func([]byte) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "not loaded yet") || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}
