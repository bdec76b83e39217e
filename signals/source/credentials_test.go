package source_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
)

// tokens plays a vendor with token endpoints; a token is good while it is the last that was given out.
type tokens struct {
	given   atomic.Int32
	expires time.Duration
	answer  string // instead of a token
	status  int
}

func (s *tokens) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	good := fmt.Sprintf("Bearer token-%d", s.given.Load())
	user, password, _ := req.BasicAuth()
	oauth := req.Method == http.MethodPost && req.URL.Path == "/api/oauth/token" &&
		req.FormValue("grant_type") == "client_credentials" && req.FormValue("client_id") == "id" &&
		req.FormValue("client_secret") == "s&cret" && req.FormValue("scope") == "read"
	basic := req.Method == http.MethodPost && req.URL.Path == "/api/v1/auth/token" && user == "reader" && password == "pw"
	switch {
	case s.status != 0 && req.Method == http.MethodPost:
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(s.status)
	case s.answer != "" && req.Method == http.MethodPost:
		fmt.Fprint(w, s.answer)
	case oauth:
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":%d}`, s.given.Add(1),
			int(s.expires.Seconds()))
	case basic:
		fmt.Fprintf(w, `{"token":"token-%d","expires":%q}`, s.given.Add(1),
			time.Now().Add(s.expires).UTC().Format("2006-01-02T15:04:05.000Z"))
	case req.Method == http.MethodGet && req.Header.Get("Authorization") == good && s.given.Load() > 0:
		fmt.Fprint(w, `{}`)
	default:
		w.WriteHeader(http.StatusUnauthorized)
	}
}

var (
	oauth = source.ClientCredentials{Endpoint: "/api/oauth/token", ID: "id", Secret: "s&cret", Scope: "read"}
	basic = source.BasicLogin{Endpoint: "/api/v1/auth/token", User: "reader", Password: "pw"}
)

func TestTokensAreKeptAndRenewed(t *testing.T) {
	t.Parallel()
	for name, credentials := range map[string]source.Credentials{"oauth": oauth, "basic": basic} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vendor := &tokens{expires: time.Hour}
			c := client(t, api(t, vendor.ServeHTTP), func(o *source.ClientOptions) { o.Credentials = credentials })
			var askers sync.WaitGroup
			for range 20 {
				askers.Go(func() {
					if _, err := get(t, c); err != nil {
						t.Error(err)
					}
				})
			}
			askers.Wait()
			if n := vendor.given.Load(); n != 1 {
				t.Errorf("20 askers at once made %d logins", n)
			}
			vendor.given.Add(1) // the vendor forgets the token before its time
			if _, err := get(t, c); err != nil || vendor.given.Load() != 3 {
				t.Errorf("after the token was revoked: %v, %d logins", err, vendor.given.Load())
			}
		})
	}
}

func TestTokenIsRenewedBeforeItExpires(t *testing.T) {
	vendor := &tokens{expires: 2 * time.Second}
	c := client(t, api(t, vendor.ServeHTTP), func(o *source.ClientOptions) { o.Credentials = oauth })
	const renewed = 1800 * time.Millisecond // a tenth early
	began := time.Now()
	if _, err := get(t, c); err != nil || vendor.given.Load() != 1 {
		t.Fatalf("%v, %d logins", err, vendor.given.Load())
	}
	logged := time.Now()
	for vendor.given.Load() == 1 {
		asked := time.Now()
		if _, err := get(t, c); err != nil {
			t.Fatal(err)
		}
		switch n := vendor.given.Load(); {
		case n == 1 && asked.After(logged.Add(renewed)):
			t.Fatalf("no new login %s after one for 2 s", asked.Sub(logged))
		case n > 1 && time.Now().Before(began.Add(renewed)):
			t.Fatalf("%d logins within %s of one for 2 s", n, time.Since(began))
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n := vendor.given.Load(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}

func TestRefusedCredentials(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		vendor      *tokens
		credentials source.Credentials
		want        string
	}{
		"wrong secret":   {&tokens{}, source.ClientCredentials{Endpoint: "/api/oauth/token", ID: "id", Secret: "wr0ng"}, "status 401"},
		"wrong password": {&tokens{}, source.BasicLogin{Endpoint: "/api/v1/auth/token", User: "reader", Password: "wr0ng"}, "status 401"},
		"static token":   {&tokens{}, source.Bearer{Token: "wr0ng"}, "status 401"},
		"no endpoint":    {&tokens{status: 404}, oauth, "no such token endpoint"},
		"moved":          {&tokens{status: 307}, oauth, "redirected"},
		"no token":       {&tokens{answer: `{"access_token":"","expires_in":60}`}, oauth, "no bearer token"},
		"another kind":   {&tokens{answer: `{"access_token":"x","token_type":"mac"}`}, oauth, "no bearer token"},
		"another shape":  {&tokens{answer: `[]`}, oauth, "RFC 6749"},
		"empty login":    {&tokens{answer: `{"token":""}`}, basic, `{"token","expires"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := get(t, client(t, api(t, c.vendor.ServeHTTP), func(o *source.ClientOptions) { o.Credentials = c.credentials }))
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, source.ErrGone) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			for _, secret := range []string{"wr0ng", "s&cret", "s%26cret"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error has the secret: %v", err)
				}
			}
		})
	}
}
