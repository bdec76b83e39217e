package jwks_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/tiergate/tiergate/authz/jwks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var keyA, keyB, keyC = newKey(), newKey(), newKey()

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func jwk(key any, kid string) string {
	b, err := json.Marshal(jose.JSONWebKey{Key: key, KeyID: kid})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func setOf(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

var (
	a, b, c = jwk(keyA.Public(), "a"), jwk(keyB.Public(), "b"), jwk(keyC.Public(), "c")
	secretA = jwk(keyA, "a")
)

// issuer is an HTTPS server that answers as it is told. It lives outside of the bubble in which a test's time passes.
type issuer struct {
	*httptest.Server
	mu       sync.Mutex
	answer   http.HandlerFunc
	requests []http.Header
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	i.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.requests = append(i.requests, r.Header)
		answer := i.answer
		i.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(i.Close)
	i.says(set(setOf(a)))
	return i
}

func (i *issuer) says(answer http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

func (i *issuer) fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.requests)
}

func (i *issuer) lastRequest() http.Header {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests[len(i.requests)-1]
}

func (i *issuer) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(i.Certificate())
	return pool
}

// set answers with a body and headers, given as name and value in turn.
func set(body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		_, _ = w.Write([]byte(body))
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// told collects what a Remote reports.
type told struct {
	mu sync.Mutex
	report
}

// so is what was reported until now.
func (e *told) so() report {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.report
}

type report struct {
	changed int
	same    int
	expired int
	exposed int
	until   time.Time
	failed  []error
	left    time.Duration
	retries []time.Duration
}

func (e *told) events() jwks.Events {
	return jwks.Events{
		Fetched: func(_ int, changed bool, until time.Time) {
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.until = until; changed {
				e.changed++
			} else {
				e.same++
			}
		},
		Failed: func(err error, left, retryIn time.Duration) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.failed, e.left, e.retries = append(e.failed, err), left, append(e.retries, retryIn)
		},
		Expired: func() { e.mu.Lock(); defer e.mu.Unlock(); e.expired++ },
		Exposed: func(error) { e.mu.Lock(); defer e.mu.Unlock(); e.exposed++ },
	}
}

func newRemote(t *testing.T, i *issuer, stale time.Duration) (*jwks.Remote, *told) {
	t.Helper()
	e := &told{}
	r, err := jwks.New(jwks.Options{URL: i.URL + "/keys", Roots: i.roots(), Stale: stale, Events: e.events()})
	if err != nil {
		t.Fatal(err)
	}
	return r, e
}

// run starts a Remote; the test's end waits for its end.
func run(t *testing.T, r *jwks.Remote) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// kids are the keys that count now; "!" if there are none.
func kids(r *jwks.Remote) string {
	keys, err := r.Keys(time.Now())
	if err != nil {
		return "!"
	}
	var all []string
	for _, key := range keys.Keys {
		all = append(all, key.KeyID)
	}
	return strings.Join(all, " ")
}
