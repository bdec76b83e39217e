package source_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
)

func client(t *testing.T, base string, change func(*source.ClientOptions)) *source.Client {
	t.Helper()
	opts := source.ClientOptions{Base: base, Rate: 1000}
	if change != nil {
		change(&opts)
	}
	c, err := source.NewClient(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func api(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func get(t *testing.T, c *source.Client) (string, error) {
	body, err := c.GetJSON(t.Context(), "/devices/7", nil)
	return string(body), err
}

func TestClientAsks(t *testing.T) {
	var seen *http.Request
	base := api(t, func(w http.ResponseWriter, req *http.Request) {
		seen = req
		fmt.Fprint(w, `{"id":7}`)
	})
	c := client(t, base+"/jss/", func(o *source.ClientOptions) { o.Credentials = source.Bearer{Token: "t0ken"} })
	body, err := c.GetJSON(t.Context(), "/devices", map[string][]string{"page": {"2"}})
	if err != nil || string(body) != `{"id":7}` {
		t.Fatalf("%s, %v", body, err)
	}
	if seen.URL.RequestURI() != "/jss/devices?page=2" || seen.Header.Get("Authorization") != "Bearer t0ken" ||
		seen.UserAgent() != "tiergate" || seen.Header.Get("Accept") != "application/json" {
		t.Errorf("asked %s with %v", seen.URL, seen.Header)
	}
}

func TestClientRefusesBase(t *testing.T) {
	for _, base := range []string{"", "acme.example", "http://acme.example", "https://user:pw@acme.example", "ftp://acme.example",
		"https://acme.example?x=1", "https://acme.example#x", "http://127.0.0.1.acme.example", "https://[::1"} {
		if c, err := source.NewClient(source.ClientOptions{Base: base}); err == nil {
			t.Errorf("%q is a base: %v", base, c)
		} else if strings.Contains(err.Error(), "pw") {
			t.Errorf("the error has the password: %v", err)
		}
	}
	for _, base := range []string{"https://acme.example/jss/", "http://[::1]:8080", "http://localhost:1"} {
		if _, err := source.NewClient(source.ClientOptions{Base: base}); err != nil {
			t.Errorf("%q: %v", base, err)
		}
	}
}

// Every way in which an answer is no answer, and what is made of it.
func TestClientAnswers(t *testing.T) {
	t.Parallel()
	const gone, busy, no = "gone", "busy", "no"
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
		after  time.Duration
	}{
		"404":                {status(404, ""), gone, 0},
		"410":                {status(410, ""), gone, 0},
		"400":                {status(400, ""), no, 0},
		"401":                {status(401, ""), no, 0},
		"403":                {status(403, ""), no, 0},
		"204":                {status(204, ""), no, 0},
		"500":                {status(500, ""), busy, time.Second},
		"503 until a second": {status(503, "7"), busy, 7 * time.Second},
		"429 for ever":       {status(429, "99999999"), busy, time.Hour},
		"429 until a date": {func(w http.ResponseWriter, _ *http.Request) {
			status(429, time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))(w, nil)
		}, busy, time.Minute},
		"429 in words": {status(429, "soon"), busy, time.Second},
		"no JSON": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<html>log in</html>")
		}, no, 0},
		"two readings": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"managed":false,"Managed":true}`)
		}, no, 0},
		"truncated": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"id":`)
		}, busy, time.Second},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, busy, time.Second},
		"one byte a second": {func(w http.ResponseWriter, req *http.Request) {
			for range 100 {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-req.Context().Done():
					return
				case <-time.After(time.Second):
				}
			}
		}, busy, time.Second},
		"100 MB": {func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}, no, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, err := get(t, client(t, api(t, c.answer), func(o *source.ClientOptions) {
				if name == "one byte a second" {
					o.Timeout = 2 * time.Second
				}
			}))
			held, isBusy := errors.AsType[*source.Busy](err)
			got := map[bool]string{true: busy, false: no}[isBusy]
			if errors.Is(err, source.ErrGone) {
				got = gone
			}
			if err == nil || body != "" || got != c.want {
				t.Fatalf("%q, %v is %s, want %s", body, err, got, c.want)
			}
			early := time.Second // the date has whole seconds, and is less far when it has been read
			if name == "429 until a date" {
				early = 30 * time.Second
			}
			if isBusy && (held.After > c.after || held.After < c.after-early) {
				t.Errorf("asked again after %s, want %s", held.After, c.after)
			}
		})
	}
}

func status(code int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(code)
	}
}

func TestBusyVendorIsLeftAlone(t *testing.T) {
	var asked atomic.Int32
	busy := func(after string) *source.Client {
		asked.Store(0)
		return client(t, api(t, func(w http.ResponseWriter, _ *http.Request) {
			if asked.Add(1) == 1 {
				status(429, after)(w, nil)
				return
			}
			fmt.Fprint(w, `{}`)
		}), nil)
	}
	c := busy("1000") // longer than the test
	for range 10 {
		if _, err := get(t, c); err == nil {
			t.Fatal("the vendor was asked although it is busy")
		}
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	c = busy("1")
	if _, err := get(t, c); err == nil {
		t.Fatal("busy is no answer")
	}
	time.Sleep(1050 * time.Millisecond)
	if _, err := get(t, c); err != nil || asked.Load() != 2 {
		t.Errorf("%v after the time had passed; asked %d times", err, asked.Load())
	}
}

func TestClientPaces(t *testing.T) {
	c := client(t, api(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }),
		func(o *source.ClientOptions) { o.Rate = 20 })
	began := time.Now()
	for range 30 {
		if _, err := get(t, c); err != nil {
			t.Fatal(err)
		}
	}
	// A second's worth goes at once, the other ten take half a second.
	if took := time.Since(began); took < 400*time.Millisecond || took > 30*time.Second {
		t.Errorf("30 requests at 20 a second took %s", took)
	}
	waits := false
	for range 50 { // a machine that is slower than the pace has a turn for the first of them
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := c.GetJSON(ctx, "/", nil)
		cancel()
		waits = waits || err != nil
	}
	if !waits {
		t.Error("it does not wait for its turn")
	}
}

func TestRedirects(t *testing.T) {
	leaked := make(chan string, 10)
	elsewhere := api(t, func(w http.ResponseWriter, req *http.Request) {
		leaked <- req.Header.Get("Authorization") + req.Header.Get("Cookie") + req.Header.Get("Referer")
		fmt.Fprint(w, `{"from":"elsewhere"}`)
	})
	var to string
	var hops atomic.Int32
	base := api(t, func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/moved":
			fmt.Fprint(w, `{"auth":"`+req.Header.Get("Authorization")+`"}`)
		case to == "loop":
			hops.Add(1)
			http.Redirect(w, req, "/devices/7", http.StatusFound)
		default:
			http.Redirect(w, req, to, http.StatusFound)
		}
	})
	bearer := func(o *source.ClientOptions) { o.Credentials = source.Bearer{Token: "t0ken"} }
	allowed := func(o *source.ClientOptions) {
		bearer(o)
		o.RedirectHosts = []string{strings.TrimPrefix(elsewhere, "http://")}
	}
	to = "/moved"
	if body, err := get(t, client(t, base, bearer)); err != nil || body != `{"auth":"Bearer t0ken"}` {
		t.Errorf("to the same host: %s, %v", body, err)
	}
	to = elsewhere
	if body, err := get(t, client(t, base, allowed)); err != nil || body != `{"from":"elsewhere"}` {
		t.Errorf("to an allowed host: %s, %v", body, err)
	} else if secret := <-leaked; secret != "" {
		t.Errorf("credentials went to another host: %s", secret)
	}
	for _, to = range []string{elsewhere, "http://acme.example/", "file:///etc/passwd", "loop"} {
		_, err := get(t, client(t, base, bearer))
		if _, busy := errors.AsType[*source.Busy](err); err == nil || busy {
			t.Errorf("redirected to %s: %v", to, err)
		}
	}
	if len(leaked) > 0 || hops.Load() > 6 {
		t.Errorf("a host that is not allowed was asked %d times; %d hops in a circle", len(leaked), hops.Load())
	}
}

func TestEnvironmentProxyIsNotUsed(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }))
	defer server.Close()
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	if _, err := get(t, client(t, server.URL, func(o *source.ClientOptions) { o.Roots = roots })); err != nil {
		t.Error(err)
	}
	if _, err := get(t, client(t, server.URL, nil)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of nobody's: %v", err)
	}
}
