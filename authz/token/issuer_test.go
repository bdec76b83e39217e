package token_test

import (
	"crypto/elliptic"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/jwks"
	"github.com/tiergate/tiergate/authz/token"
)

func TestNewRefuses(t *testing.T) {
	change := func(f func(*token.Issuer)) token.Issuer {
		i := corp()
		f(&i)
		return i
	}
	for name, c := range map[string]struct {
		issuers []token.Issuer
		want    string
	}{
		"no algorithm": {[]token.Issuer{change(func(i *token.Issuer) { i.Algorithms = nil })}, "lists no algorithm"},
		"none": {[]token.Issuer{change(func(i *token.Issuer) { i.Algorithms = []string{"ES256", "none"} })},
			`"none" is not accepted`},
		"None": {[]token.Issuer{change(func(i *token.Issuer) { i.Algorithms = []string{"None"} })},
			"not accepted"},
		"HS256": {[]token.Issuer{change(func(i *token.Issuer) { i.Algorithms = []string{"HS256"} })},
			`"HS256" is not accepted`},
		"empty": {[]token.Issuer{change(func(i *token.Issuer) { i.Algorithms = []string{""} })}, "not accepted"},
		"lower case": {[]token.Issuer{change(func(i *token.Issuer) { i.Algorithms = []string{"es256"} })},
			"not accepted"},
		"no key for it": {[]token.Issuer{change(func(i *token.Issuer) { i.Algorithms = []string{"ES512"} })},
			"no key for ES512"},
		"only an enc key": {[]token.Issuer{change(func(i *token.Issuer) { i.Algorithms = []string{"ES384"} })},
			"no key for ES384"},
		"no keys": {[]token.Issuer{change(func(i *token.Issuer) { i.Keys = jose.JSONWebKeySet{} })}, "no key for"},
		"symmetric key": {[]token.Issuer{change(func(i *token.Issuer) { i.Keys.Keys[1].Key = []byte("secret") })},
			"key 2"},
		"private EC key":    {[]token.Issuer{change(func(i *token.Issuer) { i.Keys.Keys[0].Key = corpEC })}, "key 1"},
		"private RSA key":   {[]token.Issuer{change(func(i *token.Issuer) { i.Keys.Keys[1].Key = corpRSA })}, "key 2"},
		"private Ed key":    {[]token.Issuer{change(func(i *token.Issuer) { i.Keys.Keys[2].Key = corpEd })}, "key 3"},
		"nil key":           {[]token.Issuer{change(func(i *token.Issuer) { i.Keys.Keys[2].Key = nil })}, "key 3"},
		"no name":           {[]token.Issuer{change(func(i *token.Issuer) { i.Name = "" })}, "name"},
		"name with a slash": {[]token.Issuer{change(func(i *token.Issuer) { i.Name = "corp/x" })}, "name"},
		"no URL":            {[]token.Issuer{change(func(i *token.Issuer) { i.Issuer = "" })}, "URL"},
		"no audience":       {[]token.Issuer{change(func(i *token.Issuer) { i.Audiences = nil })}, "audience"},
		"empty audience":    {[]token.Issuer{change(func(i *token.Issuer) { i.Audiences = []string{"a", ""} })}, "audience"},
		"negative leeway":   {[]token.Issuer{change(func(i *token.Issuer) { i.Leeway = -1 })}, "leeway"},
		"long leeway":       {[]token.Issuer{change(func(i *token.Issuer) { i.Leeway = 5*time.Minute + 1 })}, "leeway"},
		"one URL twice":     {[]token.Issuer{corp(), change(func(i *token.Issuer) { i.Name = "corp2" })}, "one URL"},
		"one name twice": {[]token.Issuer{corp(), change(func(i *token.Issuer) { i.Issuer += "/2" })},
			"two issuers named"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := token.New(c.issuers)
			if err == nil || v != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v; want an error with %q", v, err, c.want)
			}
		})
	}
}

func TestNewWithoutIssuers(t *testing.T) {
	v := newVerifier(t)
	if user, err := v.Verify(sign(corpEC, header(nil), claims(nil)), nobody, now); err == nil {
		t.Errorf("accepted %+v", user)
	}
}

// TestNewKeepsItsOwn: changing the settings afterwards changes nothing.
func TestNewKeepsItsOwn(t *testing.T) {
	settings := corp()
	v := newVerifier(t, settings)
	settings.Keys.Keys[0].Key = strangersEC.Public()
	settings.Audiences[0] = "elsewhere"
	settings.Algorithms[0] = "RS256"
	if _, err := v.Verify(sign(corpEC, header(nil), claims(nil)), nobody, now); err != nil {
		t.Error(err)
	}
}

func TestParseJWKS(t *testing.T) {
	public := func(key any, kid string) string { return string(toJSON(jose.JSONWebKey{Key: key, KeyID: kid})) }
	ec, rsaKey, ed := public(corpEC.Public(), "ec"), public(corpRSA.Public(), "rsa"), public(corpEd.Public(), "ed")
	for name, c := range map[string]struct {
		set   string
		kids  string // of the keys that remain
		fault string
	}{
		"all three":    {`{"keys":[` + ec + `,` + rsaKey + `,` + ed + `],"extra":1}`, "ec rsa ed", ""},
		"unknown type": {`{"keys":[{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"},` + ec + `]}`, "ec", ""},
		"unknown curve": {`{"keys":[{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"},` +
			`{"kty":"OKP","crv":"X25519","x":"AA"},` + ec + `]}`, "ec", ""},
		"key_ops": {`{"keys":[{"key_ops":["encrypt"],` + rsaKey[1:] + `,{"key_ops":["verify"],` + ec[1:] + `]}`,
			"ec", ""},
		"empty":              {``, "", "no JSON object"},
		"HTML":               {`<html>`, "", "no JSON object"},
		"array":              {`[` + ec + `]`, "", "no JSON object"},
		"no keys":            {`{}`, "", `no array "keys"`},
		"keys null":          {`{"keys":null}`, "", `no array "keys"`},
		"keys empty":         {`{"keys":[]}`, "", "holds no"},
		"keys twice":         {`{"keys":[],"keys":[` + ec + `]}`, "", "twice"},
		"kid twice":          {`{"keys":[{"kid":"x",` + ec[1:] + `]}`, "", "twice"},
		"trailing":           {`{"keys":[` + ec + `]}{}`, "", "follows"},
		"key is a text":      {`{"keys":["x"]}`, "", "key 1"},
		"no kty":             {`{"keys":[{"kid":"x"}]}`, "", `"kty"`},
		"symmetric":          {`{"keys":[` + ec + `,{"kty":"oct","k":"c2VjcmV0"}]}`, "", `private member "k"`},
		"symmetric and bare": {`{"keys":[{"kty":"oct"}]}`, "", "symmetric"},
		"private EC":         {`{"keys":[` + public(corpEC, "ec") + `]}`, "", `private member "d"`},
		"private RSA":        {`{"keys":[` + public(corpRSA, "rsa") + `]}`, "", "private member"},
		"private Ed25519":    {`{"keys":[` + public(corpEd, "ed") + `]}`, "", `private member "d"`},
		"private unknown":    {`{"keys":[{"kty":"AKP","priv":"AA"},` + ec + `]}`, "", `private member "priv"`},
		"short RSA":          {`{"keys":[` + public(newRSA(1024).Public(), "rsa") + `]}`, "", "1024 bits"},
		"point off curve": {`{"keys":[{"kty":"EC","crv":"P-256","x":"` + encode(make([]byte, 32)) + `","y":"` +
			encode(make([]byte, 32)) + `"}]}`, "", "curve"},
		"crv is a number":   {`{"keys":[{"kty":"EC","crv":1}]}`, "", "crv"},
		"key_ops is a text": {`{"keys":[{"key_ops":"verify",` + ec[1:] + `]}`, "", "key_ops"},
		"65 keys":           {`{"keys":[` + strings.Repeat(ec+",", 64) + ec + `]}`, "", "65 keys"},
		"over 256 KiB":      {`{"keys":[` + ec + `],"x":"` + strings.Repeat("x", 256<<10) + `"}`, "", "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := jwks.Parse([]byte(c.set))
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) || len(set.Keys) != 0 {
					t.Errorf("got %d keys and %v; want an error with %q", len(set.Keys), err, c.fault)
				}
				return
			}
			var kids []string
			for _, key := range set.Keys {
				kids = append(kids, key.KeyID)
			}
			if got := strings.Join(kids, " "); err != nil || got != c.kids {
				t.Errorf("got keys %q and %v; want %q", got, err, c.kids)
			}
		})
	}
}

// TestParsedKeysVerify goes the whole way that a JWKS file goes.
func TestParsedKeysVerify(t *testing.T) {
	key := newEC(elliptic.P384())
	set, err := jwks.Parse(toJSON(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: corpEC.Public(), KeyID: "a"},
		{Key: key.Public(), KeyID: "b"}}}))
	if err != nil {
		t.Fatal(err)
	}
	settings := corp()
	settings.Keys, settings.Algorithms = set, []string{"ES256", "ES384"}
	v := newVerifier(t, settings)
	if _, err := v.Verify(sign(corpEC, header(object{"kid": "a"}), claims(nil)), nobody, now); err != nil {
		t.Error(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES384, Key: jose.JSONWebKey{Key: key, KeyID: "b"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(toJSON(claims(nil)))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(raw, nobody, now); err != nil {
		t.Error(err)
	}
}
