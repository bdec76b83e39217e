package jwks_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/authz/jwks"
)

func weakRSA() string {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	return jwk(key.Public(), "weak")
}

func manyKeys(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = jwk(keyA.Public(), fmt.Sprint("k", i))
	}
	return setOf(keys...)
}

// badAnswers are answers that are no key set, with what is said of them.
func badAnswers(elsewhere string) map[string]struct {
	answer http.HandlerFunc
	want   string
} {
	return map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"500":                   {status(500), "answers 500"},
		"404 with a set":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); w.Write([]byte(setOf(b))) }, "answers 404"},
		"203 with a set":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(203); w.Write([]byte(setOf(b))) }, "answers 203"},
		"204":                   {status(204), "answers 204"},
		"304 that nobody asked": {status(304), "answers 304"},
		"redirect elsewhere": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, http.StatusFound) },
			"redirects are not followed"},
		"redirect to itself": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
		},
			"redirects are not followed"},
		"nothing":        {set(""), "no JSON object"},
		"garbage":        {set("\x00\xff\x13"), "not UTF-8"},
		"HTML":           {set("<html>we are down</html>"), "no JSON object"},
		"empty set":      {set(setOf()), "holds no"},
		"300 keys":       {set(manyKeys(300)), "300 keys; the limit is 64"},
		"too large":      {set(`{"keys":[` + b + `],"x":"` + strings.Repeat("x", jwks.MaxBytes) + `"}`), "more than 262144 bytes"},
		"a byte short":   {set(setOf(b)[:len(setOf(b))-1]), "no valid JSON"},
		"weak RSA":       {set(setOf(b, weakRSA())), "1024 bits"},
		"symmetric":      {set(setOf(b, `{"kty":"oct","k":"c2VjcmV0","kid":"s"}`)), "symmetric"},
		"one kid twice":  {set(setOf(b, jwk(keyC.Public(), "b"))), `kid "b"`},
		"member twice":   {set(setOf(`{"kid":"x",` + b[1:])), "twice"},
		"headers no end": {set(setOf(b), "X", strings.Repeat("x", 64<<10)), "header"},
		"compressed":     {set("\x1f\x8b\x08\x00", "Content-Encoding", "gzip"), "not UTF-8"},
		"body cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			w.Write([]byte(setOf(b)))
		}, "EOF"},
		"hung up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"body without end": {func(w http.ResponseWriter, _ *http.Request) {
			for chunk := []byte(strings.Repeat(" ", 4096)); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, "more than 262144 bytes"},
	}
}

// TestBadAnswersChangeNothing: whatever is answered instead of a key set, the keys that are held still count; where none
// are held, none count, and the reason is at hand.
func TestBadAnswersChangeNothing(t *testing.T) {
	visited := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		visited = true
		w.Write([]byte(setOf(b)))
	}))
	defer elsewhere.Close()
	for name, bad := range badAnswers(elsewhere.URL) {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.Config.ErrorLog = nil
			synctest.Test(t, func(t *testing.T) {
				i.says(bad.answer)
				r, e := newRemote(t, i, time.Hour)
				run(t, r)
				synctest.Wait()
				if _, err := r.Keys(time.Now()); err == nil || !strings.Contains(err.Error(), bad.want) || len(err.Error()) > 600 {
					t.Fatalf("at first: %v; want %q in it", err, bad.want)
				}
				i.says(set(setOf(a)))
				time.Sleep(time.Minute)
				synctest.Wait()
				held, err := r.Keys(time.Now())
				if err != nil || len(e.so().failed) != 1 {
					t.Fatalf("%v after %d failures", err, len(e.so().failed))
				}
				i.says(bad.answer)
				time.Sleep(30 * time.Minute)
				synctest.Wait()
				if keys, err := r.Keys(time.Now()); keys != held || err != nil || len(e.so().failed) < 4 || e.so().exposed != 0 {
					t.Errorf("keys %q, %v, %d failures, %d exposed", kids(r), err, len(e.so().failed), e.so().exposed)
				}
			})
		})
	}
	if visited {
		t.Error("a redirect was followed")
	}
}

// TestPrivateKeyEndsAll: an issuer that publishes a private key is believed no more until it publishes a set without. That
// holds wherever in the set it stands and whatever else is wrong.
func TestPrivateKeyEndsAll(t *testing.T) {
	for name, body := range map[string]string{
		"alone": setOf(secretA), "behind good ones": setOf(b, secretA), "behind a weak one": setOf(weakRSA(), secretA),
		"of another type": setOf(b, `{"kty":"AKP","priv":"AA"}`),
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.says(set(setOf(a), "ETag", `"1"`))
			synctest.Test(t, func(t *testing.T) {
				r, e := newRemote(t, i, time.Hour)
				run(t, r)
				synctest.Wait()
				i.says(set(body))
				r.Ask()
				time.Sleep(jwks.MinInterval)
				synctest.Wait()
				if _, err := r.Keys(time.Now()); err == nil || !strings.Contains(err.Error(), "private member") {
					t.Errorf("keys %q, %v", kids(r), err)
				}
				if e.so().exposed != 1 || e.so().expired != 1 || len(e.so().failed) != 1 || e.so().left != 0 {
					t.Errorf("%d exposed, %d ends, failures %v, %s left", e.so().exposed, e.so().expired, e.so().failed, e.so().left)
				}
				i.says(set(setOf(b)))
				time.Sleep(time.Minute)
				synctest.Wait()
				if kids(r) != "b" || i.lastRequest().Get("If-None-Match") != "" {
					t.Errorf("keys %q afterwards", kids(r))
				}
			})
		})
	}
}

// TestSlowAnswers run in real time: no fetch outlasts its bound, and Run's end does not wait for one.
func TestSlowAnswers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"trickles": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.Write([]byte(" "))
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			i.says(answer)
			failed := make(chan error, 1)
			r, err := jwks.New(jwks.Options{URL: i.URL, Roots: i.roots(),
				Events: jwks.Events{Failed: func(err error, _, _ time.Duration) { failed <- err }}})
			if err != nil {
				t.Fatal(err)
			}
			r.Within(200 * time.Millisecond)
			began := time.Now()
			run(t, r)
			err = <-failed
			if took := time.Since(began); !strings.Contains(err.Error(), "within 200ms") || took > 30*time.Second {
				t.Errorf("after %s: %v", took, err)
			}
		})
	}
	t.Run("ends", func(t *testing.T) {
		t.Parallel()
		i := newIssuer(t)
		began := make(chan struct{}, 1)
		i.says(func(_ http.ResponseWriter, r *http.Request) { began <- struct{}{}; <-r.Context().Done() })
		r, e := newRemote(t, i, 0)
		r.Patient()
		t.Run("running", func(t *testing.T) { run(t, r); <-began })
		if len(e.so().failed) != 0 {
			t.Errorf("its end is told as a failure: %v", e.so().failed)
		}
	})
}

// TestTLS: the server must be who it says, by a certificate that the settings' CAs signed, over TLS 1.2 at least.
func TestTLS(t *testing.T) {
	old := httptest.NewUnstartedServer(set(setOf(a)))
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	defer old.Close()
	good := newIssuer(t)
	for name, c := range map[string]struct {
		url   string
		roots *x509.CertPool
		want  string
	}{
		"nobody's certificate": {good.URL, x509.NewCertPool(), "unknown authority"},
		"not of the system":    {good.URL, nil, "certificate"},
		"another name":         {strings.Replace(good.URL, "127.0.0.1", "localhost", 1), good.roots(), "not localhost"},
		"TLS 1.1":              {old.URL, good.roots(), "version"},
		"no TLS at all":        {strings.Replace(plain(t).URL, "http:", "https:", 1), good.roots(), "HTTP"},
		"nobody there":         {"https://127.0.0.1:1/", good.roots(), "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			failed := make(chan error, 1)
			r, err := jwks.New(jwks.Options{URL: c.url, Roots: c.roots,
				Events: jwks.Events{Failed: func(err error, _, _ time.Duration) { failed <- err }}})
			if err != nil {
				t.Fatal(err)
			}
			r.Patient()
			run(t, r)
			if err := <-failed; !strings.Contains(err.Error(), c.want) || kids(r) != "!" {
				t.Errorf("keys %q, %v; want %q in it", kids(r), err, c.want)
			}
		})
	}
}

func plain(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(set(setOf(a)))
	t.Cleanup(s.Close)
	return s
}

// TestPlainOnLoopback: without TLS, on this machine, it works as with.
func TestPlainOnLoopback(t *testing.T) {
	server := plain(t)
	fetched := make(chan struct{}, 1)
	r, err := jwks.New(jwks.Options{URL: server.URL,
		Events: jwks.Events{Fetched: func(int, bool, time.Time) { fetched <- struct{}{} }}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, r)
	if <-fetched; kids(r) != "a" {
		t.Errorf("keys %q", kids(r))
	}
}
