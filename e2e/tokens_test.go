package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

type members map[string]any

// forger makes tokens by the real issuer's key and by others.
type forger struct {
	t        *testing.T
	issuer   *devca.Issuer
	stranger *devca.Issuer
}

func newForger(t *testing.T, s *stage.Stage) *forger {
	t.Helper()
	return &forger{t: t, issuer: s.Cast.Issuer, stranger: made(devca.NewIssuer(stage.IssuerURL, stage.IssuerAudience))(t)}
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (f *forger) json(o members) []byte { return made(json.Marshal(o))(f.t) }

// over puts changes over an object; nil takes a member away.
func over(o, changes members) members {
	for name, value := range changes {
		if o[name] = value; value == nil {
			delete(o, name)
		}
	}
	return o
}

func (f *forger) header(changes members) members {
	return over(members{"alg": "ES256", "kid": f.issuer.KeyID(), "typ": "at+jwt"}, changes)
}

func (f *forger) claims(changes members) members {
	now := time.Now().Unix()
	return over(members{"iss": stage.IssuerURL, "aud": stage.IssuerAudience, "sub": "ana@acme.example", "groups": []string{"staff"},
		"iat": now - 1, "nbf": now - 1, "exp": now + 3600}, changes)
}

// raw is signed by the issuer's key, whatever it is.
func (f *forger) raw(header, payload []byte) string {
	return made(f.issuer.SignRaw(header, payload))(f.t)
}

// with is a token of the issuer's with changes.
func (f *forger) with(header, claims members) string {
	return f.raw(f.json(f.header(header)), f.json(f.claims(claims)))
}

// head and body are the token with one more member, which JSON may have already.
func (f *forger) head(member string) string {
	return f.raw(withMember(f.json(f.header(nil)), member), f.json(f.claims(nil)))
}

func (f *forger) body(member string) string {
	return f.raw(f.json(f.header(nil)), withMember(f.json(f.claims(nil)), member))
}

func withMember(o []byte, member string) []byte {
	return append(o[:len(o)-1:len(o)-1], ","+member+"}"...)
}

// mac is HS256 with some secret, under the issuer's kid.
func (f *forger) mac(secret []byte) string {
	input := encode(f.json(f.header(members{"alg": "HS256"}))) + "." + encode(f.json(f.claims(nil)))
	sum := hmac.New(sha256.New, secret)
	sum.Write([]byte(input))
	return input + "." + encode(sum.Sum(nil))
}

// algorithms: none, and the issuer's public key taken for a secret, in every form in which it is published.
func (f *forger) algorithms(good string) map[string]string {
	t, key := f.t, f.issuer.Public()
	parts := strings.Split(good, ".")
	der := made(x509.MarshalPKIXPublicKey(key))(t)
	point := made(key.Bytes())(t)
	set := made(f.issuer.JWKS())(t)
	jwk := made(json.Marshal(jose.JSONWebKey{Key: key, KeyID: f.issuer.KeyID(), Algorithm: "ES256", Use: "sig"}))(t)
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	all := map[string]string{
		"HS256 by the key in DER": f.mac(der), "HS256 by the key in PEM": f.mac(block), "HS256 by the point": f.mac(point),
		"HS256 by x": f.mac(point[1:33]), "HS256 by the JWK": f.mac(jwk), "HS256 by the key set": f.mac(set),
		"HS256 by PEM without end": f.mac([]byte(strings.TrimSpace(string(block)))), "HS256 by nothing": f.mac(nil),
		"HS256 by zeros": f.mac(make([]byte, 32)), "HS256 by the kid": f.mac([]byte(f.issuer.KeyID())),
	}
	for _, alg := range []any{"none", "None", "NONE", "nOnE", "", "es256", "ES256 ", "ES256K", "ES384", "RS256", "PS256", "EdDSA", "HS256", "dir",
		"ES256\x00", nil, 5, true, []string{"ES256"}, members{"a": "ES256"}} {
		name := "alg " + string(f.json(members{"": alg}))
		header := encode(f.json(f.header(members{"alg": alg})))
		all[name] = f.with(members{"alg": alg}, nil)
		all[name+", no signature"] = header + "." + parts[1] + "."
		all[name+", another's signature"] = header + "." + parts[1] + "." + parts[2]
	}
	return all
}

// keys: a kid that is a place, a question or a command, and keys that the token brings along.
func (f *forger) keys() map[string]string {
	t := f.t
	all := map[string]string{}
	for _, kid := range []any{"../../x", "../../../../dev/null", "/dev/null", "/etc/passwd", "file:///dev/null", "https://evil.example/jwks.json",
		"http://127.0.0.1:1/", "//evil.example", "x' OR '1'='1", "' UNION SELECT 'x", "x; DROP TABLE keys", "x|/usr/bin/id", "$(id)", "{{7*7}}",
		"x\x00", "\x00", "", " ", "*", "%2e%2e%2f", strings.Repeat("k", 257), strings.Repeat("k", 8<<10), "🔑", "x\r\nX-A: b", 7, true, []string{"x"},
		members{}, strings.ToUpper(f.issuer.KeyID()), f.issuer.KeyID() + " ", f.issuer.KeyID() + "\x00", f.issuer.KeyID() + "/../x"} {
		all["kid "+brief(string(f.json(members{"": kid})))] = f.with(members{"kid": kid}, nil)
	}
	stranger := f.stranger.Public()
	jwk := jose.JSONWebKey{Key: stranger, KeyID: f.issuer.KeyID(), Algorithm: "ES256", Use: "sig"}
	der := made(made(devca.New("a stranger"))(t).Device("stranger", "x", time.Hour))(t).Certificate.Raw
	brings := map[string]members{
		"jwk": {"jwk": jwk}, "JWK": {"JWK": jwk}, "jku": {"jku": "https://evil.example/jwks"}, "Jku": {"Jku": "https://evil.example/jwks"},
		"x5u": {"x5u": "https://evil.example/x"}, "x5c": {"x5c": []string{base64.StdEncoding.EncodeToString(der)}},
		"x5t": {"x5t": "x"}, "x5t#S256": {"x5t#S256": encode(make([]byte, 32))}, "no kid": {"kid": nil},
		"jku on loopback": {"jku": "http://127.0.0.1:1/"}, "jwks": {"jwks": members{"keys": []any{jwk}}}, "key": {"key": jwk},
	}
	for name, header := range brings {
		all["a stranger's key by "+name] = made(f.stranger.SignRaw(f.json(f.header(header)), f.json(f.claims(nil))))(t)
	}
	for _, name := range []string{"jwk", "jku", "x5u"} {
		all["our own key by "+name] = f.with(brings[name], nil)
	}
	all["our own key as jwk"] = f.with(members{"jwk": jose.JSONWebKey{Key: f.issuer.Public()}}, nil)
	return all
}

// shapes: JWE, a token in a token, JSON that two readers read differently, more or fewer characters than there are.
func (f *forger) shapes(good string) map[string]string {
	t := f.t
	parts := strings.Split(good, ".")
	crypter := made(jose.NewEncrypter(jose.A128GCM, jose.Recipient{Algorithm: jose.ECDH_ES, Key: f.issuer.Public()}, nil))(t)
	jwe := made(made(crypter.Encrypt([]byte(good)))(t).CompactSerialize())(t)
	return map[string]string{
		"JWE for our own key": jwe, "five parts": good + ".a.b", "four parts": good + ".a", "JSON": `{"payload":"` + parts[1] + `"}`,
		"nested": f.raw(f.json(f.header(members{"cty": "JWT"})), []byte(good)), "nested, cty": f.with(members{"cty": "JWT"}, members{"x": good})[1:],
		"crit": f.with(members{"crit": []string{"exp"}, "exp": 1}, nil), "crit, empty": f.with(members{"crit": []string{}}, nil),
		"crit null": f.head(`"crit":null`), "Crit": f.with(members{"Crit": []string{"x"}}, nil), "b64": f.with(members{"b64": false}, nil),
		"zip": f.with(members{"zip": "DEF"}, nil), "alg twice": f.head(`"alg":"none"`), "ALG beside alg": f.head(`"ALG":"none"`),
		"kid twice": f.head(`"kid":"x"`), "typ twice": f.head(`"typ":"at+jwt"`), "sub twice": f.body(`"sub":"ben@acme.example"`),
		"sub twice, escaped": f.body(`"\u0073ub":"ben@acme.example"`), "exp twice": f.body(`"exp":4102444800`), "aud twice": f.body(`"aud":"x"`),
		"groups twice": f.body(`"groups":["executives"]`), "Sub": f.body(`"Sub":"x"`), "SUB": f.body(`"SUB":"x"`), "Exp": f.body(`"Exp":4102444800`),
		"Groups": f.body(`"Groups":["executives"]`), "ACR": f.body(`"ACR":"phr"`), "long s": f.body(`"ſub":"x"`), "not UTF-8": f.body("\"x\":\"\xff\""),
		"trailing data": f.raw(f.json(f.header(nil)), append(f.json(f.claims(nil)), "{}"...)), "deep": f.body(`"x":` + strings.Repeat("[", 5000)),
		"payload null": f.raw(f.json(f.header(nil)), []byte("null")), "payload empty": parts[0] + ".." + parts[2], "header null": f.raw([]byte("null"), nil),
		"one A more": good + "A", "two A more": good + "AA", "three A more": good + "AAA", "one = more": good + "=", "two = more": good + "==",
		"one dot more": good + ".", "a dot before": "." + good, "one less": good[:len(good)-1], "twice": good + good, "twice, dot": good + "." + good,
		"trailing bits": otherBits(good), "signature in hex": parts[0] + "." + parts[1] + ".00", "zeros": parts[0] + "." + parts[1] + "." + encode(make([]byte, 64)),
		"no signature": parts[0] + "." + parts[1] + ".", "two parts": parts[0] + "." + parts[1], "upper case": strings.ToUpper(good),
		"64 KiB": f.with(nil, members{"x": strings.Repeat("x", 34<<10)}), "20 KiB": f.with(nil, members{"x": strings.Repeat("x", 15<<10)}),
		"16 KiB of dots": strings.Repeat(".", 16<<10), "a dot": ".", "two dots": "..", "percent": strings.ReplaceAll(good, ".", "%2e"),
		"a quoted one": `"` + good + `"`, "a comma": good + ",", "a semicolon": good + "; x=y", "two of them": good + " " + good,
		"two joined": good + ",Bearer " + good, "Basic joined": good + ", Basic YTpi",
	}
}

// otherBits spells the same signature with other bits where no byte uses them.
func otherBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return token[:len(token)-1] + string(alphabet[strings.IndexByte(alphabet, token[len(token)-1])|1])
}

// statements: who speaks, for whom, of whom and when.
func (f *forger) statements() map[string]string {
	all, now := map[string]string{}, time.Now().Unix()
	for name, changes := range map[string][]any{
		"exp": {nil, now - 31, now - 3600, 0, -1, "4102444800", true, 1e300, []int{4102444800}, members{}},
		"nbf": {now + 90, now + 3600, "0", 1e300, true}, "iat": {now + 90, now + 3600, "x", true}, "auth_time": {now + 90, "x", true},
		"iss":    {nil, "", stage.IssuerURL + "/", strings.ToUpper(stage.IssuerURL), stage.IssuerURL + "\x00", []string{stage.IssuerURL}, 7, "x"},
		"aud":    {nil, "", []string{}, stage.IssuerAudience + "/", stage.IssuerAudience[:9], []any{stage.IssuerAudience, nil}, members{"a": 1}, 7},
		"sub":    {nil, "", 7, "a\r\nx-tiergate-tier: x", "ana\x00", strings.Repeat("x", 300), []string{"ana@acme.example"}},
		"cnf":    {members{"jkt": "x"}, members{"x5t#S256": encode(make([]byte, 32))}, members{}, "x", members{"kid": "x"}, members{"jwk": members{}}},
		"groups": {[]any{"staff", 1}, []any{""}, members{}, true}, "acr": {2, "a\nb"}, "amr": {members{}}, "events": {members{}},
		"_claim_names": {members{"groups": "x"}}, "hasgroups": {true},
	} {
		for _, value := range changes {
			change := members{name: value}
			if name == "_claim_names" || name == "hasgroups" {
				change["groups"] = nil
			}
			all[name+" "+brief(string(f.json(members{"": value})))] = f.with(nil, change)
		}
	}
	for _, typ := range []any{nil, "", "JWT", "at+JWTx", "logout+jwt", "secevent+jwt", "dpop+jwt", "id+jwt", 1} {
		all["typ "+string(f.json(members{"": typ}))] = f.with(members{"typ": typ}, nil)
	}
	all["a stranger's signature"] = made(f.stranger.SignRaw(f.json(f.header(nil)), f.json(f.claims(nil))))(f.t)
	return all
}

// TestTokenCorpus: no forged token opens anything through Envoy, and the good one does all the while.
func TestTokenCorpus(t *testing.T) {
	t.Parallel()
	s := theCompany(t)
	f := newForger(t, s)
	good := f.with(nil, nil)
	counts := map[int]int{}
	for _, http1 := range []bool{true, false} {
		pipe := newWire(t, s, s.Ports.Ingress, s.Cast.Pairs["ana-laptop"].TLS(), http1)
		ask := func(fields ...field) got {
			return pipe.ask(sent{method: "GET", target: "/", host: stage.PortalHost, fields: fields})
		}
		control := func(after string) {
			t.Helper()
			if a := ask(field{"authorization", "Bearer " + good}); a.Status != http.StatusOK {
				t.Fatalf("HTTP/1 %t: the good token after %s: %d %s %v", http1, after, a.Status, a.Body, a.Err)
			}
		}
		control("nothing")
		for _, all := range []map[string]string{f.algorithms(good), f.keys(), f.shapes(good), f.statements()} {
			for name, token := range all {
				a := ask(field{"authorization", "Bearer " + token})
				counts[a.Status]++
				tooLarge := len(token) > 40<<10 && (a.Status == http.StatusRequestHeaderFieldsTooLarge || a.Status == 0) // for Envoy
				if a.Status != http.StatusUnauthorized && !tooLarge {
					t.Errorf("HTTP/1 %t, %s: %d %s %v", http1, name, a.Status, a.Body, a.Err)
				}
				if a.Status == http.StatusUnauthorized && (!a.written() || a.Header.Get("Www-Authenticate") == "") {
					t.Errorf("HTTP/1 %t, %s: a 401 that tiergate did not write: %v", http1, name, a.Header)
				}
			}
			control("a corpus")
		}
		for name, fields := range oneReading(good, http1) {
			if a := ask(fields...); a.Status != http.StatusOK {
				t.Errorf("HTTP/1 %t, %s: %d %s %v", http1, name, a.Status, a.Body, a.Err)
			}
		}
		for name, fields := range schemes(good) {
			a := ask(fields...)
			counts[a.Status]++
			if a.Status == http.StatusOK || a.Status != http.StatusUnauthorized && a.Status != http.StatusBadRequest && a.Status != 0 {
				t.Errorf("HTTP/1 %t, %s: %d %s %v", http1, name, a.Status, a.Body, a.Err)
			}
			control(name)
		}
	}
	t.Logf("answers by status: %v", counts)
	if counts[http.StatusUnauthorized] < 300 {
		t.Errorf("only %d were refused with 401: the corpus tells too little", counts[http.StatusUnauthorized])
	}
}

// oneReading are odd ways to send a good token that leave one reading to all: the scheme's case means nothing (RFC 9110,
// section 11.1), and of an Authorization that is empty Envoy leaves nothing to anybody. Of a folded line it makes blanks.
func oneReading(good string, http1 bool) map[string][]field {
	bearer := field{"authorization", "Bearer " + good}
	all := map[string][]field{"bearer": {{"authorization", "bearer " + good}}, "BEARER": {{"AUTHORIZATION", "BEARER   " + good}},
		"good and empty": {bearer, {"authorization", ""}}, "empty and good": {{"authorization", ""}, bearer}}
	if http1 {
		all["folded"] = []field{{"authorization", "Bearer\r\n " + good}}
	}
	return all
}

// schemes: how a good token comes, which decides whether it came at all.
func schemes(good string) map[string][]field {
	bearer := "Bearer " + good
	return map[string][]field{
		"none": nil, "empty": {{"authorization", ""}}, "Bearer alone": {{"authorization", "Bearer"}}, "Bearer and a blank": {{"authorization", "Bearer "}},
		"no scheme": {{"authorization", good}}, "Basic": {{"authorization", "Basic " + good}}, "Token": {{"authorization", "Token " + good}},
		"Bearer twice": {{"authorization", "Bearer " + bearer}}, "Bearer, tab": {{"authorization", "Bearer\t" + good}},
		"Bearer:": {{"authorization", "Bearer: " + good}}, "Bearer=": {{"authorization", "Bearer=" + good}}, "xBearer": {{"authorization", "xBearer " + good}},
		"two of them":    {{"authorization", bearer}, {"authorization", bearer}},
		"Basic and good": {{"authorization", "Basic YTpi"}, {"authorization", bearer}},
		"good and Basic": {{"authorization", bearer}, {"authorization", "Basic YTpi"}}, "two cases": {{"authorization", bearer}, {"Authorization", bearer}},
		"good and bad": {{"authorization", bearer}, {"authorization", bearer + "A"}}, "bad and good": {{"authorization", bearer + "A"}, {"authorization", bearer}},
		"Basic+Bearer joined": {{"authorization", "Basic YTpi, " + bearer}}, "Bearer+Basic joined": {{"authorization", bearer + ", Basic YTpi"}},
		"another header": {{"x-authorization", bearer}}, "proxy": {{"proxy-authorization", bearer}}, "a cookie": {{"cookie", "authorization=" + good}},
		"forwarded": {{"x-forwarded-access-token", good}, {"x-auth-request-access-token", good}}, "underscore": {{"authorization_", bearer}},
		"a NUL": {{"authorization", bearer + "\x00"}}, "not UTF-8": {{"authorization", bearer + "\xff"}},
	}
}
