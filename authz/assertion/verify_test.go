package assertion_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/assertion"
	"github.com/tiergate/tiergate/authz/assertion/verify"
)

// forger has the gateway's own key, so that all but what it changes is as it should be.
type forger struct {
	t       *testing.T
	private *ecdsa.PrivateKey
	keys    *assertion.Keys
	at      time.Time
	v       *verify.Verifier
}

func newForger(t *testing.T) *forger {
	t.Helper()
	file := keyFile(t)
	block, _ := pem.Decode(file)
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	f := &forger{t: t, private: private.(*ecdsa.PrivateKey), at: time.Unix(1_790_000_000, 0)}
	f.keys, _ = made(t, assertion.KeyOptions{Files: [][]byte{file}})
	f.v = newVerifier(t, &polled{t: t, from: f.keys}, func() time.Time { return f.at })
	return f
}

// sign signs with an algorithm and key as said.
func (f *forger) sign(alg jose.SignatureAlgorithm, key any, headers, claims map[string]any) string {
	f.t.Helper()
	all := map[string]any{"iss": gateway, "sub": "corp/ana", "aud": "payroll", "iat": f.at.Unix(), "nbf": f.at.Unix(),
		"exp": f.at.Unix() + 60, "tiergate": map[string]any{"tier": "t", "route": "r"}}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == "gone" })
	payload, err := json.Marshal(all)
	if err != nil {
		f.t.Fatal(err)
	}
	options := (&jose.SignerOptions{}).WithType(verify.Type).WithHeader("kid", document(f.t, f.keys).Keys[0].KeyID)
	for name, value := range headers {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		f.t.Fatal(err)
	}
	signature, err := signer.Sign(payload)
	if err != nil {
		f.t.Fatal(err)
	}
	raw, err := signature.CompactSerialize()
	if err != nil {
		f.t.Fatal(err)
	}
	return raw
}

func (f *forger) es256(headers, claims map[string]any) string {
	return f.sign(jose.ES256, f.private, headers, claims)
}

// unsigned has a header as written, and no signature worth the name.
func (f *forger) unsigned(header, signature string) string {
	parts := strings.Split(f.es256(nil, nil), ".")
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + parts[1] + "." + signature
}

// TestForgeries: what is not wholly as it should be does not count, whichever part it is.
func TestForgeries(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	if c, err := f.v.Verify(f.es256(nil, nil)); err != nil || c.Subject != "corp/ana" {
		t.Fatal(c, err) // else nothing below means anything
	}
	good := f.es256(nil, nil)
	parts := strings.Split(good, ".")
	kid := document(t, f.keys).Keys[0].KeyID
	public, err := x509.MarshalPKIXPublicKey(&f.private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	type claims = map[string]any
	now := f.at.Unix()
	for name, raw := range map[string]string{
		"nothing": "", "two parts": parts[0] + "." + parts[1], "four parts": good + ".x", "too long": good + strings.Repeat("A", verify.MaxBytes),
		"alg none":                         f.unsigned(`{"alg":"none","typ":"`+verify.Type+`","kid":"`+kid+`"}`, ""),
		"alg NONE":                         f.unsigned(`{"alg":"NONE","typ":"`+verify.Type+`","kid":"`+kid+`"}`, parts[2]),
		"alg twice":                        f.unsigned(`{"alg":"none","alg":"ES256","typ":"`+verify.Type+`","kid":"`+kid+`"}`, parts[2]),
		"HS256, keyed with the public key": f.sign(jose.HS256, publicPEM, nil, nil),
		"HS256, keyed with its bytes":      f.sign(jose.HS256, public, nil, nil),
		"another typ":                      f.es256(claims{"typ": "JWT"}, nil),
		"an access token":                  f.es256(claims{"typ": "at+jwt"}, nil),
		"no kid":                           f.es256(claims{"kid": ""}, nil),
		"another kid":                      f.es256(claims{"kid": "x"}, nil),
		"a long kid":                       f.es256(claims{"kid": strings.Repeat("k", 200)}, nil),
		"a key along":                      f.es256(claims{"jku": "https://evil.example/jwks"}, nil),
		"crit":                             f.unsigned(`{"alg":"ES256","typ":"`+verify.Type+`","kid":"`+kid+`","crit":["b64"],"b64":false}`, parts[2]),
		"another issuer":                   f.es256(nil, claims{"iss": "https://gateway.evil.example"}),
		"another audience":                 f.es256(nil, claims{"aud": "portal"}),
		"several audiences":                f.es256(nil, claims{"aud": []string{"payroll", "portal"}}),
		"another spelling":                 f.es256(nil, claims{"AUD": "payroll"}),
		"expired":                          f.es256(nil, claims{"iat": now - 100, "nbf": now - 100, "exp": now - 30}),
		"not yet":                          f.es256(nil, claims{"iat": now + 31, "nbf": now + 31, "exp": now + 90}),
		"issued later":                     f.es256(nil, claims{"iat": now + 31}),
		"over before it began":             f.es256(nil, claims{"nbf": now + 20, "exp": now + 20}),
		"exp is a text":                    f.es256(nil, claims{"exp": fmt.Sprint(now + 60)}),
		"exp is null":                      f.es256(nil, claims{"exp": nil}),
		"exp is gone":                      f.es256(nil, claims{"exp": "gone"}), "aud is gone": f.es256(nil, claims{"aud": "gone"}),
		"iss is gone": f.es256(nil, claims{"iss": "gone"}), "tiergate is gone": f.es256(nil, claims{"tiergate": "gone"}),
		"tiergate is a text": f.es256(nil, claims{"tiergate": "x"}), "no subject": f.es256(nil, claims{"sub": ""}),
		"the signature of another": parts[0] + "." + parts[1] + "." + strings.Split(f.es256(nil, claims{"sub": "x"}), ".")[2],
		"the claims of another":    parts[0] + "." + strings.Split(f.es256(nil, claims{"sub": "x"}), ".")[1] + "." + parts[2],
		"a short signature":        parts[0] + "." + parts[1] + "." + parts[2][:40], "a signature of zeros": parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86),
		"padding": good + "==", "a blank": good + " ", "a line break": parts[0] + "\n." + parts[1] + "." + parts[2],
	} {
		if c, err := f.v.Verify(raw); err == nil || c != (verify.Claims{}) {
			t.Errorf("%s: it counts: %+v", name, c)
		} else if len(raw) > 30 && strings.Contains(err.Error(), raw[:30]) {
			t.Errorf("%s: the error holds the assertion", name)
		}
	}
	edge := f.es256(nil, claims{"iat": now - 100, "nbf": now - 100, "exp": now - 29})
	if _, err := f.v.Verify(edge); err != nil {
		t.Errorf("inside the leeway: %v", err)
	}
}

// TestAKeyThatNobodyKnows is told apart, asked for, and waited for by a request, but not long and not by many.
func TestAKeyThatNobodyKnows(t *testing.T) {
	t.Parallel()
	f, other := newForger(t), newForger(t)
	source := &polled{t: t, from: f.keys}
	v := newVerifier(t, source, func() time.Time { return f.at })
	raw := other.es256(nil, nil)
	if _, err := v.Verify(raw); !errors.Is(err, verify.ErrUnknownKey) || source.asked != 1 {
		t.Fatalf("%v, asked %d times", err, source.asked)
	}
	told := 0
	handler := v.RequireWith(http.NotFoundHandler(), func(_ *http.Request, err error) {
		if errors.Is(err, verify.ErrUnknownKey) {
			told++
		}
	})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set(verify.Header, raw)
	synctest.Test(t, func(t *testing.T) {
		answer := httptest.NewRecorder()
		begin := time.Now()
		handler.ServeHTTP(answer, r)
		if took := time.Since(begin); answer.Code != 503 || answer.Header().Get("Retry-After") == "" || told != 1 || took != 2*time.Second {
			t.Errorf("%d after %s, told %d", answer.Code, took, told)
		}
	})
}

// TestTheMiddleware admits one header that counts, and tells the handler who calls.
func TestTheMiddleware(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	handler := f.v.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := verify.FromContext(r.Context())
		_, _ = fmt.Fprint(w, c.Subject, ok)
	}))
	good := f.es256(nil, nil)
	for want, headers := range map[string][]string{
		"200 corp/anatrue": {good}, "401 none": nil, "401 two": {good, good}, "401 joined": {good + "," + good}, "401 bad": {"x"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for _, h := range headers {
			r.Header.Add(verify.Header, h)
		}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		got := fmt.Sprint(answer.Code, " ", answer.Body)
		if !strings.HasPrefix(got, want[:4]) || answer.Code == 200 && got != want {
			t.Errorf("%s: %s", want, got)
		}
	}
	if _, ok := verify.FromContext(t.Context()); ok {
		t.Error("claims out of nowhere")
	}
}

func TestOptionsAreJudged(t *testing.T) {
	t.Parallel()
	source := &polled{}
	for _, o := range []verify.Options{
		{}, {Issuer: "i"}, {Issuer: "i", Audience: "a"}, {Audience: "a", Keys: source},
		{Issuer: "i", Audience: "a", Keys: source, JWKSURL: "https://x.example/jwks"}, {Issuer: "i", Audience: "a", JWKSURL: "http://x.example/jwks"},
		{Issuer: "i", Audience: "a", Keys: source, Leeway: 2 * time.Minute},
	} {
		if v, err := verify.New(o); err == nil || v != nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
