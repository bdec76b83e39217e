package token_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/jwks"
	"github.com/tiergate/tiergate/authz/token"
)

// source is a KeySource whose keys a test changes.
type source struct {
	keys *jose.JSONWebKeySet
	asks int
}

func (s *source) Keys(time.Time) (*jose.JSONWebKeySet, error) {
	if s.keys == nil {
		return nil, errors.New("the issuer is down")
	}
	return s.keys, nil
}

func (s *source) Ask() { s.asks++ }

func corpFrom(s token.KeySource) token.Issuer {
	i := corp()
	i.Keys, i.Source = jose.JSONWebKeySet{}, s
	return i
}

func setWith(key any, kid string) *jose.JSONWebKeySet {
	return &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: kid}}}
}

// TestKeysThatLeaveTakeTheirTokensAlong, those that are remembered too.
func TestKeysThatLeaveTakeTheirTokensAlong(t *testing.T) {
	nobody := identity.Thumbprint{}
	s := &source{keys: setWith(corpEC.Public(), "ec")}
	v := newVerifier(t, corpFrom(s))
	raw := sign(corpEC, header(nil), claims(nil))
	believed := func(want bool, when string) {
		t.Helper()
		for range 3 {
			if user, err := v.Verify(raw, nobody, now); (err == nil) != want || (user != nil) != want {
				t.Errorf("%s: %v, %v", when, user, err)
			}
		}
	}
	believed(true, "with its key")
	s.keys = setWith(strangersEC.Public(), "ec")
	believed(false, "with another key of that kid")
	s.keys = setWith(corpEC.Public(), "other")
	believed(false, "with its key under another kid")
	s.keys = nil
	believed(false, "without keys")
	if _, err := v.Verify(raw, nobody, now); err == nil || !strings.Contains(err.Error(), "issuer corp: the issuer is down") {
		t.Errorf("the operator reads: %v", err)
	}
	s.keys = setWith(corpEC.Public(), "ec")
	believed(true, "with its key again")
	two := corpFrom(s)
	two.Keys = corpKeys()
	if _, err := token.New([]token.Issuer{two}); err == nil || !strings.Contains(err.Error(), "one of the two") {
		t.Errorf("keys from two places: %v", err)
	}
}

// TestWhatAsks: a token whose key is not there asks for newer keys; a forged one and one that is wrong otherwise do not.
func TestWhatAsks(t *testing.T) {
	for name, c := range map[string]struct {
		keys *jose.JSONWebKeySet
		raw  string
		asks int
	}{
		"good":                   {setWith(corpEC.Public(), "ec"), sign(corpEC, header(nil), claims(nil)), 0},
		"unknown kid":            {setWith(corpEC.Public(), "ec"), sign(corpEC, header(object{"kid": "new"}), claims(nil)), 1},
		"no kid, no key":         {setWith(strangersEC.Public(), "x"), sign(corpEC, header(object{"kid": nil}), claims(nil)), 1},
		"no kid, its key":        {setWith(corpEC.Public(), "x"), sign(corpEC, header(object{"kid": nil}), claims(nil)), 0},
		"no keys":                {nil, sign(corpEC, header(nil), claims(nil)), 1},
		"forged":                 {setWith(corpEC.Public(), "ec"), sign(strangersEC, header(nil), claims(nil)), 0},
		"expired":                {setWith(corpEC.Public(), "ec"), sign(corpEC, header(nil), claims(object{"exp": 1})), 0},
		"algorithm not listed":   {setWith(corpEC.Public(), "ec"), sign(corpEC, header(object{"alg": "ES512", "kid": "n"}), claims(nil)), 0},
		"another issuer":         {setWith(corpEC.Public(), "ec"), sign(corpEC, header(object{"kid": "n"}), claims(object{"iss": "x"})), 0},
		"kid longer than any is": {setWith(corpEC.Public(), "ec"), sign(corpEC, header(object{"kid": strings.Repeat("n", 257)}), claims(nil)), 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := &source{keys: c.keys}
			_, _ = newVerifier(t, corpFrom(s)).Verify(c.raw, identity.Thumbprint{}, now)
			if s.asks != c.asks {
				t.Errorf("%d asks, want %d", s.asks, c.asks)
			}
		})
	}
}

// flooded is a verifier whose issuer publishes its keys, seen by the flood test.
type flooded struct {
	fetches atomic.Int64
	body    atomic.Pointer[[]byte]
	server  *httptest.Server
}

func newFlooded(t *testing.T) *flooded {
	f := &flooded{}
	f.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		f.fetches.Add(1)
		w.Header().Set("Cache-Control", "max-age=86400")
		_, _ = w.Write(*f.body.Load())
	}))
	t.Cleanup(f.server.Close)
	return f
}

func (f *flooded) publishes(keys *jose.JSONWebKeySet) {
	body := toJSON(keys)
	f.body.Store(&body)
}

// TestFlood: 10,000 random kids and 10,000 bad signatures cause one fetch per interval at most, valid tokens pass all the
// time without waiting, a new key is found within an interval, and the one that left is believed no more.
func TestFlood(t *testing.T) {
	f := newFlooded(t)
	f.publishes(setWith(corpEC.Public(), "ec"))
	synctest.Test(t, func(t *testing.T) {
		roots := x509.NewCertPool()
		roots.AddCert(f.server.Certificate())
		remote, err := jwks.New(jwks.Options{URL: f.server.URL, Roots: roots})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() { _ = remote.Run(ctx) }()
		synctest.Wait()
		v := newVerifier(t, corpFrom(remote))
		nobody, began := identity.Thumbprint{}, time.Now()
		lasting := claims(object{"iat": nil, "nbf": nil})
		lasting["exp"] = began.Add(time.Hour).Unix()
		old, young := sign(corpEC, header(nil), lasting), sign(strangersEC, header(object{"kid": "young"}), lasting)
		cut := strings.LastIndexByte(old, '.')
		found := time.Duration(-1)
		for n := range 10_000 {
			kid := encode(toJSON(object{"alg": "ES256", "kid": fmt.Sprint("random-", n)})) + old[strings.IndexByte(old, '.'):]
			before := time.Now()
			for _, bad := range []string{kid, old[:cut+1] + encode([]byte(fmt.Sprintf("%064d", n)))} {
				if user, err := v.Verify(bad, nobody, time.Now()); err == nil {
					t.Fatalf("%v is believed", user)
				}
			}
			_, oldFault := v.Verify(old, nobody, time.Now())
			_, youngFault := v.Verify(young, nobody, time.Now())
			if !time.Now().Equal(before) {
				t.Fatal("verifying waited")
			}
			switch rotated := n >= 5_000; {
			case !rotated && (oldFault != nil || youngFault == nil):
				t.Fatalf("token %d: %v; not published yet: %v", n, oldFault, youngFault)
			case rotated && youngFault == nil && found < 0:
				found = time.Since(began) - 50*time.Second
			case rotated && (youngFault == nil) == (oldFault == nil):
				t.Fatalf("token %d: the old key %v, the new key %v", n, oldFault, youngFault)
			}
			if time.Sleep(10 * time.Millisecond); n == 4_999 {
				f.publishes(setWith(strangersEC.Public(), "young"))
			}
			synctest.Wait()
		}
		if n := f.fetches.Load(); n < 10 || n > 11 {
			t.Errorf("%d fetches in 100 s; one per %s are 10 or 11", n, jwks.MinInterval)
		}
		if found < 0 || found > jwks.MinInterval+20*time.Millisecond {
			t.Errorf("the new key was found after %s", found)
		}
		cancel()
		synctest.Wait()
	})
}

// BenchmarkVerifyAgainFetched is the price of a token that was believed before, where its issuer's keys are fetched.
func BenchmarkVerifyAgainFetched(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(toJSON(corpKeys())) }))
	defer server.Close()
	fetched := make(chan struct{}, 1)
	remote, err := jwks.New(jwks.Options{URL: server.URL,
		Events: jwks.Events{Fetched: func(int, bool, time.Time) { fetched <- struct{}{} }}})
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = remote.Run(b.Context()) }()
	<-fetched
	v := newVerifier(b, corpFrom(remote))
	at := time.Now()
	raw := sign(corpEC, header(nil), claims(object{"iat": nil, "nbf": nil, "exp": at.Add(time.Hour).Unix()}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(raw, identity.Thumbprint{}, at); err != nil {
			b.Fatal(err)
		}
	}
}
