package token_test

import (
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/token"
)

func TestFromHeader(t *testing.T) {
	const none, wrong = "<none>", "<wrong>"
	both := func(values ...string) [][]string { // as it stands, and with the schemes exchanged
		swapped := make([]string, len(values))
		for i, value := range values {
			swapped[i] = strings.NewReplacer("Bearer", "DPoP", "bEARER", "dpOp", "bearer", "dpop", "DPoP",
				"Bearer").Replace(value)
		}
		return [][]string{values, swapped}
	}
	for _, c := range []struct {
		values [][]string
		want   string
	}{
		{[][]string{nil, {""}}, none},
		{both("Bearer abc.def.ghi"), "abc.def.ghi"},
		{both("bEARER abc"), "abc"},
		{both("Bearer   abc"), "abc"},
		{both("Bearer abc=="), "abc=="},
		{both("Basic dXNlcjpwYXNz"), none},
		{both("Bearerx abc"), none},
		{both("Bearer-abc"), none},
		{both(`Digest username="a", realm="b"`), none},
		{both(`Digest username="a", bearer-like="b"`), none},
		{both("Bearer"), wrong},
		{both("Bearer "), wrong},
		{both("Bearer ="), wrong},
		{both("Bearer a=b"), wrong},
		{both("Bearer\tabc"), wrong},
		{both("Bearer,abc"), wrong},
		{both("Bearer abc "), wrong},
		{both("Bearer abc def"), wrong},
		{both("Bearer abc\x00"), wrong},
		{both("Bearer abc\xff"), wrong},
		{both("Bearer abc, Bearer def"), wrong},
		{both("Bearer abc, DPoP def"), wrong},
		{both("Bearer abc DPoP def"), wrong},
		{both("Bearer DPoP abc"), wrong},
		{both("Bearer abc,def"), wrong},
		{both("Basic abc, Bearer def"), wrong},
		{both("Basic abc,bearer def"), wrong},
		{both(" Bearer abc"), wrong},
		{both("\tBearer abc"), wrong},
		{both(", Bearer abc"), wrong},
		{both("Bearer abc", "Bearer abc"), wrong},
		{both("Bearer abc", "DPoP abc"), wrong},
		{both("Bearer abc", "Basic def"), wrong},
		{both("Basic abc", ""), wrong},
	} {
		for _, values := range c.values {
			scheme, got, ok, err := token.FromHeader(values)
			switch {
			case c.want == none && (ok || err != nil || got != "" || scheme != ""),
				c.want == wrong && (ok || err == nil),
				c.want != none && c.want != wrong && (!ok || err != nil || got != c.want):
				t.Errorf("FromHeader(%q) = %q, %q, %v, %v; want %s", values, scheme, got, ok, err, c.want)
			case ok && !strings.EqualFold(string(scheme), strings.Fields(values[0])[0]):
				t.Errorf("FromHeader(%q): sent as %s", values, scheme)
			}
			if err != nil && strings.Contains(err.Error(), "abc") {
				t.Errorf("FromHeader(%q): the reason holds the token: %v", values, err)
			}
		}
	}
}

// FuzzFromHeaderIsOneCredential: whatever passes is one token68 that stands in the header as it is, behind the scheme.
func FuzzFromHeaderIsOneCredential(f *testing.F) {
	for _, seed := range []string{"Bearer abc", "bearer  a.b.c==", "Basic x, Bearer y", " Bearer x", "Bearer", "DPoP abc",
		"dpop a, Bearer b", "Basic x, DPoP y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		scheme, got, ok, err := token.FromHeader([]string{value})
		if ok && (err != nil || got == "") {
			t.Fatalf("FromHeader(%q) = %q, %q, %v, %v", value, scheme, got, ok, err)
		}
		if ok && (strings.ContainsAny(got, " ,\t\r\n\"") || !strings.HasSuffix(value, " "+got) ||
			scheme != token.SchemeBearer && scheme != token.SchemeDPoP ||
			!strings.EqualFold(value[:len(scheme)+1], string(scheme)+" ")) {
			t.Fatalf("FromHeader(%q) = %q, %q", value, scheme, got)
		}
		if _, _, again, err := token.FromHeader([]string{value, value}); again || err == nil {
			t.Fatalf("two headers %q passed", value)
		}
	})
}
