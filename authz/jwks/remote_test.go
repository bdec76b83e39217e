package jwks_test

import (
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/authz/jwks"
)

// TestKeepsUp: the first keys, the same keys in other words, and other keys.
func TestKeepsUp(t *testing.T) {
	i := newIssuer(t)
	i.says(set(setOf(a, b), "Cache-Control", "max-age=600", "ETag", `"1"`))
	synctest.Test(t, func(t *testing.T) {
		r, e := newRemote(t, i, time.Hour)
		if _, err := r.Keys(time.Now()); err == nil || !strings.Contains(err.Error(), "not fetched yet") {
			t.Errorf("before Run: %v", err)
		}
		run(t, r)
		synctest.Wait()
		first, err := r.Keys(time.Now())
		if err != nil || kids(r) != "a b" || e.so().changed != 1 {
			t.Fatalf("%v, keys %q, %d changes", err, kids(r), e.so().changed)
		}
		if tag := i.lastRequest().Get("If-None-Match"); tag != "" {
			t.Errorf("the first fetch sends If-None-Match %s", tag)
		}
		i.says(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") != `"1"` {
				t.Errorf("If-None-Match %q", r.Header.Get("If-None-Match"))
			}
			w.WriteHeader(http.StatusNotModified)
		})
		time.Sleep(10 * time.Minute) // past what was said with the set, which "not modified" renews
		synctest.Wait()
		i.says(set(setOf(b, a), "Cache-Control", "max-age=600"))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if again, err := r.Keys(time.Now()); again != first || err != nil || e.so().changed != 1 || e.so().same < 2 {
			t.Errorf("the same keys are another set, or %v; %d changes, %d not", err, e.so().changed, e.so().same)
		}
		i.says(set(setOf(b, c)))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if now, err := r.Keys(time.Now()); now == first || err != nil || kids(r) != "b c" {
			t.Errorf("keys %q, %v", kids(r), err)
		}
		if tag := i.lastRequest().Get("If-None-Match"); tag != "" || len(e.so().failed) != 0 {
			t.Errorf("If-None-Match %q after an answer without; failures %v", tag, e.so().failed)
		}
	})
}

// TestPlan: how long keys are fresh, by what the answer says, and that they are fetched anew before that.
func TestPlan(t *testing.T) {
	for name, c := range map[string]struct {
		headers []string
		fresh   time.Duration
	}{
		"nothing said":   {nil, 5 * time.Minute},
		"other words":    {[]string{"Cache-Control", "public, s-maxage=7200"}, 5 * time.Minute},
		"ten minutes":    {[]string{"Cache-Control", "public, Max-Age=600, immutable"}, 10 * time.Minute},
		"quoted":         {[]string{"Cache-Control", `max-age="600"`}, 10 * time.Minute},
		"two headers":    {[]string{"Cache-Control", "max-age=700", "Cache-Control", "max-age=600"}, 10 * time.Minute},
		"aged":           {[]string{"Cache-Control", "max-age=900", "Age", "300"}, 10 * time.Minute},
		"aged for long":  {[]string{"Cache-Control", "max-age=900", "Age", "99999999999999999999"}, time.Minute},
		"age of nothing": {[]string{"Age", "300"}, 5 * time.Minute},
		"one second":     {[]string{"Cache-Control", "max-age=1"}, time.Minute},
		"a year":         {[]string{"Cache-Control", "max-age=31536000"}, 24 * time.Hour},
		"beyond numbers": {[]string{"Cache-Control", "max-age=99999999999999999999"}, 24 * time.Hour},
		"negative":       {[]string{"Cache-Control", "max-age=-1"}, time.Minute},
		"no number":      {[]string{"Cache-Control", "max-age=soon"}, time.Minute},
		"no-store":       {[]string{"Cache-Control", "no-store, max-age=600"}, time.Minute},
		"no-cache":       {[]string{"Cache-Control", "max-age=600, no-cache"}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.says(set(setOf(a), c.headers...))
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				r, e := newRemote(t, i, time.Hour)
				run(t, r)
				synctest.Wait()
				if got := e.so().until.Sub(began) - time.Hour; got != c.fresh {
					t.Fatalf("fresh for %s, want %s", got, c.fresh)
				}
				time.Sleep(c.fresh*3/4 - 1)
				synctest.Wait()
				if n := i.fetches(); n != 1 {
					t.Errorf("%d fetches early", n)
				}
				time.Sleep(c.fresh*15/100 + 2)
				synctest.Wait()
				if n := i.fetches(); n != 2 {
					t.Errorf("%d fetches before the keys ceased to be fresh, want 2", n)
				}
			})
		})
	}
}

// TestStaleIfError: keys that cannot be fetched anew count to their bound and no nanosecond longer, and come back.
func TestStaleIfError(t *testing.T) {
	i := newIssuer(t)
	i.says(set(setOf(a), "Cache-Control", "max-age=600", "ETag", `W/"1"`))
	synctest.Test(t, func(t *testing.T) {
		r, e := newRemote(t, i, 2*time.Hour)
		began := time.Now()
		run(t, r)
		synctest.Wait()
		i.says(status(http.StatusInternalServerError))
		end := began.Add(10*time.Minute + 2*time.Hour)
		time.Sleep(time.Until(end) - 1)
		synctest.Wait()
		if kids(r) != "a" || e.so().expired != 0 || len(e.so().failed) < 20 {
			t.Fatalf("keys %q before the bound, %d ends, %d failures", kids(r), e.so().expired, len(e.so().failed))
		}
		if _, err := r.Keys(end); err == nil || !strings.Contains(err.Error(), "answers 500") {
			t.Errorf("at the bound: %v", err)
		}
		for n, retry := range e.so().retries {
			if retry < jwks.MinInterval || retry > 6*time.Minute {
				t.Errorf("retry %d after %s", n, retry)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if kids(r) != "!" || e.so().expired != 1 || e.so().left != 0 {
			t.Errorf("keys %q after the bound, %d ends, %s left", kids(r), e.so().expired, e.so().left)
		}
		if tag := i.lastRequest().Get("If-None-Match"); tag != "" {
			t.Errorf("asks whether what it dropped is the same: %s", tag)
		}
		i.says(set(setOf(a)))
		r.Ask()
		time.Sleep(jwks.MinInterval)
		synctest.Wait()
		if kids(r) != "a" {
			t.Errorf("keys %q after the issuer came back", kids(r))
		}
	})
}

// TestNoStale: with no time to spare the keys end with their freshness, and 1 minute is enough to fetch anew.
func TestNoStale(t *testing.T) {
	i := newIssuer(t)
	i.says(set(setOf(a), "Cache-Control", "no-store"))
	synctest.Test(t, func(t *testing.T) {
		r, e := newRemote(t, i, 0)
		run(t, r)
		synctest.Wait()
		for range 600 {
			time.Sleep(time.Second)
			synctest.Wait()
			if kids(r) != "a" {
				t.Fatal("no keys while every fetch succeeds")
			}
		}
		i.says(status(http.StatusBadGateway))
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if kids(r) != "!" || e.so().expired != 1 {
			t.Errorf("keys %q, %d ends", kids(r), e.so().expired)
		}
	})
}

// TestAsksAreBounded: whatever strangers ask for, the starts of two fetches are MinInterval apart, and an ask is heard.
func TestAsksAreBounded(t *testing.T) {
	i := newIssuer(t)
	for name, answer := range map[string]http.HandlerFunc{
		"well": set(setOf(a), "Cache-Control", "max-age=86400"), "failing": status(http.StatusServiceUnavailable),
	} {
		t.Run(name, func(t *testing.T) {
			i.says(answer)
			before := i.fetches()
			synctest.Test(t, func(t *testing.T) {
				r, _ := newRemote(t, i, time.Hour)
				run(t, r)
				last, seen := time.Now(), before
				for range 10_000 {
					r.Ask()
					time.Sleep(10 * time.Millisecond)
					synctest.Wait()
					if n := i.fetches(); n != seen {
						if since := time.Since(last); seen > before && (n != seen+1 || since < jwks.MinInterval-10*time.Millisecond) {
							t.Fatalf("%d fetches within %s", n-seen, since)
						}
						last, seen = time.Now(), n
					}
				}
				if n := i.fetches() - before; n < 10 || n > 11 {
					t.Errorf("%d fetches in 100 s of asking; one per %s are 10 or 11", n, jwks.MinInterval)
				}
			})
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]jwks.Options{
		"nothing":         {},
		"relative":        {URL: "keys.json"},
		"plain":           {URL: "http://login.acme.example/keys"},
		"plain by number": {URL: "http://192.0.2.1/keys"},
		"looks local":     {URL: "http://localhost.acme.example/keys"},
		"file":            {URL: "file:///keys.json"},
		"user":            {URL: "https://u:p@login.acme.example/keys"},
		"fragment":        {URL: "https://login.acme.example/keys#a"},
		"no host":         {URL: "https:///keys"},
		"control":         {URL: "https://login.acme.example/\x00"},
		"stale for long":  {URL: "https://login.acme.example/keys", Stale: jwks.MaxStale + 1},
		"stale before":    {URL: "https://login.acme.example/keys", Stale: -1},
	} {
		if r, err := jwks.New(o); err == nil || r != nil {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	for _, url := range []string{"https://login.acme.example/keys?t=1", "http://127.0.0.1:1/", "http://[::1]/", "http://localhost/"} {
		if _, err := jwks.New(jwks.Options{URL: url}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestGoesNowhereElse: no proxy of the environment, no old TLS, no plain HTTP off this machine.
func TestGoesNowhereElse(t *testing.T) {
	r, err := jwks.New(jwks.Options{URL: "https://login.acme.example", Roots: x509.NewCertPool()})
	if err != nil {
		t.Fatal(err)
	}
	if tr := r.Transport(); tr.Proxy != nil || tr.TLSClientConfig.MinVersion < 0x0303 || tr.TLSClientConfig.InsecureSkipVerify {
		t.Errorf("transport %+v", tr)
	}
	for address, ok := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true,
		"192.0.2.1:80": false, "[::]:80": false, "169.254.169.254:80": false, "localhost:80": false} {
		if err := jwks.OnlyLoopback(address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}
