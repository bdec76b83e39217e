package returnto

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestMarked(t *testing.T) {
	t.Parallel()
	all := examples()
	for i := range all {
		if err := keyOf(t, otherText).Sign(&all[i], signedAt); err != nil { // any key's will do
			t.Fatal(err)
		}
	}
	asked, anyLogin := Mark+"="+all[0].Ticket, Mark+"="+all[1].Ticket
	for _, row := range []struct {
		path  string
		after time.Duration
		want  Returned
	}{
		{"/", 0, NotReturned}, {"/" + asked, 0, NotReturned}, {"/?" + asked, 0, ReturnedFromAsked}, {"/?" + anyLogin, 0, ReturnedFromAny},
		{"/?a=1&" + asked + "&b", 0, ReturnedFromAsked}, {"/?a" + asked, 0, NotReturned}, {"/?" + Mark + "=", 0, NotReturned},
		{"/?" + Mark, 0, NotReturned}, {"/?" + asked, Lifetime - 1, ReturnedFromAsked}, {"/?" + asked, Lifetime, NotReturned},
		{"/?" + asked + "&" + anyLogin, 0, ReturnedFromAsked}, {"/?" + anyLogin + "&" + asked, 0, ReturnedFromAsked},
		{"/?" + asked, -time.Hour, NotReturned}, // no ticket of ours ends so late: one that says so would never end
		{"/?" + strings.Repeat(Mark+"=x&", 5), 0, ReturnedFromAsked},
	} {
		if got := Marked(row.path, signedAt.Add(row.after)); got != row.want {
			t.Errorf("%s after %s: %d, want %d", row.path, row.after, got, row.want)
		}
	}
}

func TestUnmarked(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", MaxPath)
	for target, want := range map[string]string{
		"/a": "/a", "/a?b=c&d": "/a?b=c&d", "/a?" + Mark + "=x": "/a", "/a?b&" + Mark + "=x&c&" + Mark: "/a?b&c", "/a?": "/a?",
		"/a?b=\\\x00é\"#": "/a?b=%5C%00%C3%A9\"%23", "/a?" + long: "/a", "/" + long: "", "//a": "", `/\a`: "", "a": "", "": "", "*": "",
		"/a?x" + Mark + "=1": "/a?x" + Mark + "=1", "/a?b??c": "/a?b??c",
	} {
		if got := Unmarked(target); got != want {
			t.Errorf("%.80q: %q, want %q", target, got, want)
		}
	}
}

// FuzzReturnsToTheSameOrigin: whatever is asked for, what is signed and what is believed leads to a path of that very host.
func FuzzReturnsToTheSameOrigin(f *testing.F) {
	for _, seed := range []string{"/", "//evil.example", `/\evil.example/a`, "/a?b=c", "/?x=//evil", "/%2e%2e//x", "/\t/evil.example", "/a#b",
		"/;@evil.example", "/@evil.example:1?a#b", "/a?" + Mark + "=v1.1.any.x", "/.//evil.example", "/a?\x80\xff"} {
		f.Add(seed, "phr", "900")
	}
	key, err := ParseKey([]byte(keyText))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, target, acr, age string) {
		r := Return{Host: "app.acme.example", Route: "app", Path: Unmarked(target), ACR: acr, MaxAge: age}
		if key.Sign(&r, signedAt) != nil {
			return
		}
		query, err := url.ParseQuery(r.Query())
		if err != nil {
			t.Fatal(err)
		}
		got, err := Verify(query, signedAt, key)
		if err != nil || *got != r {
			t.Fatalf("what was signed is not believed: %+v, %v", r, err)
		}
		back, err := url.Parse(got.URL())
		if err != nil || back.Scheme != "https" || back.Host != "app.acme.example" || back.User != nil || back.Fragment != "" {
			t.Fatalf("%q leads to %q", target, got.URL())
		}
		// As the URL standard reads it: tabs and newlines are not there, a backslash is a slash.
		if strings.ContainsAny(got.Path, "\t\r\n\\") || strings.HasPrefix(got.Path, "//") || len(got.Path) > MaxPath {
			t.Fatalf("%q comes back as %q", target, got.Path)
		}
		asked := strings.TrimPrefix(got.URL(), "https://app.acme.example")
		kind := ReturnedFromAny
		if acr+age != "" {
			kind = ReturnedFromAsked
		}
		if came := Marked(asked, signedAt); came != kind {
			t.Fatalf("%q is not known again: %d", got.URL(), came)
		}
		if again := Unmarked(asked); again != r.Path {
			t.Fatalf("%q becomes %q the second time", r.Path, again)
		}
	})
}
