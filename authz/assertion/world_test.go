package assertion_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/assertion"
	"github.com/tiergate/tiergate/authz/assertion/verify"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/jwks"
)

const gateway = "https://gateway.acme.example"

// documents reads what is published, as a verifier would: strictly.
func document(t testing.TB, keys http.Handler) *jose.JSONWebKeySet {
	t.Helper()
	answer := httptest.NewRecorder()
	keys.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, assertion.Path, nil))
	set, err := jwks.Parse(answer.Body.Bytes())
	if err != nil {
		t.Fatalf("%v: %s", err, answer.Body)
	}
	return &set
}

// polled is a set that is fetched when the last fetch is as old as it says of itself, and never sooner.
type polled struct {
	t       testing.TB
	from    http.Handler
	set     *jose.JSONWebKeySet
	fetched time.Time
	asked   int
}

func (p *polled) Keys(at time.Time) (*jose.JSONWebKeySet, error) {
	if p.set == nil || at.Sub(p.fetched) >= assertion.Freshness {
		p.set, p.fetched = document(p.t, p.from), at
	}
	return p.set, nil
}

func (p *polled) Ask() { p.asked++ }

func ana(at time.Time) *assertion.Grounds {
	return &assertion.Grounds{
		Subject: &identity.Subject{User: &identity.User{Issuer: "corp", Name: "ana@acme.example", Subject: "u-1", ACR: "phr"}},
		Device:  "dev-1", Tier: "privileged", Route: "payroll-admin", Upstream: "payroll", At: at,
	}
}

func newVerifier(t testing.TB, keys verify.KeySource, now func() time.Time) *verify.Verifier {
	t.Helper()
	v, err := verify.New(verify.Options{Issuer: gateway, Audience: "payroll", Keys: keys, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func made(t testing.TB, o assertion.KeyOptions) (*assertion.Keys, *assertion.Issuer) {
	t.Helper()
	o.Lifetime = assertion.DefaultLifetime
	if o.RotateEvery == 0 {
		o.RotateEvery = assertion.DefaultRotateEvery
	}
	keys, err := assertion.NewKeys(o)
	if err != nil {
		t.Fatal(err)
	}
	return keys, assertion.New(assertion.Options{Issuer: gateway, Lifetime: o.Lifetime, Keys: keys,
		Failed: func(err error) { t.Error(err) }})
}

func keyFile(t testing.TB) []byte {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf(t, private)
}

func pemOf(t testing.TB, private any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// kidOf reads the kid of an assertion without believing it.
func kidOf(t testing.TB, raw string) string {
	t.Helper()
	parsed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Signatures[0].Header.KeyID
}

func claimsOf(t testing.TB, raw string) (c verify.Claims) {
	t.Helper()
	parsed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(parsed.UnsafePayloadWithoutVerification(), &c); err != nil {
		t.Fatal(err)
	}
	return c
}
