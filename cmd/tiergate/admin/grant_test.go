package admin

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A request that was granted more time than the server gives is dealt with to its end, and answered; another is not.
func TestGrant(t *testing.T) {
	t.Parallel()
	const given = 100 * time.Millisecond
	mux := http.NewServeMux()
	work := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-time.After(4 * given):
			_, _ = io.WriteString(w, "done")
		}
	}
	mux.HandleFunc("POST /short", work)
	mux.HandleFunc("POST /long", func(w http.ResponseWriter, r *http.Request) {
		if err := Grant(w, time.Minute); err != nil {
			t.Error(err)
		}
		work(w, r)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, listener, mux, func(s *http.Server) { s.ReadTimeout, s.WriteTimeout = given, given })
	}()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	for path, want := range map[string]string{"/short": "", "/long": "done"} {
		answer, err := http.Post("http://"+listener.Addr().String()+path, "text/plain", strings.NewReader("some text"))
		said := []byte{}
		if err == nil {
			said, _ = io.ReadAll(answer.Body)
			_ = answer.Body.Close()
		}
		if string(said) != want {
			t.Errorf("%s: %q, %v", path, said, err)
		}
	}
}
