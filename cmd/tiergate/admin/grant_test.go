package admin

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener in memory, so that deadlines of connections are in the time of a bubble.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, open := <-p; open {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error { close(p); return nil }

func (pipes) Addr() net.Addr { return &net.UnixAddr{} }

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p <- theirs
	return ours, nil
}

// A request that was granted more time than the server gives is dealt with to its end, and answered; another is not.
func TestGrant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
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
		listener := make(pipes)
		client := http.Client{Transport: &http.Transport{DialContext: listener.dial, DisableKeepAlives: true}}
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
			answer, err := client.Post("http://admin"+path, "text/plain", strings.NewReader("some text"))
			said := []byte{}
			if err == nil {
				said, _ = io.ReadAll(answer.Body)
				_ = answer.Body.Close()
			}
			if string(said) != want {
				t.Errorf("%s: %q, %v", path, said, err)
			}
		}
	})
}
