package token_test

import (
	"crypto/sha256"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/token"
)

// own is the certificate that tokens are bound to, other the one of whoever stole them.
var own, other = identity.Thumbprint(sha256.Sum256([]byte("own"))), identity.Thumbprint(sha256.Sum256([]byte("other")))

func boundTo(holder identity.Thumbprint) object { return object{"x5t#S256": encode(holder[:])} }

func required() token.Issuer {
	i := corp()
	i.SenderConstrained = true
	return i
}

// TestBoundTokensCountForTheirHolderOnly asks in every order, so that what was remembered of one answer would show in
// the next, and with keys of every kind.
func TestBoundTokensCountForTheirHolderOnly(t *testing.T) {
	for name, issuer := range map[string]token.Issuer{"optional": corp(), "required": required()} {
		for _, raw := range []string{
			sign(corpEC, header(nil), claims(object{"cnf": boundTo(own)})),
			sign(corpRSA, header(object{"alg": "RS256", "kid": "rsa"}), claims(object{"cnf": boundTo(own)})),
			sign(corpEC, header(nil), claims(object{"cnf": boundTo(own), "junk": strings.Repeat("x", 5<<10)})), // not remembered
		} {
			for _, order := range [][]identity.Thumbprint{{own, other, own, nobody, own}, {other, own, other}, {nobody, other,
				own}} {
				v := newVerifier(t, issuer)
				for i, shown := range order {
					user, err := v.Verify(raw, shown, now)
					switch {
					case shown == own && (err != nil || user.Name != "u-1"):
						t.Errorf("%s: %d of %v: the holder is refused: %v", name, i, order, err)
					case shown != own && (err == nil || user != nil):
						t.Errorf("%s: %d of %v: %s is believed", name, i, order, shown)
					case shown == other && !strings.Contains(err.Error(), "SHA-256 "+own.String()):
						t.Errorf("%s: the reason does not say whose it is: %v", name, err)
					case shown == nobody && !strings.Contains(err.Error(), "include_peer_certificate"):
						t.Errorf("%s: the reason does not say what to do: %v", name, err)
					}
				}
			}
		}
	}
}

// TestBearerTokens: a token without cnf counts for whoever sends it, unless the issuer's settings say otherwise.
func TestBearerTokens(t *testing.T) {
	raw := sign(corpEC, header(nil), claims(nil))
	optional, strict := newVerifier(t, corp()), newVerifier(t, required())
	for _, shown := range []identity.Thumbprint{nobody, own, other, own} {
		if _, err := optional.Verify(raw, shown, now); err != nil {
			t.Errorf("%s: %v", shown, err)
		}
		if _, err := strict.Verify(raw, shown, now); err == nil || !strings.Contains(err.Error(),
			"senderConstrained: required") {
			t.Errorf("%s: %v", shown, err)
		}
	}
	both := partner()
	both.SenderConstrained = true
	v := newVerifier(t, corp(), both)
	if _, err := v.Verify(raw, nobody, now); err != nil {
		t.Errorf("another issuer's setting: %v", err)
	}
}

// TestConfirmationsThatAreNotUnderstood: none of them counts as a bearer token, with its certificate or without.
func TestConfirmationsThatAreNotUnderstood(t *testing.T) {
	v := newVerifier(t, corp())
	digest := encode(own[:])
	x5t := func(value any) object { return object{"cnf": object{"x5t#S256": value}} }
	raw := func(member string) string { return signRaw(corpEC, toJSON(header(nil)), dup(claims(nil), member)) }
	es := func(change object) string { return sign(corpEC, header(nil), claims(change)) }
	for name, c := range map[string]struct{ raw, want string }{
		"jkt":                   {es(object{"cnf": object{"jkt": digest}}), "(DPoP) are not verified here"},
		"jwk":                   {es(object{"cnf": object{"jwk": object{"kty": "EC"}}}), `cnf "jwk"`},
		"jwe":                   {es(object{"cnf": object{"jwe": "x"}}), `cnf "jwe"`},
		"jku":                   {es(object{"cnf": object{"jku": "https://x.example"}}), `cnf "jku"`},
		"kid":                   {es(object{"cnf": object{"kid": "ec"}}), `cnf "kid"`},
		"x5t, of SHA-1":         {es(object{"cnf": object{"x5t": digest}}), `cnf "x5t"`},
		"in other case":         {es(object{"cnf": object{"x5t#s256": digest}}), `cnf "x5t#s256"`},
		"with jwk":              {es(object{"cnf": object{"x5t#S256": digest, "jwk": digest}}), `cnf "jwk"`},
		"jkt in other case":     {es(object{"cnf": object{"JKT": digest}}), `cnf "JKT"`},
		"jkt null":              {es(object{"cnf": object{"jkt": nil}}), "jkt is no text"},
		"jkt short":             {es(object{"cnf": object{"jkt": digest[:42]}}), "jkt is no SHA-256"},
		"jkt padded":            {es(object{"cnf": object{"jkt": digest + "="}}), "jkt is no SHA-256"},
		"jkt, trailing bits":    {es(object{"cnf": object{"jkt": withTrailingBits(digest)}}), "jkt is no SHA-256"},
		"with something of its": {es(object{"cnf": object{"x5t#S256": digest, "zzz": nil}}), `cnf "zzz"`},
		"no member":             {es(object{"cnf": object{}}), "cnf is empty"},
		"null":                  {raw(`"cnf":null`), "no object"},
		"a text":                {es(object{"cnf": digest}), "no object"},
		"an array":              {es(object{"cnf": []object{boundTo(own)}}), "no object"},
		"false":                 {es(object{"cnf": false}), "no object"},
		"Cnf":                   {es(object{"Cnf": boundTo(own)}), "take for cnf"},
		"CNF beside cnf":        {es(object{"CNF": object{}, "cnf": boundTo(own)}), "take for cnf"},
		"cnf twice":             {raw(`"cnf":{},"cnf":{}`), "twice"},
		"x5t#S256 twice":        {raw(`"cnf":{"x5t#S256":"` + digest + `","x5t#S256":"` + digest + `"}`), "twice"},
		"x5t#S256 null":         {raw(`"cnf":{"x5t#S256":null}`), "no text"},
		"x5t#S256 a number":     {es(x5t(7)), "no text"},
		"x5t#S256 an array":     {es(x5t([]string{digest})), "no text"},
		"empty":                 {es(x5t("")), "no SHA-256"},
		"one character less":    {es(x5t(digest[:42])), "no SHA-256"},
		"one character more":    {es(x5t(digest + "A")), "no SHA-256"},
		"padded":                {es(x5t(digest + "=")), "no SHA-256"},
		"line end":              {es(x5t(digest + "\n")), "no SHA-256"},
		"trailing bits":         {es(x5t(withTrailingBits(digest))), "no SHA-256"},
		"hexadecimal":           {es(x5t(own.String())), "no SHA-256"},
		"31 bytes":              {es(x5t(encode(own[:31]))), "no SHA-256"},
		"33 bytes":              {es(x5t(encode(append(own[:], 0)))), "no SHA-256"},
	} {
		for _, shown := range []identity.Thumbprint{own, nobody} {
			if user, err := v.Verify(c.raw, shown, now); err == nil || !strings.Contains(err.Error(), c.want) || user != nil {
				t.Errorf("%s: %v, %v; want a reason with %s", name, user, err, c.want)
			}
		}
	}
}

// TestNoCertificateIsNobody: a token that names the thumbprint of nothing is not for who shows nothing.
func TestNoCertificateIsNobody(t *testing.T) {
	v := newVerifier(t, corp())
	raw := sign(corpEC, header(nil), claims(object{"cnf": boundTo(nobody)}))
	for range 2 {
		if user, err := v.Verify(raw, nobody, now); err == nil {
			t.Fatalf("believed as %v", user)
		}
	}
}

// TestATwinIsBoundAlike: of an ECDSA signature (r, s) anybody can make (r, n-s), which verifies too. The token that it
// makes is another text, and proves no more.
func TestATwinIsBoundAlike(t *testing.T) {
	v := newVerifier(t, corp())
	raw := sign(corpEC, header(nil), claims(object{"cnf": boundTo(own)}))
	twin := twinOf(t, raw)
	first, err := v.Verify(raw, own, now)
	if err != nil {
		t.Fatal(err)
	}
	again, err := v.Verify(twin, own, now)
	if diff := cmp.Diff(first, again); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for range 2 {
		if _, err := v.Verify(twin, other, now); err == nil {
			t.Error("the twin counts for another")
		}
	}
}

func twinOf(t *testing.T, raw string) string {
	t.Helper()
	input := signingInput(raw)
	signature, err := decode(raw[len(input):])
	if err != nil {
		t.Fatal(err)
	}
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(corpEC.Params().N, s).FillBytes(signature[32:])
	return input + encode(signature)
}

// TestAStolenTokenNeverCounts: whatever happened before, in whatever order and at whatever time.
func TestAStolenTokenNeverCounts(t *testing.T) {
	tokens := map[identity.Thumbprint]string{}
	for _, holder := range []identity.Thumbprint{own, other, nobody} {
		change := object{"cnf": boundTo(holder), "sub": holder.String()}
		if holder == nobody {
			change = object{"sub": holder.String()}
		}
		tokens[holder] = sign(corpEd, header(object{"alg": "EdDSA", "kid": "ed"}), claims(change))
	}
	settings := corp()
	rapid.Check(t, func(t *rapid.T) {
		v, err := token.New([]token.Issuer{settings})
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 20).Draw(t, "requests") {
			holder := rapid.SampledFrom([]identity.Thumbprint{own, other, nobody}).Draw(t, "holder")
			shown := rapid.SampledFrom([]identity.Thumbprint{own, other, nobody}).Draw(t, "shown")
			at := now.Add(time.Duration(rapid.IntRange(-200, 800).Draw(t, "at")) * time.Second)
			window := identity.Validity{NotBefore: now.Add(-time.Minute - leeway), NotAfter: now.Add(10*time.Minute + leeway)}
			want := window.Covers(at) && (holder == nobody || holder == shown)
			user, err := v.Verify(tokens[holder], shown, at)
			if (err == nil) != want || err == nil && user.Subject != holder.String() {
				t.Fatalf("bound to %s, shown %s at %s: %v, %v", holder, shown, at, user, err)
			}
		}
	})
}

// BenchmarkVerifyBoundAgain is the price of a bound token that was believed before.
func BenchmarkVerifyBoundAgain(b *testing.B) {
	v := newVerifier(b, corp())
	raw := sign(corpEC, header(nil), claims(object{"cnf": boundTo(own)}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(raw, own, now); err != nil {
			b.Fatal(err)
		}
	}
}
