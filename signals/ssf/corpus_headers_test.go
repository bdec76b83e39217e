package ssf_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// signedBytes is a JWS in RS256 of any header and payload, whatever these say.
func signedBytes(t testing.TB, key *rsa.PrivateKey, header, payload string) string {
	t.Helper()
	text := raw(header, payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// TestCorpusOfHeaders: the attacks on the headers of tokens, of authz/token's corpus, on SETs: each is signed by the transmitter's own
// key but where it says another, and all that is wrong is the header, or a claim in another spelling. Accepted: 0.
func TestCorpusOfHeaders(t *testing.T) {
	t.Parallel()
	s := stream(t)
	payload, _ := json.Marshal(claims(nil))
	head := func(more string) string { return `{"typ":"secevent+jwt","alg":"RS256","kid":"k1"` + more + `}` }
	own, _ := json.Marshal(jose.JSONWebKey{Key: rsaKey().Public()})
	strangers, _ := json.Marshal(jose.JSONWebKey{Key: otherRSA().Public()})
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, otherRSA().Public(), otherRSA())
	if err != nil {
		t.Fatal(err)
	}
	chain, thumb := base64.StdEncoding.EncodeToString(der), sha256.Sum256(der)
	if _, err := s.Authenticate(delivery(signedBytes(t, rsaKey(), head(""), string(payload))), now); err != nil {
		t.Fatal(err)
	}
	accepted, tried := 0, 0
	refuse := func(name, set string) {
		t.Helper()
		tried++
		if id, err := s.Authenticate(delivery(set), now); err == nil {
			accepted++
			t.Errorf("%s: accepted as %s", name, id)
		}
	}
	for name, header := range map[string]string{
		"jwk null": head(`,"jwk":null`), "jwk of the transmitter's own key": head(`,"jwk":` + string(own)), "Jku": head(`,"Jku":"https://evil.example"`),
		"X5U": head(`,"X5U":"https://evil.example"`), "crit empty": head(`,"crit":[]`),
		"crit null": head(`,"crit":null`), "Crit": head(`,"Crit":["x"]`), "b64 true": head(`,"b64":true`),
		"b64 crit": head(`,"b64":false,"crit":["b64"]`), "ALG beside alg": head(`,"ALG":"none"`), "alg twice": head(`,"alg":"none"`),
		"kid twice": head(`,"kid":"k2"`), "Kid beside kid": head(`,"Kid":"weak"`), "TYP beside typ": head(`,"TYP":"JWT"`),
		"enc": head(`,"enc":"A256GCM"`), "zip": head(`,"zip":"DEF"`), "data behind": head("") + "{}",
		"ALG alone":           `{"typ":"secevent+jwt","ALG":"RS256","kid":"k1"}`,
		"alg null":            `{"typ":"secevent+jwt","alg":null,"kid":"k1"}`,
		"alg an array":        `{"typ":"secevent+jwt","alg":["RS256"],"kid":"k1"}`,
		"alg empty":           `{"typ":"secevent+jwt","alg":"","kid":"k1"}`,
		"no alg":              `{"typ":"secevent+jwt","kid":"k1"}`,
		"alg rs256":           `{"typ":"secevent+jwt","alg":"rs256","kid":"k1"}`,
		"alg with a blank":    `{"typ":"secevent+jwt","alg":"RS256 ","kid":"k1"}`,
		"alg with NUL":        `{"typ":"secevent+jwt","alg":"RS256\u0000","kid":"k1"}`,
		"alg ES256 by an RSA": `{"typ":"secevent+jwt","alg":"ES256","kid":"k1"}`,
		"alg PS256":           `{"typ":"secevent+jwt","alg":"PS256","kid":"k1"}`,
		"PBES2":               `{"typ":"secevent+jwt","alg":"PBES2-HS256+A128KW","kid":"k1","p2c":1073741824,"p2s":"AA"}`,
		"kid null":            `{"typ":"secevent+jwt","alg":"RS256","kid":null}`,
		"kid a number":        `{"typ":"secevent+jwt","alg":"RS256","kid":1}`,
		"kid /dev/null":       `{"typ":"secevent+jwt","alg":"RS256","kid":"/dev/null"}`,
		"kid with NUL":        `{"typ":"secevent+jwt","alg":"RS256","kid":"k1\u0000"}`,
		"kid in other case":   `{"typ":"secevent+jwt","alg":"RS256","kid":"K1"}`,
		"kid with a command":  `{"typ":"secevent+jwt","alg":"RS256","kid":"k1|/usr/bin/id"}`,
		"kid as URL":          `{"typ":"secevent+jwt","alg":"RS256","kid":"https://evil.example/jwks#k1"}`,
		"kid of 257 bytes":    `{"typ":"secevent+jwt","alg":"RS256","kid":"` + strings.Repeat("k", 257) + `"}`,
		"typ null":            `{"typ":null,"alg":"RS256","kid":"k1"}`,
		"typ logout+jwt":      `{"typ":"logout+jwt","alg":"RS256","kid":"k1"}`,
		"typ an array":        `{"typ":["secevent+jwt"],"alg":"RS256","kid":"k1"}`,
		"header an array":     `["RS256"]`, "header null": `null`, "header empty": ``,
	} {
		refuse(name, signedBytes(t, rsaKey(), header, string(payload)))
	}
	for name, more := range map[string]string{"jwk of a stranger": `,"jwk":` + string(strangers), "JWK of a stranger": `,"JWK":` + string(strangers),
		"x5c of a stranger": `,"x5c":["` + chain + `"]`, "x5t#S256 of a stranger": `,"x5t#S256":"` + base64.RawURLEncoding.EncodeToString(thumb[:]) + `"`} {
		refuse(name, signedBytes(t, otherRSA(), head(more), string(payload)))
		refuse(name+", no kid", signedBytes(t, otherRSA(), `{"typ":"secevent+jwt","alg":"RS256"`+more+`}`, string(payload)))
	}
	for name, key := range map[string][]byte{"zeros": make([]byte, 32), "nothing": {}} {
		mac := raw(strings.Replace(head(""), "RS256", "HS256", 1), string(payload))
		refuse("HS256 with "+name, mac+"."+base64.RawURLEncoding.EncodeToString(hmacOf(key, mac)))
	}
	for _, claim := range []string{`"Iss":"x"`, `"AUD":"x"`, `"Jti":"x"`, `"EVENTS":{}`, `"Iat":1`, `"Sub_Id":{}`, `"\u0130ss":"x","ISS":"x"`,
		`"event\u017f":{}`, `"i\u017f\u017f":"x"`, `"sub":"ana"`, `"exp":4000000000`} {
		refuse("beside the claims "+claim, signedBytes(t, rsaKey(), head(""), strings.TrimSuffix(string(payload), "}")+","+claim+"}"))
	}
	t.Logf("accepted %d of %d", accepted, tried)
}

// TestOneCharacterMoreOrLessOfASET: put any one character anywhere into a SET, or take any one out, or repeat it, and it is no SET
// any more.
func TestOneCharacterMoreOrLessOfASET(t *testing.T) {
	t.Parallel()
	s := stream(t)
	set := signAs(rsaKey(), jose.RS256, nil, claims(nil))
	if _, err := s.Authenticate(delivery(set), now); err != nil {
		t.Fatal(err)
	}
	tried := 0
	try := func(changed string) {
		tried++
		if changed == set {
			return
		}
		if id, err := s.Authenticate(delivery(changed), now); err == nil {
			t.Errorf("%q is believed as %s", changed, id)
		}
	}
	for at := range len(set) + 1 {
		for _, c := range []string{"A", "=", ".", " ", "\n", "\x00", "_"} {
			try(set[:at] + c + set[at:])
		}
		if at < len(set) {
			try(set[:at] + set[at+1:])
			try(set[:at] + set[at:at+1] + set[at:])
		}
	}
	try(set + "." + set)
	try(set + set)
	try(strings.ToUpper(set))
	if tried < 9*len(set) {
		t.Errorf("only %d spellings of %d characters", tried, len(set))
	}
	t.Logf("%d spellings, accepted 0", tried)
}

func hmacOf(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
