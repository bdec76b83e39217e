package token_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/identity"
)

// signedOnce are the tokens that the issuers of these tests signed; nothing else may pass. An ECDSA signature has a
// twin that verifies too, so signing input is compared, not the token.
func signedOnce() []string {
	return []string{
		sign(corpEC, header(nil), claims(nil)),
		sign(corpRSA, header(object{"alg": "RS256", "kid": "rsa"}), claims(nil)),
		sign(corpEd, header(object{"alg": "EdDSA", "kid": nil}), claims(object{"groups": "x"})),
		sign(partnerEC, header(object{"typ": "at+jwt"}), claims(object{"iss": partnerURL, "email": "a@b"})),
	}
}

func signingInput(raw string) string { return raw[:strings.LastIndexByte(raw, '.')+1] }

// FuzzVerifyAcceptsOnlySigned: a token is believed only if an issuer signed exactly these header and payload bytes.
func FuzzVerifyAcceptsOnlySigned(f *testing.F) {
	v := newVerifier(f, corp(), partner())
	signed := map[string]bool{}
	for _, raw := range signedOnce() {
		signed[signingInput(raw)] = true
		f.Add(raw)
		f.Add(raw + "A")
		parts := strings.Split(raw, ".")
		f.Add(encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".")
	}
	f.Add(sign(strangersEC, header(object{"jwk": jose.JSONWebKey{Key: strangersEC.Public()}}), claims(nil)))
	f.Add("a.b.c.d.e")
	f.Add("..")
	f.Fuzz(func(t *testing.T, raw string) {
		user, err := v.Verify(raw, nobody, now)
		if (user == nil) == (err == nil) {
			t.Fatalf("user %v and error %v", user, err)
		}
		if user != nil && !signed[signingInput(raw)] {
			t.Fatalf("%q was believed and never signed", raw)
		}
	})
}

// FuzzSignedClaimsAreWhole: whatever an issuer signs, what is believed of it is complete and clean.
func FuzzSignedClaimsAreWhole(f *testing.F) {
	v := newVerifier(f, corp())
	f.Add(string(toJSON(claims(nil))))
	f.Add(`{"iss":"` + corpURL + `","aud":["tiergate"],"sub":"\u0000","exp":4e9}`)
	f.Add(`{"iss":"` + corpURL + `","aud":"tiergate","sub":"x","exp":1e300,"exp":9}`)
	f.Fuzz(func(t *testing.T, payload string) {
		if payload == "" {
			return
		}
		user, err := v.Verify(signRaw(corpEd, []byte(`{"alg":"EdDSA"}`), []byte(payload)), nobody, now)
		if err != nil {
			return
		}
		var plain struct {
			Iss, Sub string
			Exp      float64
		}
		if err := json.Unmarshal([]byte(payload), &plain); err != nil {
			t.Fatalf("%q: believed, and the standard decoder cannot read it: %v", payload, err)
		}
		if user.Issuer != "corp" || user.Subject == "" || user.Name != user.Subject || plain.Sub != user.Subject || !user.Token.Covers(now) {
			t.Fatalf("%q: believed as %+v", payload, user)
		}
		for _, text := range append([]string{user.Name, "x" + user.ACR}, append(user.Groups, user.AMR...)...) {
			if text == "" || len(text) > 257 || strings.ContainsAny(text, "\x00\r\n\x7f�") {
				t.Fatalf("%q: believed with %q", payload, text)
			}
		}
		if _, err := json.Marshal(user); err != nil {
			t.Fatalf("%q: cannot be written down: %v", payload, err)
		}
	})
}

// TestVerifyFlips: changing any one character of a token makes it another token, and no other token passes.
func TestVerifyFlips(t *testing.T) {
	v := newVerifier(t, corp(), partner())
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n"
	rapid.Check(t, func(t *rapid.T) {
		raw := []byte(rapid.SampledFrom(signedOnce()).Draw(t, "token"))
		at := rapid.IntRange(0, len(raw)-1).Draw(t, "at")
		to := alphabet[rapid.IntRange(0, len(alphabet)-1).Draw(t, "to")]
		if raw[at] == to {
			return
		}
		raw[at] = to
		if user, err := v.Verify(string(raw), nobody, now); err == nil {
			t.Fatalf("believed as %+v", user)
		}
	})
}

// TestVerifyAnywhen: a token is believed at an instant exactly if the window that any belief reports covers it.
func TestVerifyAnywhen(t *testing.T) {
	v := newVerifier(t, corp())
	rapid.Check(t, func(t *rapid.T) {
		begin := now.Unix() + rapid.Int64Range(-100, 100).Draw(t, "begin")
		end := now.Unix() + rapid.Int64Range(-100, 100).Draw(t, "end")
		raw := sign(corpEd, header(object{"alg": "EdDSA", "kid": "ed"}), claims(object{"iat": nil, "nbf": begin, "exp": end}))
		user, err := v.Verify(raw, nobody, now)
		window := identity.Validity{NotBefore: now.Add(secondsFrom(begin)), NotAfter: now.Add(secondsFrom(end))}
		window.NotBefore, window.NotAfter = window.NotBefore.Add(-leeway), window.NotAfter.Add(leeway)
		if (err == nil) != window.Covers(now) {
			t.Fatalf("window %+v: %v", window, err)
		}
		if err == nil && user.Token != window {
			t.Fatalf("reported %+v, want %+v", user.Token, window)
		}
	})
}

func secondsFrom(unix int64) time.Duration { return time.Duration(unix-now.Unix()) * time.Second }
