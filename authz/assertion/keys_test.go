package assertion_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/authz/assertion"
)

// TestRotationRefusesNobody: through hours of keys that are replaced every ten minutes, every assertion that a request
// carries verifies at once and when it was held up on its way, with a verifier that fetches no oftener than it is told to.
func TestRotationRefusesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		keys, issuer := made(t, assertion.KeyOptions{RotateEvery: assertion.MinRotateEvery})
		var running sync.WaitGroup
		running.Go(func() { _ = keys.Run(ctx) })
		running.Go(func() { _ = issuer.Run(ctx) })
		source := &polled{t: t, from: keys}
		v := newVerifier(t, source, nil)
		kids, most := map[string]bool{}, 0
		var late []string // what an upstream may still get, held up on its way
		for range 6 * 3600 / 7 {
			raw := issuer.Assertion(ana(time.Now()))
			kids[kidOf(t, raw)] = true
			if _, err := v.Verify(raw); err != nil {
				t.Fatal(err)
			}
			if late = append(late, raw); len(late) > 6 { // 42 s, within its life and the leeway
				if _, err := v.Verify(late[0]); err != nil {
					t.Fatal(err)
				}
				late = late[1:]
			}
			most = max(most, len(source.set.Keys))
			time.Sleep(7 * time.Second)
			synctest.Wait()
		}
		cancel()
		running.Wait()
		if len(kids) < 35 || most != 3 || source.asked != 0 {
			t.Errorf("%d keys signed, at most %d were published, %d times a key was not known", len(kids), most, source.asked)
		}
	})
}

// TestAnOldKeyGoes: once nothing that it signed counts any more it is published no longer.
func TestAnOldKeyGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		keys, _ := made(t, assertion.KeyOptions{})
		done := make(chan struct{})
		go func() { defer close(done); _ = keys.Run(ctx) }()
		first := document(t, keys).Keys
		if len(first) != 2 {
			t.Fatalf("%d keys at the start: the next one is to be known", len(first))
		}
		time.Sleep(24*time.Hour + time.Second)
		if now := document(t, keys).Keys; len(now) != 3 || now[0].KeyID != first[1].KeyID {
			t.Errorf("%d keys after a day, %s signs", len(now), now[0].KeyID)
		}
		time.Sleep(2 * time.Minute)
		for _, k := range document(t, keys).Keys {
			if k.KeyID == first[0].KeyID {
				t.Error("the first key is still published")
			}
		}
		cancel()
		<-done
	})
}

// TestFilesRotate: a key that comes in a file is published at once and signs after Ahead; one that was there before signs at
// once; what is bad changes nothing.
func TestFilesRotate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, c := keyFile(t), keyFile(t), keyFile(t)
		var told []string
		keys, issuer := made(t, assertion.KeyOptions{Files: [][]byte{a, b},
			Events: assertion.KeyEvents{Signing: func(kid string, _ int) { told = append(told, kid) }}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = keys.Run(ctx) }()
		signs := func() string {
			time.Sleep(time.Minute) // nothing that was kept counts any more
			synctest.Wait()
			return kidOf(t, issuer.Assertion(ana(time.Now())))
		}
		first := document(t, keys).Keys
		if got := signs(); got != first[0].KeyID {
			t.Errorf("%s signs and not the first", got)
		}
		if err := keys.Replace([][]byte{b, a}); err != nil || signs() != first[1].KeyID {
			t.Errorf("a key that was published does not sign at once: %v", err)
		}
		if err := keys.Replace([][]byte{c}); err != nil || signs() != first[1].KeyID {
			t.Errorf("a key that nobody knows signs: %v", err)
		}
		for _, bad := range [][][]byte{nil, {c, c}, {c, []byte("x")}} {
			if keys.Replace(bad) == nil {
				t.Errorf("%q was taken", bad)
			}
		}
		time.Sleep(assertion.Ahead)
		last := signs()
		if set := document(t, keys).Keys; last == first[1].KeyID || set[0].KeyID != last {
			t.Error("the new key does not sign in time")
		}
		time.Sleep(3 * time.Minute)
		if set := document(t, keys).Keys; len(set) != 1 {
			t.Errorf("%d keys at the end", len(set))
		}
		if want := []string{first[0].KeyID, first[1].KeyID, last}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		cancel()
		<-done
	})
}

func TestKeyFilesAreJudged(t *testing.T) {
	t.Parallel()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := keyFile(t)
	for want, file := range map[string][]byte{
		"":                    good,
		"no PEM":              []byte("secret"),
		"something follows":   append(slices.Clone(good), good...),
		"no key on the curve": pemOf(t, p384),
		"P-256":               pemOf(t, edwards),
		"cannot be read":      []byte("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"),
		"of type":             []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
	} {
		if err := assertion.Parse(file); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := assertion.NewKeys(assertion.KeyOptions{Files: [][]byte{good, good}}); err == nil {
		t.Error("one key twice was taken")
	}
}

func TestTheSetOverHTTP(t *testing.T) {
	t.Parallel()
	keys, _ := made(t, assertion.KeyOptions{})
	ask := func(method, tag string) *httptest.ResponseRecorder {
		r, answer := httptest.NewRequest(method, assertion.Path, nil), httptest.NewRecorder()
		if tag != "" {
			r.Header.Set("If-None-Match", tag)
		}
		keys.ServeHTTP(answer, r)
		return answer
	}
	got := ask(http.MethodGet, "")
	if h := got.Header(); got.Code != 200 || h.Get("Content-Type") != "application/jwk-set+json" ||
		h.Get("Cache-Control") != "public, max-age=60" || strings.Contains(got.Body.String(), `"d"`) {
		t.Errorf("%d %v %s", got.Code, got.Header(), got.Body)
	}
	if again := ask(http.MethodGet, `"x", W/`+got.Header().Get("ETag")); again.Code != 304 || again.Body.Len() > 0 {
		t.Errorf("%d %s", again.Code, again.Body)
	}
	if post := ask(http.MethodPost, ""); post.Code != 405 {
		t.Errorf("POST: %d", post.Code)
	}
}
