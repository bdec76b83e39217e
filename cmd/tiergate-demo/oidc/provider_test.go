package oidc_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const audience = "https://apps.acme.example"

// rig is a running provider and the CA of its clients.
type rig struct {
	*oidc.Provider
	ca *devca.CA
}

func (r *rig) configuration(t *testing.T, dir, listen string) oidc.Config {
	t.Helper()
	pair, err := r.ca.Server(time.Hour, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	config := oidc.Config{Listen: listen, CertFile: filepath.Join(dir, "s.pem"), KeyFile: filepath.Join(dir, "s.key"),
		ClientCAFile: filepath.Join(dir, "ca.pem"), Audience: audience, TokenTTL: 300,
		Users: map[string]oidc.User{"ana": {Groups: []string{"staff"}, Email: "ana@acme.example"}, "ben": {}}}
	if err := pair.WriteFiles(config.CertFile, config.KeyFile); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config.ClientCAFile, r.ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

// start runs the real provider.
func start(t *testing.T, listen string) (*rig, *stage.Supervisor, error) {
	t.Helper()
	binaries, err := stage.FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	r, dir := &rig{}, t.TempDir()
	if r.ca, err = devca.New("Acme"); err != nil {
		t.Fatal(err)
	}
	config := r.configuration(t, dir, listen)
	config.Modules = binaries.Packages
	file := filepath.Join(dir, "config.json")
	if r.Provider, err = config.Write(file, devca.Pool(r.ca)); err != nil {
		t.Fatal(err)
	}
	supervisor := stage.NewSupervisor(stage.Events{})
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("the provider's log:\n" + strings.Join(supervisor.Tail("login", 40), "\n"))
		}
		if err := supervisor.Stop(); err != nil {
			t.Error(err)
		}
	})
	err = supervisor.Start(t.Context(), stage.Process{Name: "login", Path: binaries.Node, Log: filepath.Join(dir, "log"),
		Args: []string{binaries.Login, file}, Ready: r.Answers, ReadyWithin: time.Minute})
	return r, supervisor, err
}

func newRig(t *testing.T) *rig {
	t.Helper()
	address := freeport.For(t)
	r, _, err := start(t, address)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) login(t *testing.T, browser *oidc.Browser, l oidc.Login) (oidc.Token, claims) {
	t.Helper()
	token, err := browser.Login(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	return token, r.read(t, token.Access)
}

// claims are what the tests look at in an access token.
type claims struct {
	Issuer   string            `json:"iss"`
	Subject  string            `json:"sub"`
	Audience string            `json:"aud"`
	Client   string            `json:"client_id"`
	Groups   []string          `json:"groups"`
	Email    string            `json:"email"`
	Verified bool              `json:"email_verified"`
	ACR      string            `json:"acr"`
	AMR      []string          `json:"amr"`
	AuthTime int64             `json:"auth_time"`
	Issued   int64             `json:"iat"`
	Expires  int64             `json:"exp"`
	Bound    map[string]string `json:"cnf"`

	kid string
}

// keys are those that the provider publishes, by kid.
func (r *rig) keys(t *testing.T) jose.JSONWebKeySet {
	t.Helper()
	response, err := r.http(t).Get(r.KeysURL())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	return set
}

func (r *rig) http(t *testing.T) *http.Client {
	t.Helper()
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: devca.Pool(r.ca), MinVersion: tls.VersionTLS12}}}
}

func (r *rig) read(t *testing.T, access string) claims {
	t.Helper()
	signed, err := jose.ParseSignedCompact(access, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	header := signed.Signatures[0].Header
	published := r.keys(t)
	keys := published.Key(header.KeyID)
	if len(keys) != 1 || header.ExtraHeaders[jose.HeaderType] != "at+jwt" {
		t.Fatalf("%d keys for %q, typ %v", len(keys), header.KeyID, header.ExtraHeaders[jose.HeaderType])
	}
	payload, err := signed.Verify(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	c := claims{kid: header.KeyID}
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLogin: what a token says is what the user did; a session is used again until another login is asked for.
func TestLogin(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	browser, now := r.Browser(), time.Now().Unix()
	token, c := r.login(t, browser, oidc.Login{User: "ana"})
	if !token.Asked || token.Type != "Bearer" || c.Issuer != r.Issuer() || c.Subject != "ana" || c.Audience != audience ||
		c.Client != oidc.ClientBearer || !slices.Equal(c.Groups, []string{"staff"}) || c.Email != "ana@acme.example" ||
		!c.Verified || c.ACR != "" || !slices.Equal(c.AMR, []string{"pwd"}) || c.AuthTime < now || c.AuthTime > now+60 ||
		c.Expires != c.Issued+300 || c.Bound != nil {
		t.Errorf("%+v says %+v", token, c)
	}
	if token, again := r.login(t, browser, oidc.Login{User: "ana", MaxAge: time.Minute}); token.Asked || again.AuthTime != c.AuthTime {
		t.Errorf("a session of now was not enough: %+v", again)
	}
	token, c = r.login(t, browser, oidc.Login{User: "ana", Method: oidc.ByKey, ACR: "phr", Age: 10 * time.Minute})
	if !token.Asked || c.ACR != "phr" || !slices.Contains(c.AMR, "hwk") || c.AuthTime > now-500 {
		t.Errorf("acr_values: asked %t: %+v", token.Asked, c)
	}
	if token, _ = r.login(t, browser, oidc.Login{User: "ana", ACR: "phr other"}); token.Asked {
		t.Error("asked again for the login that the session has")
	}
	token, c = r.login(t, browser, oidc.Login{User: "ana", Method: oidc.ByKey, MaxAge: time.Minute})
	if !token.Asked || c.AuthTime < now {
		t.Errorf("max_age: asked %t: %+v", token.Asked, c)
	}
	if _, c = r.login(t, r.Browser(), oidc.Login{User: "ben", ACR: "phr"}); c.ACR != "" || c.Email != "" || len(c.Groups) > 0 {
		t.Errorf("acr_values is a wish; ben has a password, no mail and no group: %+v", c)
	}
}

// TestBindings: a token is bound to the certificate or to the key that was shown for it, and none comes of none.
func TestBindings(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	pair, err := r.ca.Device("ana-laptop", "C02ANA0001", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	shown, digest := pair.TLS(), sha256.Sum256(pair.Certificate.Raw)
	_, c := r.login(t, r.Browser(), oidc.Login{User: "ana", Certificate: &shown})
	if want := base64.RawURLEncoding.EncodeToString(digest[:]); c.Bound["x5t#S256"] != want || len(c.Bound) != 1 {
		t.Errorf("bound to %v, want the certificate %s", c.Bound, want)
	}
	key, err := oidc.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	token, c := r.login(t, r.Browser(), oidc.Login{User: "ana", Key: key})
	if c.Bound["jkt"] != key.Thumbprint() || len(c.Bound) != 1 || token.Type != "DPoP" {
		t.Errorf("%s token bound to %v, want the key %s", token.Type, c.Bound, key.Thumbprint())
	}
	stranger, err := devca.New("Acme") // a client shows no certificate unless the server has asked for one of that name
	if err != nil {
		t.Fatal(err)
	}
	if pair, err = stranger.Device("ana-laptop", "C02ANA0001", time.Hour); err != nil {
		t.Fatal(err)
	}
	shown = pair.TLS()
	if token, err := r.Browser().Login(t.Context(), oidc.Login{User: "ana", Certificate: &shown}); err == nil ||
		!strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("a certificate of no CA of ours: %+v, %v", token, err)
	}
}

// TestAdministration: keys rotate and groups change, for whoever has the secret; a stranger cannot log in.
func TestAdministration(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old, before := r.login(t, r.Browser(), oidc.Login{User: "ana"})
	if err := r.RotateKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, after := r.login(t, r.Browser(), oidc.Login{User: "ana"}); after.kid == before.kid {
		t.Error("the key that signs is the same")
	}
	r.read(t, old.Access) // still published
	if err := r.PutInto(t.Context(), "ben", "staff", "admins"); err != nil {
		t.Fatal(err)
	}
	if _, c := r.login(t, r.Browser(), oidc.Login{User: "ben"}); !slices.Equal(c.Groups, []string{"staff", "admins"}) {
		t.Errorf("ben is in %v", c.Groups)
	}
	if err := r.PutInto(t.Context(), "nobody", "staff"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("nobody was put into a group: %v", err)
	}
	if token, err := r.Browser().Login(t.Context(), oidc.Login{User: "nobody"}); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("a stranger logged in: %+v, %v", token, err)
	}
	// The same provider to whoever knows where it is and no secret of it.
	dir := t.TempDir()
	guess, err := r.configuration(t, dir, strings.TrimPrefix(r.Issuer(), "https://")).Write(filepath.Join(dir, "c"), devca.Pool(r.ca))
	if err != nil {
		t.Fatal(err)
	}
	_, wrongPassword := guess.Browser().Login(t.Context(), oidc.Login{User: "ana"})
	for what, err := range map[string]error{"a wrong password": wrongPassword, "rotate": guess.RotateKeys(t.Context()),
		"groups": guess.PutInto(t.Context(), "ben", "root")} {
		if err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("%s without the secret: %v", what, err)
		}
	}
}

// TestLoopbackOnly: it is started for nobody but this machine.
func TestLoopbackOnly(t *testing.T) {
	t.Parallel()
	if _, _, err := start(t, "0.0.0.0:9"); err == nil || !strings.Contains(err.Error(), "is not on 127.0.0.1") {
		t.Errorf("listens on every address: %v", err)
	}
}
