package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
	"github.com/tiergate/tiergate/config"
)

func bearer(token string) string { return "Bearer " + token }

// TestPeopleAreKnown: who is known, by what, as whom.
func TestPeopleAreKnown(t *testing.T) {
	t.Parallel()
	r := newReception(t, nil)
	cho := r.people.person("cho@acme.example")
	byToken := approvals.Caller{Person: approvals.Person{Way: approvals.WayOIDC, Issuer: "corp", Name: "cho"}, Groups: []string{"leads"}}
	mailed := byToken
	mailed.Email = "Cho@acme.example"
	thumbprint := sha256.Sum256(cho.Certificate[0])
	bound := r.token("cho", time.Hour, map[string]any{"email": "cho@acme.example",
		"cnf": map[string]string{"x5t#S256": base64.RawURLEncoding.EncodeToString(thumbprint[:])}})
	for name, row := range map[string]struct {
		come coming
		want approvals.Caller
	}{
		"a certificate":     {coming{cert: cho}, approvals.Caller{Person: approvals.Person{Way: approvals.WayMTLS, Name: "cho@acme.example"}}},
		"a token":           {coming{token: bearer(r.token("cho", time.Hour, nil))}, byToken},
		"a token with mail": {coming{token: bearer(r.token("cho", time.Hour, map[string]any{"email": "Cho@acme.example"}))}, mailed},
		"both, of one person": {coming{cert: cho, token: bearer(r.token("cho", time.Hour, map[string]any{"email": "Cho@acme.example"}))},
			mailed},
		"both, by the name": {coming{cert: cho, token: bearer(r.token("CHO@acme.example", time.Hour, nil))}, approvals.Caller{
			Person: approvals.Person{Way: approvals.WayOIDC, Issuer: "corp", Name: "CHO@acme.example", Email: "cho@acme.example"},
			Groups: []string{"leads"}}},
		"a token that is bound to the certificate": {coming{cert: cho, token: bearer(bound)}, approvals.Caller{Person: approvals.Person{
			Way: approvals.WayOIDC, Issuer: "corp", Name: "cho", Email: "cho@acme.example"}, Groups: []string{"leads"}}},
	} {
		got := r.come(&row.come)
		if got.status != http.StatusOK || got.err != nil || !reflect.DeepEqual(got.who(t), row.want) {
			t.Errorf("%s: %d %s %v", name, got.status, got.body, got.err)
		}
	}
}

// TestPeopleAreRefused: everything else.
func TestPeopleAreRefused(t *testing.T) {
	t.Parallel()
	r := newReception(t, nil)
	good := r.token("cho", time.Hour, nil)
	foreign, err := r.elsewhere.Token("cho", nil, time.Hour, map[string]any{"auth_time": time.Now().Unix()})
	if err != nil {
		t.Fatal(err)
	}
	thumbprint := sha256.Sum256([]byte("another"))
	bound := r.token("cho", time.Hour, map[string]any{"cnf": map[string]string{"x5t#S256": base64.RawURLEncoding.EncodeToString(thumbprint[:])}})
	cho := r.people.person("cho@acme.example")
	for name, row := range map[string]struct {
		come   coming
		status int
		why    string
	}{
		"nobody":                          {coming{}, 401, "nobody says who asks"},
		"another audience":                {coming{token: bearer(r.token("cho", time.Hour, map[string]any{"aud": "apps"}))}, 401, "another audience than approvals"},
		"no audience":                     {coming{token: bearer(r.token("cho", time.Hour, map[string]any{"aud": nil}))}, 401, "no audience"},
		"an expired token":                {coming{token: bearer(r.token("cho", -time.Second, nil))}, 401, "expired at"},
		"another's key":                   {coming{token: bearer(foreign)}, 401, "the token is not believed"},
		"another issuer":                  {coming{token: bearer(r.token("cho", time.Hour, map[string]any{"iss": "https://evil.example"}))}, 401, "not one of the settings"},
		"an old login":                    {coming{token: bearer(r.token("cho", time.Hour, map[string]any{"auth_time": time.Now().Add(-61 * time.Minute).Unix()}))}, 401, "log in again"},
		"a login that nobody knows":       {coming{token: bearer(r.token("cho", time.Hour, map[string]any{"auth_time": nil}))}, 401, "does not say when"},
		"a bound token without":           {coming{token: bearer(bound)}, 401, "the token is not believed"},
		"another's bound token":           {coming{cert: cho, token: bearer(bound)}, 401, "the token is not believed"},
		"two people":                      {coming{cert: r.people.person("dee@acme.example"), token: bearer(good)}, 401, "the token of cho (corp)"},
		"a good certificate, a bad token": {coming{cert: cho, token: bearer("x")}, 401, "the token is not believed"},
		"no token's scheme":               {coming{token: "Basic Y2hvOmNobw=="}, 401, "holds no access token"},
		"two names":                       {coming{cert: r.people.person("cho@acme.example", "dee@acme.example")}, 401, "2 e-mail names"},
		"no name":                         {coming{cert: r.people.person()}, 401, "0 e-mail names"},
		"a workload":                      {coming{cert: r.people.person("spiffe://acme.example/cho", "cho@acme.example")}, 401, "no URI"},
		"a browser":                       {coming{cert: cho, header: map[string]string{"Origin": "https://evil.example"}}, 403, "a browser"},
		"a browser, same origin":          {coming{cert: cho, header: map[string]string{"Sec-Fetch-Site": "same-origin"}}, 403, "a browser"},
		"a cookie":                        {coming{cert: cho, header: map[string]string{"Cookie": "a=b"}}, 403, "a browser"},
		"a form": {coming{cert: cho, method: "POST", body: "a=b", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}},
			415, "application/json"},
		"text":             {coming{cert: cho, method: "POST", body: "{}", header: map[string]string{"Content-Type": "text/plain"}}, 415, "application/json"},
		"no type":          {coming{cert: cho, method: "POST", body: "{}"}, 415, "application/json"},
		"another method":   {coming{cert: cho, method: "DELETE"}, 405, "only GET and POST"},
		"a browser's look": {coming{cert: cho, method: "OPTIONS"}, 405, "only GET and POST"},
	} {
		got := r.come(&row.come)
		var problem struct {
			Type, Title, Detail, Error string
			Status                     int
		}
		err := json.Unmarshal(got.body, &problem)
		challenge := got.header.Get("WWW-Authenticate")
		if got.status != row.status || got.err != nil || err != nil || !strings.Contains(problem.Detail, row.why) ||
			problem.Status != row.status || problem.Error != problem.Detail || got.header.Get("Content-Type") != "application/problem+json" ||
			(row.status == 401) != strings.HasPrefix(challenge, `Bearer realm=`) ||
			strings.Contains(challenge, "invalid_token") != (row.status == 401 && row.come.token != "") {
			t.Errorf("%s: %d %q %s %v", name, got.status, challenge, got.body, got.err)
		}
		if strings.Contains(string(got.body), good) {
			t.Errorf("%s: the answer holds a token", name)
		}
	}
	ok := r.come(&coming{cert: cho, method: "POST", body: "{}", header: map[string]string{"Content-Type": "application/json; charset=utf-8"}})
	big := r.come(&coming{cert: cho, method: "POST", body: strings.Repeat(" ", maxOrder+1), header: map[string]string{"Content-Type": "application/json"}})
	if ok.status != 200 || big.status == 200 {
		t.Errorf("a good body: %d %s; one that is too large: %d", ok.status, ok.body, big.status)
	}
}

// TestHandshakesThatFail: who is refused before a request is read.
func TestHandshakesThatFail(t *testing.T) {
	t.Parallel()
	r := newReception(t, nil)
	late := r.people.issue(x509.Certificate{EmailAddresses: []string{"cho@acme.example"}, NotBefore: time.Now().Add(-2 * time.Hour),
		NotAfter: time.Now().Add(-time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	server := r.people.issue(x509.Certificate{EmailAddresses: []string{"cho@acme.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	for name, c := range map[string]coming{
		"a certificate of another CA": {cert: r.another.person("cho@acme.example")},
		"one that ended":              {cert: &late},
		"a server's":                  {cert: &server},
		"TLS 1.2":                     {token: bearer(r.token("cho", time.Hour, nil)), tls12: true},
	} {
		if got := r.come(&c); got.err == nil {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// TestPeopleBySPIFFE: where the settings say that a SPIFFE ID names people.
func TestPeopleBySPIFFE(t *testing.T) {
	t.Parallel()
	r := newReception(t, func(a *config.Approvals) { a.Certificates = config.CertificatesBySPIFFE })
	const id = "spiffe://acme.example/cho"
	for name, row := range map[string]struct {
		cert   *tls.Certificate
		person approvals.Person
	}{
		"an ID":          {r.people.person(id), approvals.Person{Way: approvals.WayMTLS, Name: id}},
		"an ID and mail": {r.people.person(id, "cho@acme.example"), approvals.Person{Way: approvals.WayMTLS, Name: id, Email: "cho@acme.example"}},
		"mail alone":     {r.people.person("cho@acme.example"), approvals.Person{}},
		"two IDs":        {r.people.person(id, "spiffe://acme.example/dee"), approvals.Person{}},
		"another URI":    {r.people.person("https://acme.example/cho"), approvals.Person{}},
		"odd mail":       {r.people.person(id, "cho@acme.example,dee@acme.example"), approvals.Person{}},
	} {
		got := r.come(&coming{cert: row.cert})
		if known := row.person.Name != ""; known != (got.status == 200) || known && got.who(t).Person != row.person {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// TestPeopleByCertificateAlone: without issuers no token counts, and there is nothing to ask for.
func TestPeopleByCertificateAlone(t *testing.T) {
	t.Parallel()
	r := newReception(t, func(a *config.Approvals) { a.Issuers, a.Audiences = nil, nil })
	got := r.come(&coming{token: bearer(r.token("cho", time.Hour, nil))})
	if got.status != 403 || got.header.Get("WWW-Authenticate") != "" || !strings.Contains(string(got.body), "names no issuers") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestProofsOfPeopleCountOnce: a token that is bound to a key needs a proof for each request.
func TestProofsOfPeopleCountOnce(t *testing.T) {
	t.Parallel()
	r := newReception(t, nil)
	key, err := oidc.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	token := r.token("cho", time.Hour, map[string]any{"cnf": map[string]string{"jkt": key.Thumbprint()}})
	prove := func(method, address string) map[string]string {
		proof, err := key.Proof(method, address, token)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"DPoP": proof}
	}
	mine := prove("GET", r.base+"/who")
	for i, row := range []struct {
		header map[string]string
		scheme string
		status int
	}{
		{nil, "DPoP ", 401}, {prove("POST", r.base+"/who"), "DPoP ", 401}, {prove("GET", r.base+"/else"), "DPoP ", 401},
		{prove("GET", "https://localhost/who"), "DPoP ", 401}, {mine, "Bearer ", 401}, {mine, "DPoP ", 200}, {mine, "DPoP ", 401},
		{prove("GET", r.base+"/who"), "DPoP ", 200},
	} {
		if got := r.come(&coming{token: row.scheme + token, header: row.header}); got.status != row.status {
			t.Errorf("%d: %d %s", i, got.status, got.body)
		}
	}
	_ = r.store.Close()
	if got := r.come(&coming{token: "DPoP " + token, header: prove("GET", r.base+"/who")}); got.status != 401 ||
		!strings.Contains(string(got.body), "cannot be found out") {
		t.Errorf("without a store: %d %s", got.status, got.body)
	}
}

// TestPeopleAreBounded: more requests of one address than its rate are refused, before anything is verified, and pass again
// a second later; others are not touched.
func TestPeopleAreBounded(t *testing.T) {
	t.Parallel()
	still := time.Now()
	r := newReceptionAt(t, func() time.Time { return still }, func(a *config.Approvals) { a.Rate = 1 })
	statuses := ""
	for range 5 {
		got := r.come(&coming{cert: r.people.person("cho@acme.example")})
		statuses += fmt.Sprint(got.status, got.header.Get("Retry-After"), " ")
	}
	if statuses != "200 200 200 4291 4291 " && statuses != "200  200  200  4291  4291  " {
		t.Errorf("%q", statuses)
	}
	now := time.Now()
	rates := newRates(1, func() time.Time { return now })
	spend := func(from string) (n int) {
		for rates.take(from) {
			n++
		}
		return n
	}
	if a, b, c, d := spend("192.0.2.1:1"), spend("192.0.2.1:2"), spend("192.0.2.2:1"), spend("[::ffff:192.0.2.3]:1"); a != 3 || b != 0 || c != 3 || d != 3 {
		t.Errorf("%d %d %d %d", a, b, c, d)
	}
	if a, b := spend("[2001:db8::1]:1"), spend("[2001:db8::ffff]:1"); a != 3 || b != 0 {
		t.Errorf("one /64: %d %d", a, b)
	}
	for i := range maxRates {
		rates.take(fmt.Sprintf("10.%d.%d.1:1", i/256, i%256))
	}
	if n := spend("198.51.100.1:1"); n != 0 || len(rates.all) > maxRates {
		t.Errorf("one more than fits: %d, %d", n, len(rates.all))
	}
	now = now.Add(time.Second)
	if n := spend("192.0.2.1:1"); n != 1 {
		t.Errorf("after a second: %d", n)
	}
	now = now.Add(3 * time.Second)
	if n := spend("198.51.100.1:1"); n != 3 || len(rates.all) > 2 {
		t.Errorf("after all is forgotten: %d, %d", n, len(rates.all))
	}
}

// TestPeoplesAuthorityIsReplaced: a CA that is taken out lets nobody in any more, the new one does, and a key set is followed.
func TestPeoplesAuthorityIsReplaced(t *testing.T) {
	t.Parallel()
	r := newReception(t, nil)
	before, after := &coming{cert: r.people.person("cho@acme.example")}, &coming{cert: r.another.person("cho@acme.example")}
	if got := r.come(before); got.status != 200 {
		t.Fatalf("%d %v", got.status, got.err)
	}
	r.write("people.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	r.files.look(t.Context())
	if got := r.come(before); got.status != 200 {
		t.Errorf("a broken bundle: %d %v", got.status, got.err)
	}
	r.write("people.pem", r.another.pem())
	if err := r.elsewhere.WriteJWKS(r.dir + "/jwks.json"); err != nil {
		t.Fatal(err)
	}
	old := bearer(r.token("cho", time.Hour, nil))
	r.files.look(t.Context())
	if got := r.come(before); got.err == nil {
		t.Errorf("the CA before: %d %s", got.status, got.body)
	}
	if got := r.come(after); got.status != 200 {
		t.Errorf("the CA now: %d %s %v", got.status, got.body, got.err)
	}
	if got := r.come(&coming{token: old}); got.status != 401 {
		t.Errorf("a token of the key before: %d", got.status)
	}
}
