package token_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/identity"
)

func TestVerifyUser(t *testing.T) {
	v := newVerifier(t, corp(), partner())
	login := now.Add(-5 * time.Minute)
	raw := sign(corpEC, header(object{"typ": "application/AT+jwt", "x5c": []string{}}), claims(object{
		"aud": []string{"other", "https://app.acme.example"}, "acr": "phr", "amr": []string{"hwk", "pin"},
		"auth_time": login.Unix()}))
	got, err := v.Verify(raw, nobody, now)
	if err != nil {
		t.Fatal(err)
	}
	want := &identity.User{Issuer: "corp", Name: "u-1", Subject: "u-1", Groups: []string{"staff", "eng"}, ACR: "phr",
		AMR: []string{"hwk", "pin"}, AuthTime: login,
		Issued: now.Add(-time.Minute), Token: identity.Validity{NotBefore: now.Add(-time.Minute - leeway), NotAfter: now.Add(10*time.Minute + leeway)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("user (-want +got):\n%s", diff)
	}

	raw = sign(partnerEC, header(object{"typ": "AT+JWT"}), claims(object{"iss": partnerURL, "email": "bo@partner.example",
		"email_verified": true, "roles": "contractors", "groups": []int{1}, "nbf": nil, "iat": nil}))
	if got, err = v.Verify(raw, nobody, now); err != nil {
		t.Fatal(err)
	}
	want = &identity.User{Issuer: "partner", Name: "bo@partner.example", Subject: "u-1", Groups: []string{"contractors"},
		Token: identity.Validity{NotAfter: now.Add(10 * time.Minute)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("user (-want +got):\n%s", diff)
	}
}

func TestVerifyKeys(t *testing.T) {
	v := newVerifier(t, corp())
	for name, raw := range map[string]string{
		"ES256":             sign(corpEC, header(nil), claims(nil)),
		"ES256 without kid": sign(corpEC, header(object{"kid": nil}), claims(nil)),
		"RS256":             sign(corpRSA, header(object{"alg": "RS256", "kid": "rsa"}), claims(nil)),
		"RS256 without kid": sign(corpRSA, header(object{"alg": "RS256", "kid": nil}), claims(nil)),
		"EdDSA":             sign(corpEd, header(object{"alg": "EdDSA", "kid": "ed"}), claims(nil)),
		"no typ":            sign(corpEC, header(object{"typ": nil}), claims(nil)),
		"JSON with blanks": signRaw(corpEC, []byte(" { \"alg\" : \"ES256\" } \n"), append([]byte("\n\t "),
			append(toJSON(claims(nil)), ' ')...)),
		"fractions":              sign(corpEC, header(nil), claims(object{"exp": float64(now.Unix()) + 0.5})),
		"no groups":              sign(corpEC, header(nil), claims(object{"groups": nil})),
		"hasgroups false":        sign(corpEC, header(nil), claims(object{"hasgroups": false})),
		"other claims elsewhere": sign(corpEC, header(nil), claims(object{"_claim_names": object{"address": "src1"}})),
	} {
		if _, err := v.Verify(raw, nobody, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestVerifyRefuses is the corpus of attacks on tokens. Each case is a good token with one thing wrong; TestVerifyKeys
// shows that the good one passes. want is a part of the reason: a token refused for another reason than meant proves
// nothing.
func TestVerifyRefuses(t *testing.T) {
	v := newVerifier(t, corp(), partner())
	good := sign(corpEC, header(nil), claims(nil))
	parts := strings.Split(good, ".")
	publicDER, err := x509.MarshalPKIXPublicKey(corpRSA.Public())
	if err != nil {
		t.Fatal(err)
	}
	es := func(h, c object) string { return sign(corpEC, header(h), claims(c)) }
	jwk := jose.JSONWebKey{Key: strangersEC.Public(), KeyID: "ec"}
	cases := []struct{ name, raw, want string }{
		// shape
		{"empty", "", "three parts"},
		{"one dot", "a.b", "three parts"},
		{"JWE", "a.b.c.d.e", "JWE"},
		{"JSON serialization", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] +
			`"}`, "three parts"},
		{"16 KiB and more", es(nil, object{"junk": strings.Repeat("x", 17<<10)}), "limit"},
		{"blank in front", " " + good, "canonical"},
		{"line end behind", good + "\n", "canonical"},
		{"line end inside", good[:len(good)-4] + "\r\n" + good[len(good)-4:], "canonical"},
		{"padding", good + "==", "canonical"},
		{"one character too many", good + "A", "verify"},
		{"two characters too many", good + "AA", "verify"},
		{"one character less", good[:len(good)-1], "canonical"},
		{"trailing bits", parts[0] + "." + parts[1] + "." + withTrailingBits(parts[2]), "canonical"},
		{"standard alphabet", parts[0] + "." + parts[1] + "." + strings.Repeat("+", 86), "canonical"},
		{"no signature", parts[0] + "." + parts[1] + ".", "signature is empty"},
		{"no payload (detached)", parts[0] + ".." + parts[2], "payload is empty"},
		// JSON
		{"header is an array", signRaw(corpEC, []byte(`["alg"]`), toJSON(claims(nil))), "no JSON object"},
		{"payload is null", signRaw(corpEC, toJSON(header(nil)), []byte("null")), "no JSON object"},
		{"payload is a text", signRaw(corpEC, toJSON(header(nil)), []byte(`"x"`)), "no JSON object"},
		{"two values", signRaw(corpEC, toJSON(header(nil)), append(toJSON(claims(nil)), "{}"...)), "follows"},
		{"alg twice", signRaw(corpEC, []byte(`{"alg":"none","alg":"ES256"}`), toJSON(claims(nil))), "twice"},
		{"sub twice", signRaw(corpEC, toJSON(header(nil)), dup(claims(nil), `"sub":"admin"`)), "twice"},
		{"sub twice, once escaped", signRaw(corpEC, toJSON(header(nil)), dup(claims(nil), `"\u0073ub":"admin"`)), "twice"},
		{"name twice deep inside", signRaw(corpEC, toJSON(header(nil)), dup(claims(nil), `"x":[{"a":1,"a":2}]`)), "twice"},
		{"not UTF-8", signRaw(corpEC, toJSON(header(nil)), dup(claims(nil), "\"x\":\"\xff\"")), "UTF-8"},
		{"deep", signRaw(corpEC, toJSON(header(nil)), dup(claims(nil), `"x":`+strings.Repeat("[", 40)+strings.Repeat("]",
			40))), "deeper"},
		{"broken", signRaw(corpEC, toJSON(header(nil)), []byte(`{"iss":"x",}`)), "valid JSON"},
		// algorithm and key
		{"alg none", encode(toJSON(object{"alg": "none"})) + "." + parts[1] + ".", "signature is empty"},
		{"alg none with signature", encode(toJSON(object{"alg": "none"})) + "." + parts[1] + "." + parts[2], "lists"},
		{"alg nOnE", es(object{"alg": "nOnE"}, nil), "lists"},
		{"alg missing", es(object{"alg": nil}, nil), "lists"},
		{"alg is a number", es(object{"alg": 5}, nil), "alg is no text"},
		{"HS256 with the RSA public key", sign(publicDER, header(object{"alg": "HS256", "kid": "rsa"}), claims(nil)),
			"lists"},
		{"HS256 with the RSA modulus", sign(corpRSA.N.Bytes(), header(object{"alg": "HS256", "kid": "rsa"}), claims(nil)),
			"lists"},
		{"algorithm that is not listed", es(object{"alg": "ES512"}, nil), "lists"},
		{"another algorithm of the same key", sign(corpRSA, header(object{"alg": "PS256", "kid": "rsa"}), claims(nil)),
			"lists"},
		{"RS256 with the kid of an EC key", sign(corpRSA, header(object{"alg": "RS256", "kid": "ec"}), claims(nil)),
			"no key"},
		{"alg and key differ", sign(corpEC, header(object{"alg": "RS256", "kid": "ec"}), claims(nil)), "no key"},
		{"encryption key", sign(corpEC384, header(object{"kid": "enc"}), claims(nil)), "no key"},
		{"kid ../../x", es(object{"kid": "../../x"}, nil), "no key"},
		{"kid SQL", es(object{"kid": "ec' OR '1'='1"}, nil), "no key"},
		{"kid of 8 KiB", es(object{"kid": strings.Repeat("k", 8<<10)}, nil), "kid"},
		{"kid empty", es(object{"kid": ""}, nil), "kid"},
		{"kid is an array", es(object{"kid": []string{"ec"}}, nil), "kid is no text"},
		{"embedded jwk", sign(strangersEC, header(object{"jwk": jwk}), claims(nil)), `"jwk"`},
		{"jku", es(object{"jku": "https://evil.example/jwks"}, nil), `"jku"`},
		{"x5u", es(object{"x5u": "https://evil.example/x5u"}, nil), `"x5u"`},
		{"crit", es(object{"crit": []string{"exp"}, "exp": 1}, nil), `"crit"`},
		{"b64", es(object{"b64": false}, nil), `"b64"`},
		{"zip", es(object{"zip": "DEF"}, nil), `"zip"`},
		{"another's key, right kid", sign(strangersEC, header(nil), claims(nil)), "signature does not verify"},
		{"another's key, no kid", sign(strangersEC, header(object{"kid": nil}), claims(nil)), "any key"},
		{"other issuer's key with the same kid", sign(partnerEC, header(nil), claims(nil)), "signature does not verify"},
		{"our key for the other issuer", es(object{"typ": "at+jwt"}, object{"iss": partnerURL, "email": "a@b"}),
			"signature does not verify"},
		{"changed payload", parts[0] + "." + encode(toJSON(claims(object{"sub": "admin"}))) + "." + parts[2],
			"signature does not verify"},
		{"changed header", encode(toJSON(header(object{"typ": "at+jwt"}))) + "." + parts[1] + "." + parts[2],
			"signature does not verify"},
		{"r and s zero", parts[0] + "." + parts[1] + "." + encode(make([]byte, 64)), "signature does not verify"},
		{"r and s all ones", parts[0] + "." + parts[1] + "." + strings.Repeat("_", 85) + "w", "signature does not verify"},
		{"signature in DER", derSignature(t, parts[0]+"."+parts[1]), "signature does not verify"},
		// type
		{"logout token", es(object{"typ": "logout+jwt"}, nil), "typ"},
		{"security event", es(object{"typ": "secevent+jwt"}, nil), "typ"},
		{"DPoP proof", es(object{"typ": "dpop+jwt"}, nil), "typ"},
		{"typ is a number", es(object{"typ": 1}, nil), "typ is no text"},
		{"wrong typ where one is set", sign(partnerEC, header(nil), claims(object{"iss": partnerURL, "email": "a@b"})),
			"sets"},
		{"no typ where one is set", sign(partnerEC, header(object{"typ": nil}), claims(object{"iss": partnerURL,
			"email": "a@b"})), "sets"},
		{"events", es(nil, object{"events": object{}}), "security event"},
		{"sender-constrained", es(nil, object{"cnf": object{"jkt": "x"}}), "cnf"},
		// issuer and audience
		{"no iss", es(nil, object{"iss": nil}), "no issuer"},
		{"iss null", signRaw(corpEC, toJSON(header(nil)), []byte(`{"iss":null}`)), "iss is no text"},
		{"iss with slash", es(nil, object{"iss": corpURL + "/"}), "not one of"},
		{"iss in other case", es(nil, object{"iss": strings.ToUpper(corpURL)}), "not one of"},
		{"iss as array", es(nil, object{"iss": []string{corpURL}}), "iss is no text"},
		{"ISS", es(nil, object{"iss": nil, "ISS": corpURL}), "no issuer"},
		{"no aud", es(nil, object{"aud": nil}), "audience"},
		{"other aud", es(nil, object{"aud": "tiergate2"}), "audience"},
		{"aud empty array", es(nil, object{"aud": []string{}}), "audience"},
		{"aud as prefix", es(nil, object{"aud": "tier"}), "audience"},
		{"aud with null", es(nil, object{"aud": []any{"tiergate", nil}}), "aud is no text"},
		{"aud nested", es(nil, object{"aud": []any{[]string{"tiergate"}}}), "aud is no text"},
		{"aud as object", es(nil, object{"aud": object{"tiergate": true}}), "aud is no text"},
		// times
		{"no exp", es(nil, object{"exp": nil}), "no end"},
		{"exp as text", es(nil, object{"exp": "4102444800"}), "exp is no number"},
		{"exp null", signRaw(corpEC, toJSON(header(nil)), dup(claims(object{"exp": nil}), `"exp":null`)), "exp is no number"},
		{"exp 1e400", signRaw(corpEC, toJSON(header(nil)), dup(claims(object{"exp": nil}), `"exp":1e400`)),
			"exp is no number"},
		{"exp 1e300", signRaw(corpEC, toJSON(header(nil)), dup(claims(object{"exp": nil}), `"exp":1e300`)), "9998"},
		{"exp negative", es(nil, object{"exp": -1}), "1970"},
		{"expired", es(nil, object{"exp": now.Unix() - 3600}), "expired"},
		{"iat in the future", es(nil, object{"iat": now.Unix() + 31}), "issued"},
		{"nbf in the future", es(nil, object{"nbf": now.Unix() + 31}), "not valid before"},
		{"nbf as text", es(nil, object{"nbf": "0"}), "nbf is no number"},
		{"auth_time in the future", es(nil, object{"auth_time": now.Unix() + 31}), "login"},
		{"auth_time as bool", es(nil, object{"auth_time": true}), "auth_time is no number"},
		// who
		{"no sub", es(nil, object{"sub": nil}), "no sub"},
		{"sub empty", es(nil, object{"sub": ""}), "sub is empty"},
		{"sub is a number", es(nil, object{"sub": 7}), "sub is no text"},
		{"sub with a line end", es(nil, object{"sub": "a\r\nx-tiergate-tier: admin"}), "control"},
		{"sub with NUL", es(nil, object{"sub": "admin\x00"}), "control"},
		{"sub with half a surrogate", signRaw(corpEC, toJSON(header(nil)), dup(claims(object{"sub": nil}),
			`"sub":"a\ud800"`)), "control"},
		{"sub of 257 bytes", es(nil, object{"sub": strings.Repeat("x", 257)}), "longer"},
		{"email not verified", sign(partnerEC, header(object{"typ": "at+jwt"}), claims(object{"iss": partnerURL,
			"email": "a@b", "email_verified": false})), "not verified"},
		{"user claim missing", sign(partnerEC, header(object{"typ": "at+jwt"}), claims(object{"iss": partnerURL})),
			"no email"},
		{"groups with a number", es(nil, object{"groups": []any{"staff", 1}}), "groups is no text"},
		{"groups null", signRaw(corpEC, toJSON(header(nil)), dup(claims(object{"groups": nil}), `"groups":null`)),
			"groups is no text"},
		{"groups with an empty one", es(nil, object{"groups": []string{"a", ""}}), "entry 2"},
		{"501 groups", es(nil, object{"groups": strings.Split(strings.Repeat("g,", 500)+"g", ",")}), "501"},
		{"groups elsewhere", es(nil, object{"groups": nil, "_claim_names": object{"groups": "src1"}}), "emit fewer"},
		{"hasgroups", es(nil, object{"groups": nil, "hasgroups": true}), "emit fewer"},
		{"_claim_names is a text", es(nil, object{"_claim_names": "groups"}), "_claim_names"},
		{"acr is a number", es(nil, object{"acr": 2}), "acr is no text"},
		{"acr with a control byte", es(nil, object{"acr": "a\nb"}), "acr"},
		{"amr is an object", es(nil, object{"amr": object{}}), "amr is no text"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			user, err := v.Verify(c.raw, nobody, now)
			if err == nil || user != nil {
				t.Fatalf("accepted as %+v", user)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("refused because %q; want a reason with %q", err, c.want)
			}
			for _, part := range strings.Split(c.raw, ".") {
				if len(part) > 8 && strings.Contains(err.Error(), part) {
					t.Errorf("the reason holds a part of the token: %q", err)
				}
			}
		})
	}
}

// dup writes an object with one more member behind the others.
func dup(o object, member string) []byte {
	b := toJSON(o)
	return append(append(b[:len(b)-1:len(b)-1], ','), member+"}"...)
}

// withTrailingBits spells the same 64 bytes differently: the last of 86 characters carries four bits that no byte uses.
func withTrailingBits(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[i|1])
}

func derSignature(t *testing.T, input string) string {
	t.Helper()
	digest := sha256.Sum256([]byte(input))
	der, err := ecdsa.SignASN1(rand.Reader, corpEC, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + encode(der)
}

// TestVerifyBoundaries: a token counts from nbf (iat, auth_time) less the leeway until before exp and the leeway, to
// the nanosecond, and User.Token says the same.
func TestVerifyBoundaries(t *testing.T) {
	begin, end := now.Add(-time.Hour), now.Add(time.Hour)
	for _, grant := range []time.Duration{0, time.Nanosecond, leeway} {
		settings := corp()
		settings.Leeway = grant
		v := newVerifier(t, settings)
		for _, claim := range []string{"nbf", "iat", "auth_time"} {
			set := object{"nbf": nil, "iat": nil, "exp": end.Unix()}
			set[claim] = begin.Unix()
			raw := sign(corpEC, header(nil), claims(set))
			for _, c := range []struct {
				at   time.Time
				want bool
			}{
				{begin.Add(-grant - 1), false}, {begin.Add(-grant), true}, {now, true},
				{end.Add(grant - 1), true}, {end.Add(grant), false}, {time.Time{}, false},
			} {
				user, err := v.Verify(raw, nobody, c.at)
				if (err == nil) != c.want {
					t.Errorf("%s, leeway %s, at %s: error %v, want accepted %v", claim, grant, c.at, err, c.want)
				}
				if err == nil && (!user.Token.Covers(c.at) || user.Token != (identity.Validity{NotBefore: begin.Add(-grant),
					NotAfter: end.Add(grant)})) {
					t.Errorf("%s, leeway %s: window %+v", claim, grant, user.Token)
				}
			}
		}
	}
}

// TestVerifyLastOfManyBegins: with several claims that begin the window, the last one does.
func TestVerifyLastOfManyBegins(t *testing.T) {
	v := newVerifier(t, corp())
	for i := range 6 {
		order := [][]string{{"nbf", "iat", "auth_time"}, {"nbf", "auth_time", "iat"}, {"iat", "nbf", "auth_time"},
			{"iat", "auth_time", "nbf"}, {"auth_time", "nbf", "iat"}, {"auth_time", "iat", "nbf"}}[i]
		set := object{}
		for j, claim := range order {
			set[claim] = now.Unix() - 30 + int64(10*j)
		}
		user, err := v.Verify(sign(corpEC, header(nil), claims(set)), nobody, now)
		if err != nil {
			t.Fatal(err)
		}
		if want := now.Add(-10*time.Second - leeway); !user.Token.NotBefore.Equal(want) {
			t.Errorf("%v: begins at %s, want %s", order, user.Token.NotBefore, want)
		}
	}
}

// TestVerifyTriesBounded: without a kid, at most 16 keys are tried.
func TestVerifyTriesBounded(t *testing.T) {
	for _, c := range []struct {
		strangers int
		want      bool
	}{{15, true}, {16, false}} {
		settings := corp()
		settings.Algorithms = []string{"ES256"}
		settings.Keys = jose.JSONWebKeySet{}
		for i := range c.strangers {
			settings.Keys.Keys = append(settings.Keys.Keys, jose.JSONWebKey{Key: strangersEC.Public(), KeyID: fmt.Sprint(i)})
		}
		settings.Keys.Keys = append(settings.Keys.Keys, jose.JSONWebKey{Key: corpEC.Public(), KeyID: "ec"})
		v := newVerifier(t, settings)
		if _, err := v.Verify(sign(corpEC, header(object{"kid": nil}), claims(nil)), nobody, now); (err == nil) != c.want {
			t.Errorf("%d keys before the right one: %v", c.strangers, err)
		}
		if _, err := v.Verify(sign(corpEC, header(nil), claims(nil)), nobody, now); err != nil {
			t.Errorf("with its kid: %v", err)
		}
	}
}
