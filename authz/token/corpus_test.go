package token_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func decode(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }

// TestVerifyRefusesMore goes on with the corpus of TestVerifyRefuses: headers that bring a key, names that differ in
// case only, algorithms that only look like ours.
func TestVerifyRefusesMore(t *testing.T) {
	v := newVerifier(t, corp(), partner())
	es := func(h, c object) string { return sign(corpEC, header(h), claims(c)) }
	head := func(member string) string { return signRaw(corpEC, dup(header(nil), member), toJSON(claims(nil))) }
	jwk := jose.JSONWebKey{Key: strangersEC.Public(), KeyID: "ec"}
	many := object{}
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCD" {
		many["x-"+string(c)] = 1
	}
	for name, c := range map[string]struct{ raw, want string }{
		// a key that the token brings, in every spelling
		"jwk null":           {head(`"jwk":null`), `"jwk"`},
		"jwk of our own key": {es(object{"jwk": jose.JSONWebKey{Key: corpEC.Public()}}, nil), `"jwk"`},
		"JWK":                {sign(strangersEC, header(object{"JWK": jwk}), claims(nil)), "take for jwk"},
		"Jku":                {es(object{"Jku": "https://evil.example"}, nil), "take for jku"},
		"X5U":                {es(object{"X5U": "https://evil.example"}, nil), "take for x5u"},
		"x5c of a stranger": {sign(strangersEC, header(object{"x5c": selfSigned(t)}), claims(nil)),
			"signature does not verify"},
		"x5t#S256 of a stranger": {sign(strangersEC, header(object{"kid": nil, "x5t#S256": encode(own[:])}), claims(nil)),
			"any key"},
		// crit
		"crit empty": {es(object{"crit": []string{}}, nil), `"crit"`},
		"crit null":  {head(`"crit":null`), `"crit"`},
		"Crit":       {es(object{"Crit": []string{"x"}}, nil), "take for crit"},
		"b64 true":   {es(object{"b64": true}, nil), `"b64"`},
		"b64 crit":   {es(object{"b64": false, "crit": []string{"b64"}}, nil), `"crit"`},
		// algorithms
		"ALG beside alg":        {head(`"ALG":"none"`), "take for alg"},
		"ALG alone":             {es(object{"alg": nil, "ALG": "ES256"}, nil), "take for alg"},
		"alg null":              {signRaw(corpEC, []byte(`{"alg":null}`), toJSON(claims(nil))), "alg is no text"},
		"alg is an array":       {es(object{"alg": []string{"ES256"}}, nil), "alg is no text"},
		"alg empty":             {es(object{"alg": ""}, nil), "lists"},
		"alg es256":             {es(object{"alg": "es256"}, nil), "lists"},
		"alg with a blank":      {es(object{"alg": "ES256 "}, nil), "lists"},
		"alg with NUL":          {es(object{"alg": "ES256\x00"}, nil), "lists"},
		"alg ES256K":            {es(object{"alg": "ES256K"}, nil), "lists"},
		"PBES2":                 {es(object{"alg": "PBES2-HS256+A128KW", "p2c": 1 << 30, "p2s": "AA"}, nil), "lists"},
		"dir with enc":          {es(object{"alg": "dir", "enc": "A256GCM"}, nil), `"enc"`},
		"HS256, key of zeros":   {sign(make([]byte, 32), header(object{"alg": "HS256"}), claims(nil)), "lists"},
		"HS256, empty key":      {sign([]byte{}, header(object{"alg": "HS256"}), claims(nil)), "lists"},
		"EdDSA with the EC kid": {sign(corpEd, header(object{"alg": "EdDSA", "kid": "ec"}), claims(nil)), "no key"},
		// kid
		"Kid beside kid":     {head(`"Kid":"rsa"`), "take for kid"},
		"kid null":           {signRaw(corpEC, []byte(`{"alg":"ES256","kid":null}`), toJSON(claims(nil))), "kid is no text"},
		"kid /dev/null":      {es(object{"kid": "/dev/null"}, nil), "no key"},
		"kid with NUL":       {es(object{"kid": "ec\x00"}, nil), "no key"},
		"kid in other case":  {es(object{"kid": "EC"}, nil), "no key"},
		"kid with a command": {es(object{"kid": "ec|/usr/bin/id"}, nil), "no key"},
		"kid as URL":         {es(object{"kid": "https://evil.example/jwks#ec"}, nil), "no key"},
		"kid of 257 bytes":   {es(object{"kid": strings.Repeat("k", 257)}, nil), "kid"},
		// sizes
		"header of 33 members": {es(many, nil), "33 members"},
		// a token in a token
		"nested": {signRaw(corpEC, toJSON(header(object{"cty": "JWT"})), []byte(es(nil, nil))), "no JSON object"},
		// claims in other case
		"Sub":      {es(nil, object{"Sub": "admin"}), "take for sub"},
		"EXP":      {es(nil, object{"EXP": 4e9}), "take for exp"},
		"Groups":   {es(nil, object{"Groups": []string{"admins"}}), "take for groups"},
		"ACR":      {es(nil, object{"ACR": "phr"}), "take for acr"},
		"long s":   {es(nil, object{"\u017fub": "admin"}), "take for sub"},
		"Events":   {es(nil, object{"Events": object{}}), "take for events"},
		"acr \"\"": {es(nil, object{"acr": ""}), "acr is empty"},
	} {
		user, err := v.Verify(c.raw, nobody, now)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want a reason with %q", name, user, err, c.want)
		}
	}
	delete(many, "x-a")
	delete(many, "x-b") // 28 of these and alg, kid, typ
	if _, err := v.Verify(es(many, object{"Name": "Ana", "name": "ana", "GROUPS2": 1}), nobody, now); err != nil {
		t.Errorf("names that mean nothing here: %v", err)
	}
}

// selfSigned is the x5c (RFC 7515, section 4.1.6) of a stranger's certificate for the stranger's own key.
func selfSigned(t *testing.T) []string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, strangersEC.Public(), strangersEC)
	if err != nil {
		t.Fatal(err)
	}
	return []string{base64.StdEncoding.EncodeToString(der)}
}

// TestOneCharacterMoreOrLess: put any one character anywhere into a token, or take any one out, or repeat it, and it is
// no token any more.
func TestOneCharacterMoreOrLess(t *testing.T) {
	v := newVerifier(t, corp())
	raw := sign(corpEC, header(nil), claims(object{"cnf": boundTo(own)}))
	if _, err := v.Verify(raw, own, now); err != nil {
		t.Fatal(err)
	}
	tried := 0
	try := func(changed string) {
		tried++
		if changed == raw {
			return
		}
		if user, err := v.Verify(changed, own, now); err == nil {
			t.Errorf("%q is believed as %v", changed, user)
		}
	}
	for at := range len(raw) + 1 {
		for _, c := range []string{"A", "=", ".", " ", "\n", "\x00", "_"} {
			try(raw[:at] + c + raw[at:])
		}
		if at < len(raw) {
			try(raw[:at] + raw[at+1:])
			try(raw[:at] + raw[at:at+1] + raw[at:])
		}
	}
	if tried < 9*len(raw) {
		t.Errorf("only %d spellings of %d characters", tried, len(raw))
	}
	try(raw + "." + raw)
	try(raw + raw)
	try(strings.ToUpper(raw))
}

// TestVerifyAtItsEdges: to the second and beyond it, for claims with fractions too, first seen and remembered.
func TestVerifyAtItsEdges(t *testing.T) {
	settings := corp()
	settings.Leeway = 0
	for _, c := range []struct {
		change object
		at     time.Duration // from now
		want   bool
	}{
		{object{"exp": now.Unix()}, -time.Nanosecond, true}, {object{"exp": now.Unix()}, 0, false},
		{object{"exp": now.Unix()}, time.Second, false}, {object{"exp": now.Unix() + 1}, 0, true},
		{object{"exp": float64(now.Unix()) + 0.5}, 500*time.Millisecond - 1, true},
		{object{"exp": float64(now.Unix()) + 0.5}, 500 * time.Millisecond, false},
		{object{"nbf": now.Unix()}, 0, true}, {object{"nbf": now.Unix()}, -1, false},
		{object{"nbf": now.Unix() + 1}, 0, false}, {object{"nbf": float64(now.Unix()) + 0.25}, 250 * time.Millisecond, true},
		{object{"nbf": float64(now.Unix()) + 0.25}, 250*time.Millisecond - 1, false},
		{object{"nbf": now.Unix() + 5, "exp": now.Unix() + 5}, 5 * time.Second, false}, // no instant at all
		{object{"nbf": now.Unix() + 9, "exp": now.Unix() + 5}, 7 * time.Second, false},
		{object{"exp": 0}, 0, false}, {object{"exp": 253370764800}, 0, true}, {object{"exp": 253370764801}, 0, false},
	} {
		v := newVerifier(t, settings)
		raw := sign(corpEC, header(nil), claims(c.change))
		for range 2 {
			if _, err := v.Verify(raw, nobody, now.Add(c.at)); (err == nil) != c.want {
				t.Errorf("%v at %s: %v, want believed %t", c.change, c.at, err, c.want)
			}
		}
	}
}
