package source_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
)

func TestPostJSONAndHeaders(t *testing.T) {
	var seen *http.Request
	var asked string
	elsewhere := api(t, func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(w, `{"leak":%q}`, req.Header.Get("Aw-Tenant-Code")+req.Header.Get("Authorization"))
	})
	base := api(t, func(w http.ResponseWriter, req *http.Request) {
		raw, _ := io.ReadAll(req.Body)
		seen, asked = req, string(raw)
		switch req.URL.Path {
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/moved":
			http.Redirect(w, req, elsewhere+"/x", http.StatusTemporaryRedirect)
		default:
			fmt.Fprint(w, `{"ok":true}`)
		}
	})
	c := client(t, base, func(o *source.ClientOptions) {
		o.Credentials, o.NoContent = source.Word{Scheme: "SSWS", Token: "t"}, true
		o.Header = http.Header{"aw-tenant-code": {"k"}, "Accept": {"application/json;version=2"}}
		o.RedirectHosts = []string{strings.TrimPrefix(elsewhere, "http://")}
	})
	body, err := c.PostJSON(t.Context(), "/entities", nil, map[string]any{"ids": []string{"a"}})
	if err != nil || string(body) != `{"ok":true}` || asked != `{"ids":["a"]}` || seen.Method != http.MethodPost ||
		seen.Header.Get("Content-Type") != "application/json" || seen.Header.Get("Authorization") != "SSWS t" ||
		seen.Header.Get("Aw-Tenant-Code") != "k" || seen.Header.Get("Accept") != "application/json;version=2" {
		t.Errorf("%s, %v, asked %s with %v", body, err, asked, seen.Header)
	}
	if body, err := c.GetJSON(t.Context(), "/empty", nil); err != nil || body != nil {
		t.Errorf("204 is %q, %v", body, err)
	}
	if body, err := c.GetJSON(t.Context(), "/moved", nil); err != nil || string(body) != `{"leak":""}` {
		t.Errorf("another host was told %s, %v", body, err)
	}
	if _, err := c.PostJSON(t.Context(), "/moved", nil, 1); err == nil || !strings.Contains(err.Error(), "redirected") {
		t.Errorf("a POST follows a redirect: %v", err)
	}
	if _, err := source.NewClient(source.ClientOptions{Base: base, Header: http.Header{"authorization": {"x"}}}); err == nil {
		t.Error("Authorization can be set as a header")
	}
}

func TestHTTPBasicIsSent(t *testing.T) {
	base := api(t, func(w http.ResponseWriter, req *http.Request) {
		if user, password, _ := req.BasicAuth(); user != "a" || password != "p:w" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{}`)
	})
	for password, good := range map[string]bool{"p:w": true, "x": false, "": false} {
		c := client(t, base, func(o *source.ClientOptions) { o.Credentials = source.HTTPBasic{User: "a", Password: password} })
		if _, err := get(t, c); (err == nil) != good {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestFollow(t *testing.T) {
	c := client(t, "https://graph.example/v1.0", nil)
	path, query, err := c.Follow("https://graph.example/v1.0/devices?$skiptoken=a%20b")
	if err != nil || path != "/devices" || query.Get("$skiptoken") != "a b" {
		t.Errorf("%s, %v, %v", path, query, err)
	}
	for _, link := range []string{"https://evil.example/v1.0/devices", "http://graph.example/v1.0/devices",
		"https://graph.example:8443/v1.0/devices", "https://graph.example/v1.1/devices", "https://graph.example/v1.0evil",
		"//evil.example/v1.0/x", "https://u@graph.example/v1.0/x", "https://graph.example/v1.0/../token", "::"} {
		if path, _, err := c.Follow(link); err == nil && path != "/devices" {
			t.Errorf("%s is followed to %s", link, path)
		}
	}
}

func TestTrace(t *testing.T) {
	c := client(t, api(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		fmt.Fprint(w, `{}`)
	}), nil)
	ctx, trace := source.WithTrace(t.Context())
	if _, err := c.GetJSON(ctx, "/devices", nil); err != nil {
		t.Fatal(err)
	}
	a := trace.Answers()
	if len(a) != 1 || a[0].Status != 200 || !a[0].Dated || a[0].Ahead < 59*time.Minute || a[0].Ahead > 61*time.Minute {
		t.Errorf("%+v", a)
	}
}

func pemOf(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Assertions go to their endpoint alone, on another host than the data, and verify with the public key.
func TestSignedAssertions(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var assertion string
	login := api(t, func(w http.ResponseWriter, req *http.Request) {
		assertion = req.FormValue("client_assertion") + req.FormValue("assertion")
		fmt.Fprint(w, `{"access_token":"tok","token_type":"Bearer","expires_in":60}`)
	})
	data := api(t, func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(w, `{"a":%q}`, req.Header.Get("Authorization"))
	})
	account, err := source.ServiceAccount(fmt.Appendf(nil, `{"type":"service_account","client_email":"s@p","private_key":%q,`+
		`"private_key_id":"k1","token_uri":%q}`, pemOf(t, rsaKey), login+"/token"))
	if err != nil {
		t.Fatal(err)
	}
	account.Subject, account.Scope = "admin@acme.example", "read"
	signing, err := source.ParseSigningKey(pemOf(t, ecKey), "k2")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		credentials source.Credentials
		alg, claims string
	}{
		"google": {account, "RS256", `"scope":"read","sub":"admin@acme.example"`},
		"okta":   {source.PrivateKeyJWT{Endpoint: login + "/token", ID: "cid", Key: signing}, "ES256", `"iss":"cid"`},
	} {
		body, err := get(t, client(t, data, func(o *source.ClientOptions) { o.Credentials = c.credentials }))
		if err != nil || body != `{"a":"Bearer tok"}` {
			t.Fatalf("%s: %s, %v", name, body, err)
		}
		parts := strings.Split(assertion, ".")
		head, _ := base64.RawURLEncoding.DecodeString(parts[0])
		said, _ := base64.RawURLEncoding.DecodeString(parts[1])
		signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		valid := rsa.VerifyPKCS1v15(&rsaKey.PublicKey, crypto.SHA256, sum[:], signature) == nil
		if c.alg == "ES256" {
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			valid = ecdsa.Verify(&ecKey.PublicKey, sum[:], r, s)
		}
		var claims struct {
			Aud      string
			Iat, Exp int64
			Jti      string
		}
		if err := json.Unmarshal(said, &claims); err != nil || !valid || !strings.Contains(string(head), c.alg) ||
			!strings.Contains(string(said), c.claims) || claims.Aud != login+"/token" || claims.Exp-claims.Iat != 300 || claims.Jti == "" {
			t.Errorf("%s: valid %v, %s %s, %v", name, valid, head, said, err)
		}
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err == nil {
		if _, err := source.ParseSigningKey(pemOf(t, weak), ""); err == nil {
			t.Error("an RSA key of 1024 bits signs")
		}
	}
	for _, bad := range []string{"", "no PEM", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := source.ParseSigningKey([]byte(bad), ""); err == nil {
			t.Errorf("%q is a key", bad)
		}
	}
	for _, bad := range []string{`{}`, `{"type":"user"}`, `x`} {
		if _, err := source.ServiceAccount([]byte(bad)); err == nil {
			t.Errorf("%s is a service account", bad)
		}
	}
	if source.CheckEndpoint("http://login.example/token") == nil || source.CheckEndpoint("https://u:p@login.example/") == nil {
		t.Error("a token is asked for in the clear")
	}
}

func TestSilent(t *testing.T) {
	_, err := source.Silent{}.Authenticate(source.Delivery{}, time.Time{})
	refusal, ok := errors.AsType[*source.Refusal](err)
	_, observed := source.Silent{}.Observe(source.Delivery{})
	_, pointed := source.Silent{}.Points(source.Delivery{})
	if !ok || refusal.Status != 401 || refusal.Challenge == "" || observed == nil || pointed == nil {
		t.Errorf("%v, %v, %v", err, observed, pointed)
	}
}

func TestHMAC(t *testing.T) {
	const secret = "0123456789abcdef"
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	stamp, body := fmt.Sprint(now.Unix()), `{"a":1}`
	sign := func(text string) []byte {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	for signed, text := range map[string]string{"": body, "body": body, "timestamp+body": stamp + body, "body+timestamp": body + stamp,
		"timestamp.body": stamp + "." + body, "id.timestamp.body": "e1." + stamp + "." + body} {
		h := source.HMAC{Header: "X-Sig", Prefix: "v1=", Signed: signed, Secrets: []string{"another one, older", secret}}
		if signed != "" && signed != "body" {
			h.TimestampHeader = "X-Time"
		}
		if signed == "id.timestamp.body" {
			h.IDHeader = "X-Id"
		}
		for _, encoding := range []string{"hex", "base64"} {
			h.Encoding = encoding
			given := hex.EncodeToString(sign(text))
			if encoding == "base64" {
				given = base64.StdEncoding.EncodeToString(sign(text))
			}
			d := source.Delivery{Body: []byte(body), Header: http.Header{"X-Sig": {"v1=" + given}, "X-Time": {stamp}, "X-Id": {"e1"}}}
			if err := errors.Join(h.Check(), h.Authentic(d, now.Add(4*time.Minute))); err != nil {
				t.Errorf("%s %s: %v", signed, encoding, err)
			}
			late := h.Authentic(d, now.Add(6*time.Minute))
			if (late != nil) != h.Timed() {
				t.Errorf("%s: six minutes late is %v", signed, late)
			}
			for name, change := range map[string]func(*source.Delivery){
				"another body": func(d *source.Delivery) { d.Body = []byte(`{"a":2}`) },
				"no prefix":    func(d *source.Delivery) { d.Header["X-Sig"] = []string{given} },
				"twice":        func(d *source.Delivery) { d.Header["X-Sig"] = []string{"v1=" + given, "v1=" + given} },
				"empty":        func(d *source.Delivery) { d.Header["X-Sig"] = []string{"v1="} },
				"none":         func(d *source.Delivery) { delete(d.Header, "X-Sig") },
			} {
				bad := source.Delivery{Body: d.Body, Header: d.Header.Clone()}
				change(&bad)
				if h.Authentic(bad, now) == nil {
					t.Errorf("%s: %s is authentic", signed, name)
				}
			}
		}
	}
	good := source.HMAC{Header: "X", Secrets: []string{secret}}
	for want, change := range map[string]func(*source.HMAC){
		"header":          func(h *source.HMAC) { h.Header = "" },
		"algorithm":       func(h *source.HMAC) { h.Algorithm = "md5" },
		"encoding":        func(h *source.HMAC) { h.Encoding = "x" },
		"signed":          func(h *source.HMAC) { h.Signed = "all" },
		"timestampHeader": func(h *source.HMAC) { h.TimestampHeader = "X-Time" },
		"idHeader":        func(h *source.HMAC) { h.IDHeader = "X-Id" },
		"window":          func(h *source.HMAC) { h.Window = time.Minute },
		"no secret":       func(h *source.HMAC) { h.Secrets = nil },
		"at least 16":     func(h *source.HMAC) { h.Secrets = []string{"short"} },
	} {
		h := good
		if change(&h); h.Check() == nil || !strings.Contains(h.Check().Error(), want) {
			t.Errorf("%v, want %q", h.Check(), want)
		}
	}
}
