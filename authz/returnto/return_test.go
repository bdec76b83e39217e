package returnto

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/vectors.json")

// vector is an example for login applications in other languages.
type vector struct {
	Key    string            `json:"key"`    // as the file has it
	At     int64             `json:"at"`     // when it was signed
	Params map[string]string `json:"params"` // as they are once they are decoded, without the ticket
	Ticket string            `json:"return_ticket"`
	Query  string            `json:"query"` // what the browser brings
	Back   string            `json:"back"`  // where it is sent back to
}

const (
	keyText   = "dGllcmdhdGUgZXhhbXBsZSBrZXksIG5ldmVyIHVzZSE="
	otherText = "YW5vdGhlciBleGFtcGxlIGtleSBvZiB0aWVyZ2F0ZSEh"
)

var signedAt = time.Unix(1_795_000_000, 0)

func keyOf(t testing.TB, text string) Key {
	t.Helper()
	key, err := ParseKey([]byte(text + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func examples() []Return {
	return []Return{
		{Host: "payroll.acme.example", Route: "payroll-admin", Path: "/admin/runs?year=2026&q=a%20b", ACR: "phr phrh", MaxAge: "900"},
		{Host: "portal.acme.example", Route: "portal", Path: "/"},
		{Host: "[2001:db8::1]", Route: "portal", Path: "/x?to=https://evil.example/", MaxAge: "0"},
	}
}

// TestVectors holds what other implementations are checked against.
func TestVectors(t *testing.T) {
	t.Parallel()
	const file = "testdata/vectors.json"
	var got []vector
	for _, r := range examples() {
		if err := keyOf(t, keyText).Sign(&r, signedAt); err != nil {
			t.Fatal(err)
		}
		got = append(got, vector{Key: keyText, At: signedAt.Unix(), Params: map[string]string{ParamACR: r.ACR, ParamMaxAge: r.MaxAge,
			ParamPath: r.Path, ParamHost: r.Host, ParamRoute: r.Route}, Ticket: r.Ticket, Query: r.Query(), Back: r.URL()})
	}
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, append(text, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(text)+"\n" {
		t.Errorf("%s is not what is written now: login applications would no longer understand it\n%s", file, text)
	}
}

// TestVerifyBelievesWhatWasSigned, by either key, until it expires.
func TestVerifyBelievesWhatWasSigned(t *testing.T) {
	t.Parallel()
	key, other := keyOf(t, keyText), keyOf(t, otherText)
	for _, r := range examples() {
		if err := key.Sign(&r, signedAt); err != nil {
			t.Fatal(err)
		}
		query, err := url.ParseQuery("tenant=a&" + r.Query())
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range []struct {
			after time.Duration
			keys  []Key
			want  error
		}{
			{0, []Key{key}, nil}, {0, []Key{other, key}, nil}, {Lifetime - 1, []Key{key}, nil},
			{Lifetime, []Key{key}, ErrExpired}, {Lifetime + time.Hour, []Key{key}, ErrExpired},
			{-clockSkew, []Key{key}, nil}, {-clockSkew - time.Second, []Key{key}, ErrExpired},
			{0, []Key{other}, ErrForged}, {0, nil, ErrForged}, {0, []Key{{}}, ErrForged}, {Lifetime, []Key{other}, ErrForged},
		} {
			got, err := Verify(query, signedAt.Add(row.after), row.keys...)
			if !errors.Is(err, row.want) || row.want == nil && *got != r {
				t.Errorf("%s after %s by %d keys: %+v, %v, want %v", r.Path, row.after, len(row.keys), got, err, row.want)
			}
		}
	}
}

// TestVerifyRefusesEveryChange of a parameter, of the ticket, and of how often each is there.
func TestVerifyRefusesEveryChange(t *testing.T) {
	t.Parallel()
	key, r := keyOf(t, keyText), examples()[0]
	if err := key.Sign(&r, signedAt); err != nil {
		t.Fatal(err)
	}
	good, err := url.ParseQuery(r.Query())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(good, signedAt, key); err != nil {
		t.Fatal(err)
	}
	evil := []string{"", "//evil.example/", `/\evil.example`, "/\t/evil.example", "https://evil.example", "javascript:alert(1)", "/a\nb",
		"/a#b", "/é", "/ ", "evil.example", "evil.example:443", "EVIL.example", "a/b", "a@evil.example", "portal", "901", "-1", "1e3", "phr",
		" phr", "phr  phrh", strings.Repeat("9", 11), "/" + strings.Repeat("a", MaxPath), strings.Replace(r.Ticket, "asked", "any", 1),
		strings.Replace(r.Ticket, "v1", "v2", 1), r.Ticket + "=", r.Ticket + "\n", r.Ticket[:len(r.Ticket)-1], "v1.0" + r.Ticket[3:], "[::1",
		"v1.+1795000600" + r.Ticket[13:], strings.Repeat("x", 1025), ".acme.example", "v1.9.any"}
	tried := 0
	for _, name := range Params {
		for _, value := range evil {
			changed := url.Values{}
			for n, v := range good {
				changed[n] = v
			}
			changed.Set(name, value)
			if got, err := Verify(changed, signedAt, key); err == nil {
				t.Errorf("%s=%q was believed: %+v", name, value, got)
			}
			tried++
		}
		double := url.Values{}
		for n, v := range good {
			double[n] = v
		}
		double[name] = append([]string{good.Get(name)}, good.Get(name))
		if _, err := Verify(double, signedAt, key); err == nil {
			t.Errorf("%s twice was believed", name)
		}
	}
	last := []byte(r.Ticket)
	for i := range last {
		changed := []byte(r.Ticket)
		changed[i] ^= 1
		good.Set(ParamTicket, string(changed))
		if _, err := Verify(good, signedAt, key); err == nil {
			t.Errorf("byte %d of the ticket does not matter", i)
		}
	}
	t.Logf("%d changes, none believed", tried+len(last))
}

// TestSignRefuses what no browser may be sent with.
func TestSignRefuses(t *testing.T) {
	t.Parallel()
	key := keyOf(t, keyText)
	for name, change := range map[string]func(*Return){
		"no path": func(r *Return) { r.Path = "" }, "a host as a path": func(r *Return) { r.Path = "//evil.example" },
		"no host": func(r *Return) { r.Host = "" }, "a port": func(r *Return) { r.Host += ":8443" },
		"no route": func(r *Return) { r.Route = "" }, "a newline": func(r *Return) { r.Route = "a\nb" },
		"a quote that is none": func(r *Return) { r.ACR = "phr\x7f" }, "an age with a sign": func(r *Return) { r.MaxAge = "-1" },
	} {
		r := examples()[0]
		change(&r)
		if err := key.Sign(&r, signedAt); err == nil || r.Ticket != "" {
			t.Errorf("%s: signed as %s, %v", name, r.Ticket, err)
		}
	}
	r := examples()[0]
	if err := (Key{}).Sign(&r, signedAt); err == nil || r.Ticket != "" {
		t.Error("no key signs")
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "x", keyText[:20] + "\n" + keyText[20:], "c2hvcnQ=", strings.Repeat("QUFB", 22), keyText[:43]} {
		key, err := ParseKey([]byte(text))
		if err == nil || len(text) > 4 && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
		if key.secret != nil {
			t.Errorf("%q became a key", text)
		}
	}
	key := keyOf(t, keyText)
	if s := fmt.Sprintf("%v %+v %#v %s", key, key, key, key); strings.Contains(s, "tiergate example") || strings.Contains(s, "116") {
		t.Errorf("the secret is printed: %s", s)
	}
}
