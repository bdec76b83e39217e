package token_test

import (
	"fmt"
	"testing"
	"time"
)

// TestBelievedOnceIsStillJudged: what is remembered of a token is the same belief, in the same window, and helps no other.
func TestBelievedOnceIsStillJudged(t *testing.T) {
	v := newVerifier(t, corp())
	raw := sign(corpEC, header(nil), claims(nil))
	first, err := v.Verify(raw, nobody, now)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := v.Verify(raw, nobody, now.Add(time.Second)); err != nil || again != first {
		t.Errorf("the second time: %v, %v", again, err)
	}
	for _, at := range []time.Time{first.Token.NotBefore.Add(-1), first.Token.NotAfter, now.Add(1000 * time.Hour)} {
		if _, err := v.Verify(raw, nobody, at); err == nil {
			t.Errorf("believed at %v, outside of its window", at)
		}
	}
	if _, err := v.Verify(raw, nobody, now); err != nil {
		t.Errorf("a refusal at another time was remembered: %v", err)
	}
	if _, err := v.Verify(sign(strangersEC, header(nil), claims(nil)), nobody, now); err == nil {
		t.Error("the same claims from a stranger were believed")
	}
	if _, err := newVerifier(t, partner()).Verify(raw, nobody, now); err == nil {
		t.Error("another verifier shares the memory")
	}
}

// BenchmarkVerifyAgain is the price of a token that was believed before: a look-up.
func BenchmarkVerifyAgain(b *testing.B) {
	v := newVerifier(b, corp())
	raw := sign(corpEC, header(nil), claims(object{"groups": manyGroups()[:20]}))
	b.ReportMetric(float64(len(raw)), "token-bytes")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(raw, nobody, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyFirst is the price of a token that was not seen before.
func BenchmarkVerifyFirst(b *testing.B) {
	v := newVerifier(b, corp())
	for name, raw := range map[string]string{
		"ES256":     sign(corpEC, header(nil), claims(nil)),
		"RS256":     sign(corpRSA, header(object{"alg": "RS256", "kid": "rsa"}), claims(nil)),
		"EdDSA":     sign(corpEd, header(object{"alg": "EdDSA", "kid": "ed"}), claims(nil)),
		"groups500": sign(corpEC, header(nil), claims(object{"groups": manyGroups()})),
		"forged":    sign(strangersEC, header(nil), claims(nil)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.VerifyAfresh(raw, now); (err != nil) != (name == "forged") {
					b.Fatal(err)
				}
			}
		})
	}
}

func manyGroups() []string {
	groups := make([]string, 500)
	for i := range groups {
		groups[i] = fmt.Sprintf("group-%d", i)
	}
	return groups
}
