package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/jwks"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source/intune"
)

const (
	graphTenant = "9f4ebab6-520d-49c0-85cc-7b25c78d4a93"
	graphApp    = "925bff9f-f6e2-4a69-b858-f71ea2b9b6d0"
)

// aLogin plays Microsoft's login: its keys, and tokens of it.
type aLogin struct {
	url string
	key *rsa.PrivateKey

	mu   sync.Mutex
	keys []jose.JSONWebKey
}

func newLogin(t *testing.T) *aLogin {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	l := &aLogin{key: key, keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Use: "sig"}}}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

func (l *aLogin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.URL.Path != "/"+graphTenant+"/discovery/v2.0/keys" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: l.keys})
}

// token is what Microsoft's page shows of version 2.0, with changes; nil takes a claim away.
func (l *aLogin) token(t *testing.T, key any, header map[jose.HeaderKey]any, change map[string]any) string {
	t.Helper()
	claims := map[string]any{"aud": graphApp, "iss": l.url + "/" + graphTenant + "/v2.0", "iat": time.Now().Unix(), "nbf": time.Now().Unix(),
		"exp": time.Now().Add(24 * time.Hour).Unix(), "azp": intune.Publisher, "azpacr": "2", "tid": graphTenant,
		"oid": "1e7d79fa-7893-4d50-bdde-164260d9c5ba", "sub": "1e7d79fa-7893-4d50-bdde-164260d9c5ba", "ver": "2.0"}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "k")
	maps.Copy(options.ExtraHeaders, header)
	algorithm := jose.RS256
	if _, symmetric := key.([]byte); symmetric {
		algorithm = jose.HS256
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := json.Marshal(claims)
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, _ := signed.CompactSerialize()
	return compact
}

// proof is what judges tokens of a login, with its keys fetched.
func (l *aLogin) proof(t *testing.T, i *config.Intune) *graphProof {
	t.Helper()
	p, err := newGraphProof(i)
	if err != nil {
		t.Fatal(err)
	}
	fetched := make(chan struct{}, 1)
	run, err := p.fetch(jwks.Events{Fetched: func(int, bool, time.Time) { fetched <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-fetched
	return p
}

func (l *aLogin) settings() *config.Intune {
	return &config.Intune{Tenant: strings.ToUpper(graphTenant),
		Validation: &config.IntuneValidation{AppIDs: []string{"another", strings.ToUpper(graphApp)}, Authority: l.url + "/"}}
}

// TestValidationTokens: a token that Microsoft gave to Graph's change tracking for our app is believed, and nothing else.
func TestValidationTokens(t *testing.T) {
	t.Parallel()
	l := newLogin(t)
	p := l.proof(t, l.settings())
	good := l.token(t, l.key, nil, nil)
	if err := p.judge(good, time.Now()); err != nil {
		t.Fatal(err)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := json.Marshal(l.keys[0])
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
	change := func(name string, value any) string { return l.token(t, l.key, nil, map[string]any{name: value}) }
	for name, c := range map[string]struct{ token, why string }{
		"another app":             {change("aud", "8e460676-ae3f-4b1e-8790-ee0fb5d6148f"), "aud"},
		"no app":                  {change("aud", nil), "aud"},
		"another tenant":          {change("iss", l.url+"/8e460676-ae3f-4b1e-8790-ee0fb5d6148f/v2.0"), "issuer"},
		"version 1.0 elsewhere":   {change("iss", "https://sts.windows.net/"+graphTenant+"/"), "issuer"},
		"another publisher":       {change("azp", "8e460676-ae3f-4b1e-8790-ee0fb5d6148f"), "change tracking"},
		"no publisher":            {change("azp", nil), "azp"},
		"appid in a 2.0 token":    {l.token(t, l.key, nil, map[string]any{"azp": nil, "appid": intune.Publisher}), "azp"},
		"expired":                 {change("exp", time.Now().Add(-time.Second).Unix()), "exp"},
		"no end":                  {change("exp", nil), "exp"},
		"not yet":                 {change("nbf", time.Now().Add(time.Hour).Unix()), "nbf"},
		"of a stranger":           {l.token(t, stranger, nil, nil), "signature"},
		"HS256 of the public key": {l.token(t, public, nil, nil), "HS256"},
		"alg none":                {none, ""},
		"brings its key": {l.token(t, stranger, map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: stranger.Public()}}, nil),
			`"jwk"`},
		"a SET":        {l.token(t, l.key, map[jose.HeaderKey]any{"typ": "secevent+jwt"}, nil), "typ"},
		"cut":          {good[:len(good)-2], ""},
		"another's":    {parts[0] + "." + parts[1] + "." + strings.Split(change("ver", "2.1"), ".")[2], "signature"},
		"no token":     {"eyJ0eXAiOiJKV1QiLCJhbGciOiJSU...", ""},
		"nothing here": {"", ""},
	} {
		err := p.judge(c.token, time.Now())
		if err == nil || errors.Is(err, intune.ErrNotNow) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want a reason with %q", name, err, c.why)
		}
		if c.token != "" && err != nil && strings.Contains(err.Error(), c.token) {
			t.Errorf("%s: the token is in the reason", name)
		}
	}
	if err := p.judge(l.token(t, l.key, map[jose.HeaderKey]any{"kid": "tomorrow's"}, nil), time.Now()); !errors.Is(err, intune.ErrNotNow) {
		t.Errorf("a key that may be published since: %v", err)
	}
}

// TestValidationTokensOfTwoVersions: in the public cloud both issuers count, each with its own claim for the publisher; before
// anybody has fetched the keys nobody can tell.
func TestValidationTokensOfTwoVersions(t *testing.T) {
	t.Parallel()
	l := newLogin(t)
	p, err := newGraphProof(&config.Intune{Tenant: graphTenant, Validation: &config.IntuneValidation{AppIDs: []string{graphApp}}})
	if err != nil {
		t.Fatal(err)
	}
	if p.options.URL != "https://login.microsoftonline.com/"+graphTenant+"/discovery/v2.0/keys" {
		t.Error(p.options.URL)
	}
	if err := p.judge(l.token(t, l.key, nil, nil), time.Now()); !errors.Is(err, intune.ErrNotNow) {
		t.Errorf("without keys: %v", err)
	}
	p.options.URL = l.url + "/" + graphTenant + "/discovery/v2.0/keys"
	ready, err := p.fetch(jwks.Events{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- ready(ctx) }()
	defer func() { cancel(); <-ended }()
	for _, err := p.Keys(time.Now()); err != nil; _, err = p.Keys(time.Now()) {
		time.Sleep(10 * time.Millisecond)
	}
	v1, v2 := "https://sts.windows.net/"+graphTenant+"/", "https://login.microsoftonline.com/"+graphTenant+"/v2.0"
	for _, c := range []struct {
		issuer, claim string
		want          bool
	}{{v1, "appid", true}, {v2, "azp", true}, {v1, "azp", false}, {v2, "appid", false}, {l.url + "/" + graphTenant + "/v2.0", "azp", false}} {
		err := p.judge(l.token(t, l.key, nil, map[string]any{"iss": c.issuer, "azp": nil, c.claim: intune.Publisher}), time.Now())
		if (err == nil) != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestValidationTokensAtTheDoor: with the keys down Graph is asked to come again; with them, a good token lets the notification
// in, and a bad one is told that all is well while nothing counts.
func TestValidationTokensAtTheDoor(t *testing.T) {
	t.Parallel()
	l := newLogin(t)
	settings := &config.Settings{Log: config.Log{Level: "error", Format: "json"}}
	i := l.settings()
	i.ClientStateFiles = []string{secretFile(t, clientState)}
	settings.Sources = []config.Source{{Name: "intune", Type: "intune", Attests: []string{"platform"}, Intune: i,
		API: &config.API{URL: l.url, ClientID: "app", ClientSecretFile: i.ClientStateFiles[0]}}}
	o, err := newObserver(settings.Log)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := newSources(settings, func(string, string, string) {})
	if err != nil {
		t.Fatal(err)
	}
	rig := openReceiver(t, sources, ingest.Events{})
	notify := func(token string) int {
		body := fmt.Sprintf(`{"value":[{"clientState":%q,"resource":"users/%s/messages"}],"validationTokens":[%q]}`, clientState, graphUser, token)
		answer := rig.post(t, "/v1/sources/intune", nil, body)
		defer func() { _ = answer.Body.Close() }()
		return answer.StatusCode
	}
	if got := notify(l.token(t, l.key, nil, nil)); got != http.StatusServiceUnavailable {
		t.Errorf("without keys Graph is answered %d", got)
	}
	parts, err := graphKeys(sources, o)
	if err != nil || len(parts) != 1 {
		t.Fatal(parts, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- parts[0].run(ctx) }()
	defer func() { cancel(); <-ended }()
	for proof := sources[0].Adapter.(*graphSource).proof; ; time.Sleep(10 * time.Millisecond) {
		if _, err := proof.Keys(time.Now()); err == nil {
			break
		}
	}
	if got := notify(l.token(t, l.key, nil, map[string]any{"azp": graphApp})); got != http.StatusAccepted || len(rig.letters(t)) != 0 {
		t.Errorf("a bad token is answered %d, and %d deliveries were kept", got, len(rig.letters(t)))
	}
	if got := notify(l.token(t, l.key, nil, nil)); got != http.StatusAccepted {
		t.Errorf("a good token is answered %d", got)
	}
	if letters := rig.awaitLetters(t, 1); strings.Contains(string(letters[0].Body), "eyJ") {
		t.Errorf("the token is kept: %s", letters[0].Body)
	}
}
