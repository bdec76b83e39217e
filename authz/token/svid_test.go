package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/token"
)

var (
	acmeEC  = newEC(corpEC.Curve)
	acmeRSA = newRSA(2048)
	otherEC = newEC(corpEC.Curve)
)

const deployer = "spiffe://acme.example/ns/ci/sa/deployer"

// bundles are the keys of two trust domains.
func bundles() (acme, partner *source) {
	return &source{keys: &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: acmeEC.Public(), KeyID: "a", Use: "jwt-svid"}, {Key: acmeRSA.Public(), KeyID: "r"},
			{Key: strangersEC.Public(), KeyID: "x", Use: "x509-svid"}, {Key: clientEC.Public(), KeyID: "s", Use: "sig"},
			{Key: newRSA(1024).Public(), KeyID: "weak", Use: "jwt-svid"},
		}}},
		&source{keys: &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: otherEC.Public(), KeyID: "a", Use: "jwt-svid"}}}}
}

func withSVIDs(t testing.TB, acme, partner token.KeySource) *token.Verifier {
	t.Helper()
	v, err := token.New([]token.Issuer{corp()}, token.WithDPoP(window), token.WithSVIDs(token.SVIDs{
		Audiences: []string{"tiergate", "spiffe://acme.example/tiergate"}, Leeway: leeway,
		Domains: map[string]token.KeySource{"acme.example": acme, "partner.example": partner}}))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func svidHeader(change object) object { return with(object{"alg": "ES256", "kid": "a"}, change) }

func svidClaims(change object) object {
	return with(object{"sub": deployer, "aud": []string{"tiergate"}, "exp": now.Unix() + 300, "iat": now.Unix() - 10},
		change)
}

func svid(head, change object) string { return sign(acmeEC, svidHeader(head), svidClaims(change)) }

// TestAJWTSVIDNamesAWorkload, in the window that it says, and nobody else.
func TestAJWTSVIDNamesAWorkload(t *testing.T) {
	acme, partner := bundles()
	v := withSVIDs(t, acme, partner)
	for name, raw := range map[string]string{
		"as SPIRE makes it":  svid(object{"typ": "JWT"}, nil),
		"typ JOSE":           svid(object{"typ": "JOSE"}, nil),
		"no kid":             svid(object{"kid": nil}, nil),
		"RSA, key of no use": sign(acmeRSA, svidHeader(object{"alg": "RS256", "kid": "r"}), svidClaims(nil)),
		"aud one text":       svid(nil, object{"aud": "spiffe://acme.example/tiergate"}),
		"iss of no issuer":   svid(nil, object{"iss": "https://oidc.acme.example", "email": 7, "groups": 1}),
	} {
		for range 2 {
			got, err := v.Judge(&token.Credential{Token: raw}, now)
			want := identity.Proven{Workload: deployer,
				Window: identity.Validity{NotBefore: now.Add(-10*time.Second - leeway), NotAfter: now.Add(5*time.Minute + leeway)}}
			shown := got.SVID
			if got.SVID = nil; err != nil || got.Proven != want || got.Once != (token.Once{}) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			if shown == nil || len(shown.Audiences) != 1 || !shown.Issued.Equal(now.Add(-10*time.Second)) || shown.Window != want.Window {
				t.Errorf("%s: what it says besides is %+v", name, shown)
			}
		}
	}
	got, err := v.Judge(&token.Credential{Token: sign(corpEC, header(nil), claims(object{"sub": deployer}))}, now)
	if err != nil || got.Workload != "" || got.User == nil || got.User.Subject != deployer {
		t.Errorf("an issuer's token is a user's, whatever its sub: %+v, %v", got, err)
	}
}

func TestBrokenJWTSVIDs(t *testing.T) {
	acme, partner := bundles()
	v := withSVIDs(t, acme, partner)
	says := func(member string) string {
		return signRaw(acmeEC, toJSON(svidHeader(nil)), dup(svidClaims(nil), member))
	}
	for name, c := range map[string]struct{ raw, want string }{
		// who
		"trust domain alone":          {svid(nil, object{"sub": "spiffe://acme.example"}), "no workload"},
		"trailing slash":              {svid(nil, object{"sub": deployer + "/"}), "token's sub"},
		"dot segment":                 {svid(nil, object{"sub": "spiffe://acme.example/a/../b"}), "token's sub"},
		"capitals in the domain":      {svid(nil, object{"sub": "spiffe://Acme.example/a"}), "token's sub"},
		"scheme in capitals":          {svid(nil, object{"sub": "SPIFFE://acme.example/a"}), "no issuer"},
		"NUL":                         {svid(nil, object{"sub": deployer + "\x00"}), "token's sub"},
		"port":                        {svid(nil, object{"sub": "spiffe://acme.example:1/a"}), "token's sub"},
		"2049 bytes":                  {svid(nil, object{"sub": deployer + strings.Repeat("a", 2048)}), "token's sub"},
		"unknown domain":              {svid(nil, object{"sub": "spiffe://evil.example/a"}), "do not take"},
		"look-alike domain":           {svid(nil, object{"sub": "spiffe://acme.example.evil/a"}), "do not take"},
		"another's domain":            {svid(nil, object{"sub": "spiffe://partner.example/a"}), "signature does not verify"},
		"another's key, our kid":      {sign(otherEC, svidHeader(nil), svidClaims(nil)), "signature does not verify"},
		"sub missing":                 {svid(nil, object{"sub": nil}), "no issuer"},
		"sub an array":                {svid(nil, object{"sub": []string{deployer}}), "no issuer"},
		"sub twice":                   {says(`"sub":"spiffe://acme.example/admin"`), "twice"},
		"Sub beside":                  {svid(nil, object{"Sub": "spiffe://acme.example/admin"}), "take for sub"},
		"iss of an issuer":            {svid(nil, object{"iss": corpURL}), "no key"},
		"iss null":                    {says(`"iss":null`), "iss is no text"},
		"signed by that issuer":       {sign(corpEC, header(object{"typ": nil}), svidClaims(nil)), "no key"},
		"signed by an issuer, no kid": {sign(corpEC, svidHeader(object{"kid": nil}), svidClaims(nil)), "any key"},
		// header
		"alg none":   {svid(object{"alg": "none"}, nil), "none"},
		"alg HS256":  {sign([]byte("k"), svidHeader(object{"alg": "HS256"}), svidClaims(nil)), "it may be"},
		"alg EdDSA":  {sign(clientEd, svidHeader(object{"alg": "EdDSA"}), svidClaims(nil)), "it may be"},
		"alg ES384":  {svid(object{"alg": "ES384"}, nil), "no key for ES384"},
		"alg twice":  {signRaw(acmeEC, dup(svidHeader(nil), `"alg":"ES256"`), toJSON(svidClaims(nil))), "twice"},
		"typ at+jwt": {svid(object{"typ": "at+jwt"}, nil), "JWT or JOSE"},
		"typ jwt":    {svid(object{"typ": "jwt"}, nil), "JWT or JOSE"},
		"typ empty":  {svid(object{"typ": ""}, nil), "JWT or JOSE"},
		"jwk":        {svid(object{"jwk": jose.JSONWebKey{Key: strangersEC.Public()}}, nil), `has "jwk"`},
		"jku":        {svid(object{"jku": "https://evil.example"}, nil), `has "jku"`},
		"crit":       {svid(object{"crit": []string{"x"}}, nil), `has "crit"`},
		"private":    {svid(object{"x-own": 1}, nil), `has "x-own"`},
		"Alg":        {svid(object{"Alg": "none"}, nil), `has "Alg"`},
		"kid empty":  {svid(object{"kid": ""}, nil), "kid is empty"},
		"kid random": {svid(object{"kid": "nobody's"}, nil), "no key"},
		// keys
		"key for X.509":  {sign(strangersEC, svidHeader(object{"kid": "x"}), svidClaims(nil)), "no key"},
		"key of use sig": {sign(clientEC, svidHeader(object{"kid": "s"}), svidClaims(nil)), "no key"},
		"weak key":       {svid(object{"kid": "weak", "alg": "RS256"}, nil), "no key"},
		// claims
		"aud missing":       {svid(nil, object{"aud": nil}), "no audience"},
		"aud empty":         {svid(nil, object{"aud": []string{}}), "another audience"},
		"aud another":       {svid(nil, object{"aud": []string{"corp"}}), "another audience"},
		"aud of the issuer": {svid(nil, object{"aud": "https://app.acme.example"}), "another audience"},
		"aud with null":     {svid(nil, object{"aud": []any{"tiergate", nil}}), "aud"},
		"exp missing":       {svid(nil, object{"exp": nil}), "no end"},
		"exp text":          {svid(nil, object{"exp": "4e9"}), "exp is no number"},
		"exp past":          {svid(nil, object{"exp": now.Unix() - 30}), "expired"},
		"nbf ahead":         {svid(nil, object{"nbf": now.Unix() + 31}), "not valid before"},
		"iat ahead":         {svid(nil, object{"iat": now.Unix() + 31}), "issued at"},
		"cnf":               {svid(nil, object{"cnf": boundTo(own)}), "bound (cnf)"},
		"cnf null":          {says(`"cnf":null`), "bound (cnf)"},
		"EXP beside":        {svid(nil, object{"EXP": 4e9}), "take for exp"},
		"one character":     {svid(nil, nil) + "A", "signature does not verify"},
	} {
		got, err := v.Judge(&token.Credential{Token: c.raw, Certificate: own}, now)
		if err == nil || !strings.Contains(err.Error(), c.want) || got != (token.Proof{}) {
			t.Errorf("%s: %+v, %v; want a reason with %q", name, got, err, c.want)
		}
	}
	raw := svid(nil, nil)
	for range 2 {
		if _, err := v.Judge(&token.Credential{Scheme: token.SchemeDPoP, Token: raw,
			Proofs: []string{proof(clientEC, raw, nil, nil)}, Target: target}, now); err == nil ||
			!strings.Contains(err.Error(), "bound to no key") {
			t.Errorf("with the DPoP scheme: %v", err)
		}
		if _, err := v.Judge(&token.Credential{Token: raw}, now); err != nil {
			t.Error(err)
		}
	}
	if _, err := newVerifier(t, corp()).Judge(&token.Credential{Token: raw}, now); err == nil ||
		!strings.Contains(err.Error(), "identity.jwtSVIDs") {
		t.Errorf("without the option: %v", err)
	}
}

// TestBundlesThatLeave take their tokens along, those that are remembered too, and a kid that is not there is asked
// for.
func TestBundlesThatLeave(t *testing.T) {
	acme, partner := bundles()
	v := withSVIDs(t, acme, partner)
	raw, all := svid(nil, nil), acme.keys
	judge := func() error { _, err := v.Judge(&token.Credential{Token: raw}, now); return err }
	if err := judge(); err != nil || acme.asks != 0 {
		t.Fatal(err, acme.asks)
	}
	acme.keys = &jose.JSONWebKeySet{Keys: all.Keys[1:]}
	if err := judge(); err == nil || acme.asks != 1 {
		t.Errorf("with its key gone: %v, asked %d times", err, acme.asks)
	}
	acme.keys = nil
	if err := judge(); err == nil || !strings.Contains(err.Error(), "the keys of trust domain acme.example") {
		t.Errorf("with its bundle gone: %v", err)
	}
	acme.keys = all
	if err := judge(); err != nil {
		t.Errorf("with its key again: %v", err)
	}
	if _, err := v.Judge(&token.Credential{Token: raw}, now.Add(6*time.Minute)); err == nil {
		t.Error("believed after its end")
	}
	if partner.asks != 0 {
		t.Error("the other trust domain was asked")
	}
}

func TestSVIDsThatCannotBe(t *testing.T) {
	acme, _ := bundles()
	good := func() token.SVIDs {
		return token.SVIDs{Audiences: []string{"a"}, Domains: map[string]token.KeySource{"acme.example": acme}}
	}
	for want, change := range map[string]func(*token.SVIDs){
		"":                func(*token.SVIDs) {},
		"no audience":     func(s *token.SVIDs) { s.Audiences = nil },
		"or an empty one": func(s *token.SVIDs) { s.Audiences = []string{"a", ""} },
		"leeway":          func(s *token.SVIDs) { s.Leeway = -1 },
		"leeway of":       func(s *token.SVIDs) { s.Leeway = 6 * time.Minute },
		"no trust domain": func(s *token.SVIDs) { s.Domains = nil },
		`"a/b"`:           func(s *token.SVIDs) { s.Domains["a/b"] = acme },
		`""`:              func(s *token.SVIDs) { s.Domains[""] = acme },
		"has no keys":     func(s *token.SVIDs) { s.Domains["b"] = nil },
	} {
		s := good()
		change(&s)
		if _, err := token.New(nil, token.WithSVIDs(s)); (err == nil) != (want == "") || err != nil &&
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
