package token_test

import (
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/token"
)

// TestTheURIOfAProof: what is the same by RFC 3986, section 6.2, is the same here; what two readers may read
// differently is never.
func TestTheURIOfAProof(t *testing.T) {
	v := newDPoP(t, corp())
	raw := keyBound(clientEC)
	at := func(scheme, host, path string) token.Target {
		return token.Target{Method: "GET", Scheme: scheme, Host: host, Path: path}
	}
	app := func(path string) token.Target { return at("https", "app.acme.example", path) }
	const here = "https://app.acme.example"
	for _, c := range []struct {
		uri  string
		of   token.Target
		want string // "": the same
	}{
		{here + "/x", app("/x"), ""}, {here + "/x", app("/x?a=/../b#;"), ""}, {"HTTPS://APP.Acme.Example/x", app("/x"), ""},
		{here + "/x", at("HTTPS", "APP.acme.example", "/x"), ""}, {here + "/x", at("https", "app.acme.example.", "/x"), ""},
		{here, app("/"), ""}, {here + "/", app("/"), ""}, {here + ":443/x", app("/x"), ""}, {here + ".:443/x", app("/x"), ""},
		{here + "/x", at("https", "app.acme.example:443", "/x"), ""},
		{"http://app.acme.example:80/x", at("http", "app.acme.example", "/x"), ""},
		{here + ":8443/x", at("https", "app.acme.example:8443", "/x"), ""},
		{here + ":8443/x", app("/x"), ""}, // Envoy took the port off
		{"https://[2001:DB8::1]/x", at("https", "[2001:db8::1]", "/x"), ""},
		{"https://[::1]:8443/x", at("https", "[::1]:8443", "/x"), ""},
		{here + "/%61%7e%2D", app("/a~-"), ""}, {here + "/a", app("/%61"), ""}, {here + "/%c3%a9", app("/%C3%A9"), ""},
		{here + "/a%2Bb", app("/a%2bb"), ""}, {here + "/x/", app("/x/"), ""},
		{here + "/a:b@c,d=e&f", app("/a:b@c,d=e&f"), ""},
		// not the same
		{here + "/x", app("/y"), "request for"}, {here + "/x", app("/X"), "request for"},
		{here + "/x", app("/x/"), "request for"},
		{here + "/x/", app("/x"), "request for"}, {here + "/a+b", app("/a%2Bb"), "request for"},
		{here, app("/x"), "request for"},
		{here + "/é", app("/%C3%A9"), "request for"}, {"http://app.acme.example/x", app("/x"), "request for"},
		{"https://app.acme.example.evil.example/x", app("/x"), "request for"},
		{"https://evil.example/x", app("/x"), "request for"},
		{here + ":8443/x", at("https", "app.acme.example:443", "/x"), "request for"},
		{here + ":8443/x", at("https", "app.acme.example:9443", "/x"), "request for"},
		{here + "/x", at("https", "app.acme.example:8443", "/x"), "request for"},
		{here + ":80/x", at("https", "app.acme.example:443", "/x"), "request for"},
		// no URI
		{"", app("/x"), "no absolute URI"}, {"/x", app("/x"), "no absolute URI"},
		{"app.acme.example/x", app("/x"), "no absolute URI"},
		{"//app.acme.example/x", app("/x"), "no absolute URI"},
		{"ftp://app.acme.example/x", app("/x"), "neither https nor http"},
		{" " + here + "/x", app("/x"), "neither"}, {here + "/x ", app("/x"), "request for"},
		{"https:///x", app("/x"), "no host"},
		{"https://user@app.acme.example/x", app("/x"), "no host"},
		{"https://app.acme.example:@evil.example/x", app("/x"), "no port"},
		{here + ":/x", app("/x"), "no port"}, {here + ":0443/x", app("/x"), "no port"},
		{here + ":99999999/x", app("/x"), "no port"},
		{here + ":44a/x", app("/x"), "no port"}, {here + `\evil.example/x`, app("/x"), "no host"},
		{"https://a%2eb/x", app("/x"), "no host"},
		{"https://[::1/x", app("/x"), "no host"}, {"https://[]/x", app("/x"), "no host"},
		{"https://[::1]x/x", app("/x"), "no port"},
		{here + "/x?", app("/x"), "a query or a fragment"}, {here + "?x", app("/"), "a query or a fragment"},
		{here + "/x#", app("/x"), "a query or a fragment"}, {here + "/" + strings.Repeat("x", 8<<10), app("/x"), "bytes"},
		// paths of two readings
		{here + "/a/../x", app("/x"), "dot segment"}, {here + "/./x", app("/x"), "dot segment"},
		{here + "/%2e%2e/x", app("/x"), "dot segment"},
		{here + "//x", app("//x"), "empty segment"}, {here + "/a%2Fx", app("/a/x"), "encoded"},
		{here + "/a%5cx", app(`/a\x`), "encoded"},
		{here + "/a%00", app("/a%00"), "encoded"}, {here + "/a%", app("/a%"), "encodes nothing"},
		{here + "/a%4", app("/a%4"), "encodes nothing"},
		{here + "/a%zz", app("/a%zz"), "encodes nothing"}, {here + "/a;b", app("/a;b"), "servers read differently"},
		{here + `/a\b`, app(`/a\b`), "servers read differently"}, {here + "/a%3bb", app("/a;b"), "encoded"},
		{here + "/%ff", app("/%FF"), "not UTF-8"},
		{here + "/a%252e", app("/a%252e"), "encoded"}, {here + "/\x7f", app("/\x7f"), "servers read differently"},
		{here + "/x", app("x"), "no DPoP proof can be for this request"}, {here + "/x", app("*"), "no DPoP proof can be"},
		{here + "/x", app("/../x"), "no DPoP proof can be"}, {here + "/x", at("", "app.acme.example", "/x"), "neither https"},
		{here + "/x", at("https", "", "/x"), "no host"}, {here, app(""), ""},
	} {
		credential := byKey(raw, proof(clientEC, raw, nil, object{"htu": c.uri}))
		credential.Target = c.of
		_, err := v.Judge(credential, now)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %+v: %v, want %q", c.uri, c.of, err, c.want)
		}
	}
}
