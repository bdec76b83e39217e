package token_test

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/token"
)

// TestAProofShowsTheKey, of every kind, and names what must not be seen again: the key and the jti, until the proof has
// aged out.
func TestAProofShowsTheKey(t *testing.T) {
	v := newDPoP(t, corp())
	for name, key := range map[string]any{"EC": clientEC, "RSA": clientRSA, "Ed25519": clientEd} {
		raw := keyBound(key)
		got, err := v.Judge(byKey(raw, proof(key, raw, nil, nil)), now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		jti := sha256.Sum256([]byte("-BwC3ESc6acc2lTc"))
		want := token.Once{Key: thumbprint(key) + ":" + encode(jti[:]), Until: now.Add(window + 5*time.Second)}
		if got.Once != want || got.User == nil || got.User.Held != identity.HeldByKey {
			t.Errorf("%s: %+v of %+v, want %+v", name, got.Once, got.User, want)
		}
	}
}

// TestBrokenProofs breaks every check of RFC 9449, section 4.3, by itself.
func TestBrokenProofs(t *testing.T) {
	v := newDPoP(t, corp())
	raw := keyBound(clientEC)
	head := func(change object) string { return proof(clientEC, raw, change, nil) }
	says := func(change object) string { return proof(clientEC, raw, nil, change) }
	wrote := func(member string) string {
		return signRaw(clientEC, toJSON(proofHeader(clientEC, nil)), dup(proofClaims(raw, nil), member))
	}
	headed := func(member string) string {
		return signRaw(clientEC, dup(proofHeader(clientEC, nil), member), toJSON(proofClaims(raw, nil)))
	}
	good := says(nil)
	parts := strings.Split(good, ".")
	small := newRSA(1024)
	for name, c := range map[string]struct{ proof, want string }{
		// shape
		"empty":              {"", "three parts"},
		"two joined":         {good + "," + good, "(JWE)"},
		"two joined, tilde":  {parts[0] + "." + parts[1] + "." + parts[2] + ", x", "canonical"},
		"JWE":                {"a.b.c.d.e", "JWE"},
		"no signature":       {parts[0] + "." + parts[1] + ".", "is empty"},
		"padded":             {good + "=", "canonical"},
		"blank in front":     {" " + good, "canonical"},
		"trailing bits":      {parts[0] + "." + parts[1] + "." + withTrailingBits(parts[2]), "canonical"},
		"8193 bytes":         {says(object{"x": strings.Repeat("x", 8<<10)}), "limit is 8192"},
		"payload no object":  {signRaw(clientEC, toJSON(proofHeader(clientEC, nil)), []byte(`[1]`)), "no JSON object"},
		"header twice typ":   {headed(`"typ":"dpop+jwt"`), "twice"},
		"payload twice htm":  {wrote(`"htm":"GET"`), "twice"},
		"header of 33":       {head(manyMembers(30)), "33 members"},
		"header Jwk beside":  {head(object{"Jwk": 1}), "take for jwk"},
		"payload Htu beside": {says(object{"HTU": targetURI}), "take for htu"},
		// typ, alg
		"typ none":        {head(object{"typ": nil}), "no typ"},
		"typ JWT":         {head(object{"typ": "JWT"}), `typ is "JWT"`},
		"typ in capitals": {head(object{"typ": "DPoP+JWT"}), "typ is"},
		"typ whole":       {head(object{"typ": "application/dpop+jwt"}), "typ is"},
		"alg none":        {head(object{"alg": "none"}), `signed with "none"`},
		"alg missing":     {head(object{"alg": nil}), "no alg"},
		"alg HS256": {sign([]byte("k"), proofHeader(clientEC, object{"alg": "HS256"}), proofClaims(raw, nil)),
			"HS256"},
		"alg ES384, P-256": {head(object{"alg": "ES384"}), "no key for ES384"},
		"alg RS256, EC":    {head(object{"alg": "RS256"}), "no key for RS256"},
		"alg a number":     {head(object{"alg": 7}), "no text"},
		// jwk
		"jwk none": {head(object{"jwk": nil}), "no jwk"},
		"jwk null": {signRaw(clientEC, []byte(`{"typ":"dpop+jwt","alg":"ES256","jwk":null}`),
			toJSON(proofClaims(raw, nil))), "jwk"},
		"jwk private":   {head(object{"jwk": jose.JSONWebKey{Key: clientEC}}), `private member "d"`},
		"jwk symmetric": {head(object{"jwk": object{"kty": "oct", "k": "AAAA"}}), "symmetric"},
		"jwk secp256k1": {head(object{"jwk": object{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}}),
			"could verify"},
		"jwk off the curve": {head(object{"jwk": object{"kty": "EC", "crv": "P-256", "x": encode(own[:]),
			"y": encode(own[:])}}), "jwk"},
		"jwk weak RSA": {proof(small, raw, nil, nil), "1024 bits"},
		"jwk for enc":  {head(object{"jwk": jose.JSONWebKey{Key: clientEC.Public(), Use: "enc"}}), "no key for"},
		"jwk of another": {sign(strangersEC, proofHeader(strangersEC, nil), proofClaims(raw, nil)),
			"another's token"},
		"jwk of ours, signed by another": {sign(strangersEC, proofHeader(clientEC, nil), proofClaims(raw, nil)),
			"signature does not verify"},
		"jku":  {head(object{"jku": "https://evil.example"}), `"jku"`},
		"x5u":  {head(object{"x5u": "https://evil.example"}), `"x5u"`},
		"crit": {head(object{"crit": []string{"exp"}}), `"crit"`},
		"b64":  {head(object{"b64": false}), `"b64"`},
		"zip":  {head(object{"zip": "DEF"}), `"zip"`},
		// claims
		"jti none":         {says(object{"jti": nil}), "no jti"},
		"jti empty":        {says(object{"jti": ""}), "jti is empty"},
		"jti 257 bytes":    {says(object{"jti": strings.Repeat("j", 257)}), "jti is empty, longer"},
		"jti a number":     {says(object{"jti": 7}), "jti is no text"},
		"jti half a pair":  {halfPair(raw), "control characters"},
		"htm none":         {says(object{"htm": nil}), "no htm"},
		"htm POST":         {says(object{"htm": "POST"}), `method "POST"`},
		"htm get":          {says(object{"htm": "get"}), `method "get"`},
		"htm array":        {says(object{"htm": []string{"GET"}}), "htm is no text"},
		"htu none":         {says(object{"htu": nil}), "no htu"},
		"htu other path":   {says(object{"htu": "https://app.acme.example/reports/8"}), "request for"},
		"htu with query":   {says(object{"htu": targetURI + "?full=1"}), "a query or a fragment"},
		"iat none":         {says(object{"iat": nil}), "iat"},
		"iat text":         {says(object{"iat": "now"}), "iat"},
		"iat too old":      {says(object{"iat": now.Unix() - 61}), "counts for 1m0s"},
		"iat ahead":        {says(object{"iat": now.Unix() + 6}), "ahead by more than 5s"},
		"iat in ms":        {says(object{"iat": now.UnixMilli()}), "iat"},
		"ath none":         {says(object{"ath": nil}), "no ath"},
		"ath of another":   {says(object{"ath": ath(raw + "x")}), "another token"},
		"ath padded":       {says(object{"ath": ath(raw) + "="}), "another token"},
		"ath of the proof": {says(object{"ath": ath(good)}), "another token"},
		"an access token":  {raw, `typ is "JWT"`},
	} {
		got, err := v.Judge(byKey(raw, c.proof), now)
		if err == nil || !strings.Contains(err.Error(), c.want) || got != (token.Proof{}) {
			t.Errorf("%s: %+v, %v; want a reason with %q", name, got, err, c.want)
		}
		if err != nil && c.proof != "" && (strings.Contains(err.Error(), parts[1]) || strings.Contains(err.Error(), raw)) {
			t.Errorf("%s: the reason holds the proof or the token: %v", name, err)
		}
	}
	for _, change := range []object{{"iat": now.Unix() - 60}, {"iat": now.Unix() + 5}, {"nonce": 7, "exp": 1, "nbf": 1e12},
		{"jti": strings.Repeat("j", 256)}, {"iat": float64(now.Unix()) - 0.5}} {
		if _, err := v.Judge(byKey(raw, says(change)), now); err != nil {
			t.Errorf("%v is refused: %v", change, err)
		}
	}
	if _, err := v.Judge(byKey(raw, head(object{"kid": "x", "cty": "x", "jwk": jose.JSONWebKey{
		Key: clientEC.Public(), KeyID: "mine", Use: "sig", Algorithm: "ES256"}})), now); err != nil {
		t.Errorf("members that mean nothing here: %v", err)
	}
}

func halfPair(raw string) string {
	return signRaw(clientEC, toJSON(proofHeader(clientEC, nil)), dup(proofClaims(raw, object{"jti": nil}),
		`"jti":"\ud800"`))
}

func manyMembers(n int) object {
	many := object{}
	for i := range n {
		many["x-"+strings.Repeat("x", i)] = json.Number("1")
	}
	return many
}

// TestHowATokenIsSent is RFC 9449, section 7.2, and what follows from it: the scheme says what the token is, and a
// token that is bound to a key is nothing without its proof.
func TestHowATokenIsSent(t *testing.T) {
	raw, bearer := keyBound(clientEC), sign(corpEC, header(nil), claims(nil))
	byCertificate := sign(corpEC, header(nil), claims(object{"cnf": boundTo(own)}))
	byBoth := sign(corpEC, header(nil), claims(object{"cnf": object{"x5t#S256": encode(own[:]),
		"jkt": thumbprint(clientEC)}}))
	of := func(raw string) []string { return []string{proof(clientEC, raw, nil, nil)} }
	for name, c := range map[string]struct {
		scheme token.Scheme
		raw    string
		proofs []string
		shown  identity.Thumbprint
		want   string // "": believed
	}{
		"bound, as it should be":     {token.SchemeDPoP, raw, of(raw), nobody, ""},
		"bound, as Bearer":           {token.SchemeBearer, raw, of(raw), nobody, "came with the Bearer scheme"},
		"bound, no scheme":           {"", raw, of(raw), nobody, "came with the Bearer scheme"},
		"bound, as Bearer, no proof": {token.SchemeBearer, raw, nil, nobody, "came with the Bearer scheme"},
		"bound, no proof":            {token.SchemeDPoP, raw, nil, nobody, "no proof came"},
		"bound, empty header":        {token.SchemeDPoP, raw, []string{""}, nobody, "three parts"},
		"bound, proof twice": {token.SchemeDPoP, raw, append(of(raw), of(raw)...), nobody,
			"more than one DPoP header"},
		"bound, proof and nothing":     {token.SchemeDPoP, raw, append(of(raw), ""), nobody, "more than one DPoP header"},
		"bearer":                       {token.SchemeBearer, bearer, nil, nobody, ""},
		"bearer, as DPoP":              {token.SchemeDPoP, bearer, of(bearer), nobody, "bound to no key"},
		"bearer with a stray proof":    {token.SchemeBearer, bearer, []string{"x", "y"}, nobody, ""},
		"certificate":                  {token.SchemeBearer, byCertificate, nil, own, ""},
		"certificate, as DPoP":         {token.SchemeDPoP, byCertificate, of(byCertificate), own, "bound to no key"},
		"both":                         {token.SchemeDPoP, byBoth, of(byBoth), own, ""},
		"both, no certificate":         {token.SchemeDPoP, byBoth, of(byBoth), nobody, "none was shown"},
		"both, another's certificate":  {token.SchemeDPoP, byBoth, of(byBoth), other, "SHA-256"},
		"both, no proof":               {token.SchemeDPoP, byBoth, nil, own, "no proof came"},
		"both, as Bearer":              {token.SchemeBearer, byBoth, nil, own, "came with the Bearer scheme"},
		"both, proof of another token": {token.SchemeDPoP, byBoth, of(raw), own, "another token"},
	} {
		for _, issuer := range []token.Issuer{corp(), required()} {
			v := newDPoP(t, issuer)
			for range 2 { // seen for the first time, and remembered
				got, err := v.Judge(&token.Credential{Scheme: c.scheme, Token: c.raw, Proofs: c.proofs, Certificate: c.shown,
					Target: target}, now)
				want := c.want
				if issuer.SenderConstrained && c.raw == bearer {
					want = "senderConstrained: required"
				}
				switch {
				case want == "" && (err != nil || got.User == nil):
					t.Errorf("%s: %v", name, err)
				case want != "" && (err == nil || !strings.Contains(err.Error(), want) || got != (token.Proof{})):
					t.Errorf("%s: %+v, %v; want a reason with %q", name, got, err, want)
				case want == "" && (got.Once == token.Once{}) == (c.scheme == token.SchemeDPoP):
					t.Errorf("%s: once %+v", name, got.Once)
				}
			}
		}
	}
	if _, err := newVerifier(t, corp()).Judge(byKey(raw, of(raw)...), now); err == nil ||
		!strings.Contains(err.Error(), "(DPoP) are not verified here") {
		t.Errorf("without the option: %v", err)
	}
}

// TestEveryRequestNeedsItsProof: what is remembered of a token is never its proof.
func TestEveryRequestNeedsItsProof(t *testing.T) {
	v := newDPoP(t, corp())
	raw := keyBound(clientEC)
	keys := map[string]bool{}
	for i, jti := range []string{"a", "b", "c", "a "} {
		got, err := v.Judge(byKey(raw, proof(clientEC, raw, nil, object{"jti": jti})), now.Add(time.Duration(i)*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		keys[got.Once.Key] = true
		if _, err := v.Judge(byKey(raw), now); err == nil {
			t.Error("the token counts without a proof once it was believed")
		}
		if _, err := v.Judge(byKey(raw, proof(strangersEC, raw, nil, nil)), now); err == nil {
			t.Error("the token counts with another's proof once it was believed")
		}
		if _, err := v.Judge(byKey(raw, proof(clientEC, raw, nil, nil)), now.Add(2*time.Minute)); err == nil {
			t.Error("the proof counts when it is old, once the token was believed")
		}
	}
	if len(keys) != 4 {
		t.Errorf("four proofs have %d names", len(keys))
	}
	// The same jti, however it is spelled and signed, is one.
	same := map[string]bool{}
	for _, spelled := range []string{`"jti":"abc"`, `"jti":"\u0061bc"`, `"jti" : "a\u0062c"`} {
		got, err := v.Judge(byKey(raw, signRaw(clientEC, toJSON(proofHeader(clientEC, nil)),
			dup(proofClaims(raw, object{"jti": nil}), spelled))), now)
		if err != nil {
			t.Fatal(err)
		}
		same[got.Once.Key] = true
	}
	if len(same) != 1 {
		t.Errorf("one jti in three spellings has %d names", len(same))
	}
	another, second := keyBound(clientRSA), proof(clientRSA, keyBound(clientRSA), nil, nil)
	first, _ := v.Judge(byKey(raw, proof(clientEC, raw, nil, nil)), now)
	if got, _ := v.Judge(byKey(another, second), now); got.Once.Key == first.Once.Key {
		t.Error("two keys share the name of a jti")
	}
}

// TestProofOfRFC9449 is the request of RFC 9449, section 7.1, figure 16, whose token the example's key is bound to.
func TestProofOfRFC9449(t *testing.T) {
	const example = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUk" +
		"RZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6Il" +
		"AtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm9" +
		"0ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9." +
		"2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	const jkt, theirs = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	if ath(theirs) != "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo" {
		t.Fatal("the hash of the RFC's token is another")
	}
	v := newDPoP(t, corp())
	raw := sign(corpEC, header(nil), claims(object{"iat": nil, "nbf": nil, "cnf": object{"jkt": jkt}}))
	c := byKey(raw, example)
	c.Target = token.Target{Method: "GET", Scheme: "https", Host: "resource.example.org", Path: "/protectedresource"}
	at := time.Unix(1562262618, 0)
	// Key, signature, method, URI and time are right; the token is ours and not theirs.
	if _, err := v.Judge(c, at); err == nil || !strings.Contains(err.Error(), "(ath)") {
		t.Errorf("got as far as %v", err)
	}
	if _, err := v.Judge(c, at.Add(2*time.Minute)); err == nil || !strings.Contains(err.Error(), "counts for") {
		t.Errorf("later: %v", err)
	}
}

func TestDPoPWindow(t *testing.T) {
	for window, want := range map[time.Duration]bool{0: false, -1: false, 5*time.Second - 1: false, 5 * time.Second: true,
		5 * time.Minute: true, 5*time.Minute + 1: false} {
		if _, err := token.New(nil, token.WithDPoP(window)); (err == nil) != want {
			t.Errorf("%s: %v", window, err)
		}
	}
}
