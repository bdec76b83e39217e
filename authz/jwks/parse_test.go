package jwks_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/jwks"
)

func TestParseOneKidOneKey(t *testing.T) {
	alg := func(key, name string) string { return `{"alg":"` + name + `",` + key[1:] }
	use := func(key, name string) string { return `{"use":"` + name + `",` + key[1:] }
	otherA := jwk(keyB.Public(), "a")
	for name, c := range map[string]struct {
		set   string
		fault string
	}{
		"two keys of one kid":          {setOf(a, otherA), `kid "a"`},
		"one says its algorithm":       {setOf(alg(a, "ES256"), otherA), `kid "a"`},
		"the same key twice":           {setOf(a, alg(a, "ES256")), ""},
		"one is for encryption":        {setOf(a, use(otherA, "enc")), ""},
		"one is of no use":             {setOf(a, alg(otherA, "ES384")), ""},
		"two keys without kid":         {setOf(jwk(keyA.Public(), ""), jwk(keyB.Public(), "")), ""},
		"another type of the same kid": {setOf(a, `{"kty":"AKP","kid":"a","alg":"ML-DSA-44","pub":"AA"}`), ""},
	} {
		_, err := jwks.Parse([]byte(c.set))
		if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %v; want %q in it", name, err, c.fault)
		}
	}
}

func TestParseTellsPrivateKeys(t *testing.T) {
	for set, want := range map[string]bool{
		setOf(secretA):                        true,
		setOf(a, secretA):                     true,
		setOf(`{"kty":"EC"}`, `"x"`, secretA): true,
		setOf(secretA, `"x"`):                 true,
		setOf(`{"d":"AA"}`):                   true,
		setOf(`{"kty":"oct","k":"AA"}`):       false,
		setOf(`{"kty":"EC"}`):                 false,
	} {
		if _, err := jwks.Parse([]byte(set)); err == nil || errors.Is(err, jwks.ErrPrivate) != want {
			t.Errorf("%s: %v", set, err)
		}
	}
}

// FuzzParseHoldsPublicKeysOnly: whatever an issuer answers, a set that is taken holds 1 to 64 public keys that are strong
// enough, and reading it again comes to the same.
func FuzzParseHoldsPublicKeysOnly(f *testing.F) {
	for _, set := range []string{setOf(a, b), setOf(secretA), setOf(), `{"keys":[{"kty":"oct"}]}`, weakRSA(), "{"} {
		f.Add(set)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := jwks.Parse([]byte(text))
		if (err == nil) != (len(set.Keys) > 0) || len(set.Keys) > jwks.MaxKeys {
			t.Fatalf("%d keys and %v", len(set.Keys), err)
		}
		for _, key := range set.Keys {
			if err := jwks.CheckKey(key); err != nil || !key.IsPublic() {
				t.Fatalf("%+v: %v", key, err)
			}
		}
	})
}
