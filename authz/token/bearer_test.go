package token_test

import (
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/token"
)

func TestBearer(t *testing.T) {
	const none, wrong = "<none>", "<wrong>"
	for _, c := range []struct {
		values []string
		want   string
	}{
		{nil, none},
		{[]string{""}, none},
		{[]string{"Bearer abc.def.ghi"}, "abc.def.ghi"},
		{[]string{"bEARER abc"}, "abc"},
		{[]string{"Bearer   abc"}, "abc"},
		{[]string{"Bearer abc=="}, "abc=="},
		{[]string{"Basic dXNlcjpwYXNz"}, none},
		{[]string{"DPoP abc"}, none},
		{[]string{"Bearerx abc"}, none},
		{[]string{"Bearer-abc"}, none},
		{[]string{`Digest username="a", realm="b"`}, none},
		{[]string{`Digest username="a", bearer-like="b"`}, none},
		{[]string{"Bearer"}, wrong},
		{[]string{"Bearer "}, wrong},
		{[]string{"Bearer ="}, wrong},
		{[]string{"Bearer a=b"}, wrong},
		{[]string{"Bearer\tabc"}, wrong},
		{[]string{"Bearer,abc"}, wrong},
		{[]string{"Bearer abc "}, wrong},
		{[]string{"Bearer abc def"}, wrong},
		{[]string{"Bearer abc\x00"}, wrong},
		{[]string{"Bearer abc\xff"}, wrong},
		{[]string{"Bearer abc, Bearer def"}, wrong},
		{[]string{"Bearer abc,def"}, wrong},
		{[]string{"Basic abc, Bearer def"}, wrong},
		{[]string{"Basic abc,bearer def"}, wrong},
		{[]string{" Bearer abc"}, wrong},
		{[]string{"\tBearer abc"}, wrong},
		{[]string{", Bearer abc"}, wrong},
		{[]string{"Bearer abc", "Bearer abc"}, wrong},
		{[]string{"Bearer abc", "Basic def"}, wrong},
		{[]string{"Basic abc", ""}, wrong},
	} {
		got, ok, err := token.Bearer(c.values)
		switch {
		case c.want == none && (ok || err != nil || got != ""),
			c.want == wrong && (ok || err == nil || got != ""),
			c.want != none && c.want != wrong && (!ok || err != nil || got != c.want):
			t.Errorf("Bearer(%q) = %q, %v, %v; want %s", c.values, got, ok, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "abc") {
			t.Errorf("Bearer(%q): the reason holds the token: %v", c.values, err)
		}
	}
}

// FuzzBearerIsOneCredential: whatever passes is one token68 that stands in the header as it is, behind the scheme.
func FuzzBearerIsOneCredential(f *testing.F) {
	for _, seed := range []string{"Bearer abc", "bearer  a.b.c==", "Basic x, Bearer y", " Bearer x", "Bearer"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, ok, err := token.Bearer([]string{value})
		if ok != (got != "") || ok && err != nil {
			t.Fatalf("Bearer(%q) = %q, %v, %v", value, got, ok, err)
		}
		if ok && (strings.ContainsAny(got, " ,\t\r\n\"") || !strings.HasSuffix(value, " "+got) ||
			!strings.EqualFold(value[:7], "bearer ")) {
			t.Fatalf("Bearer(%q) = %q", value, got)
		}
		if _, again, err := token.Bearer([]string{value, value}); again || err == nil {
			t.Fatalf("two headers %q passed", value)
		}
	})
}
