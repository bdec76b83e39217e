package devca

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
)

// TestJWTSVIDBySPIFFE lets the reference implementation judge.
func TestJWTSVIDBySPIFFE(t *testing.T) {
	authority, other := must[*JWTAuthority](t)(NewJWTAuthority("acme.example")), must[*JWTAuthority](t)(NewJWTAuthority("acme.example"))
	id := spiffeid.RequireFromString("spiffe://acme.example/ns/ci/sa/deployer")
	bundle := func(a *JWTAuthority) *jwtbundle.Bundle {
		b := jwtbundle.New(id.TrustDomain())
		if err := b.AddJWTAuthority(a.Key().KeyID, a.Key().Key); err != nil {
			t.Fatal(err)
		}
		return b
	}
	token := must[string](t)(authority.Sign(id, []string{"payroll", "portal"}, time.Minute))
	svid, err := jwtsvid.ParseAndValidate(token, bundle(authority), []string{"payroll"})
	if err != nil || svid.ID != id {
		t.Fatalf("%v, %v", svid, err)
	}
	if diff := cmp.Diff([]string{"payroll", "portal"}, svid.Audience); diff != "" {
		t.Error(diff)
	}
	if _, err := jwtsvid.ParseAndValidate(token, bundle(authority), []string{"elsewhere"}); err == nil {
		t.Error("counts for another audience")
	}
	if _, err := jwtsvid.ParseAndValidate(token, bundle(other), []string{"payroll"}); err == nil {
		t.Error("another authority vouches for it")
	}
	// The reference implementation grants a minute.
	expired := must[string](t)(authority.Sign(id, []string{"payroll"}, -2*time.Minute))
	if _, err := jwtsvid.ParseAndValidate(expired, bundle(authority), []string{"payroll"}); err == nil {
		t.Error("counts after its end")
	}
	if key := authority.Key(); key.Use != "jwt-svid" || !key.IsPublic() {
		t.Errorf("key %+v", key)
	}
}

func TestJWTSVIDRefused(t *testing.T) {
	a := must[*JWTAuthority](t)(NewJWTAuthority("acme.example"))
	for name, err := range map[string]error{
		"no trust domain":      second(NewJWTAuthority("ACME example")),
		"another trust domain": second(a.Sign(spiffeid.RequireFromString("spiffe://partner.example/x"), []string{"a"}, time.Hour)),
		"a trust domain":       second(a.Sign(spiffeid.RequireFromString("spiffe://acme.example"), []string{"a"}, time.Hour)),
		"no audience":          second(a.Sign(spiffeid.RequireFromString("spiffe://acme.example/x"), nil, time.Hour)),
		"a CA of no time":      second(NewFor("Acme test", time.Millisecond)),
	} {
		if err == nil {
			t.Errorf("%s: was issued", name)
		}
	}
}

// TestNobodyOutlivesTheirCA: a chain ends where its first certificate does.
func TestNobodyOutlivesTheirCA(t *testing.T) {
	ca := must[*CA](t)(NewFor("Acme test", time.Minute))
	if left := time.Until(ca.Certificate().NotAfter); left > time.Minute || left < 50*time.Second {
		t.Errorf("the CA lives for %s", left)
	}
	pair := must[*Pair](t)(ca.SVID("spiffe://acme.example/a", time.Hour))
	if !pair.Certificate.NotAfter.Equal(ca.Certificate().NotAfter) {
		t.Errorf("the SVID ends at %s, its CA at %s", pair.Certificate.NotAfter, ca.Certificate().NotAfter)
	}
}
