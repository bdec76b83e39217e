package token_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/token"
)

// FuzzProof: a proof counts only if the key that the token names signed exactly these header and payload bytes for it.
func FuzzProof(f *testing.F) {
	v := newDPoP(f, corp())
	raw := keyBound(clientEC)
	signed := map[string]bool{}
	for _, p := range []string{proof(clientEC, raw, nil, nil), proof(clientEC, raw, object{"kid": "x"},
		object{"jti": "j"})} {
		signed[signingInput(p)] = true
		f.Add(p)
		f.Add(p + "A")
		f.Add(p + "," + p)
		f.Add(p[1:])
	}
	f.Add(proof(strangersEC, raw, nil, nil))
	f.Add(proof(clientEC, raw+"x", nil, nil))
	f.Add(raw)
	f.Fuzz(func(t *testing.T, p string) {
		got, err := v.Judge(byKey(raw, p), now)
		if (err == nil) != (got.User != nil) || (err == nil) != (got.Once != token.Once{}) {
			t.Fatalf("%+v and error %v", got, err)
		}
		if err == nil && !signed[signingInput(p)] {
			t.Fatalf("%q was believed and never signed", p)
		}
	})
}

// FuzzURIOfAProof: whatever an htu is taken for the request's URI, a second reading of it is the same host and path.
func FuzzURIOfAProof(f *testing.F) {
	v := newDPoP(f, corp())
	raw := keyBound(clientEd)
	for _, seed := range []string{targetURI, "https://app.acme.example/a/../reports/7",
		"https://APP.acme.example:443/%72eports/7",
		"https://app.acme.example@evil.example/reports/7", "https://evil.example/?https://app.acme.example/reports/7"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if _, err := v.Judge(byKey(raw, proof(clientEd, raw, nil, object{"htu": uri})), now); err != nil {
			return
		}
		rest, secure := strings.CutPrefix(strings.ToLower(uri), "https://")
		host, path, _ := strings.Cut(rest, "/")
		host, _, _ = strings.Cut(host, ":")
		if !secure || strings.TrimSuffix(host, ".") != "app.acme.example" || strings.ContainsAny(path, `?#\;@`) ||
			!strings.Contains(path, "%") && path != "reports/7" {
			t.Fatalf("%q is taken for %s", uri, targetURI)
		}
	})
}

// TestProofFlips: changing any one character of a proof makes it another proof, and no other proof counts.
func TestProofFlips(t *testing.T) {
	v := newDPoP(t, corp())
	raw := keyBound(clientEC)
	good := proof(clientEC, raw, nil, nil)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n"
	rapid.Check(t, func(t *rapid.T) {
		p := []byte(good)
		at := rapid.IntRange(0, len(p)-1).Draw(t, "at")
		to := alphabet[rapid.IntRange(0, len(alphabet)-1).Draw(t, "to")]
		if p[at] == to {
			return
		}
		p[at] = to
		if got, err := v.Judge(byKey(raw, string(p)), now); err == nil {
			t.Fatalf("believed as %+v", got)
		}
	})
}

// BenchmarkDPoP is the price of a request with a token that was believed before and a proof that was not.
func BenchmarkDPoP(b *testing.B) {
	v := newDPoP(b, corp())
	for name, key := range map[string]any{"ES256": clientEC, "RS256": clientRSA, "EdDSA": clientEd} {
		raw := keyBound(key)
		c := byKey(raw, proof(key, raw, nil, nil))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Judge(c, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSVID is the price of a JWT-SVID that was believed before.
func BenchmarkSVID(b *testing.B) {
	acme, partner := bundles()
	v := withSVIDs(b, acme, partner)
	c := &token.Credential{Token: svid(nil, nil)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Judge(c, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVouched is the price of a token with Envoy's word: it is read and compared each time.
func BenchmarkVouched(b *testing.B) {
	v := newVerifier(b, vouchedCorp())
	c := &token.Credential{Token: sign(strangersEC, header(nil), plain(nil)), Vouched: word(b,
		object{vouchedKey: plain(nil)})}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Judge(c, now); err != nil {
			b.Fatal(err)
		}
	}
}
