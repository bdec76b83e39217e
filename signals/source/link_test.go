package source_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
)

func TestGetPage(t *testing.T) {
	var links []string
	base := api(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, link := range links {
			w.Header().Add("Link", link)
		}
		fmt.Fprint(w, `[]`)
	})
	c := client(t, base, nil)
	for _, tt := range []struct {
		links []string
		next  string // "error": nobody knows
	}{
		{},
		{links: []string{`<https://acme.example/a>; rel="self"`}},
		{links: []string{`<https://acme.example/a?limit=2>; rel="self"`, `<https://acme.example/a?after=x&limit=2>; rel="next"`},
			next: "https://acme.example/a?after=x&limit=2"},
		{links: []string{`<https://acme.example/a,b;c>; title="a \"> , ; b" ; REL = "prev NEXT", <https://acme.example/z>;rel=last`},
			next: "https://acme.example/a,b;c"},
		{links: []string{`<?after=y>;rel=next`}, next: base + "/devices?after=y"},
		{links: []string{`<//evil.example/a>; rel=next`}, next: "http://evil.example/a"},
		{links: []string{`</a>; rel=next; anchor="#other"`}},
		{links: []string{`</a>; rel=prev; rel=next`}},
		{links: []string{`, ,`, `</a>;;rel=next;`, `</a>; rel="next"`}, next: base + "/a"},
		{links: []string{`</a>; rel=next, </b>; rel=next`}, next: "error"},
		{links: []string{`<>; rel=next`}, next: "error"},
		{links: []string{`</a; rel=next`}, next: "error"},
		{links: []string{`/a; rel=next`}, next: "error"},
		{links: []string{`</a> rel=next`}, next: "error"},
		{links: []string{`</a>; rel="next`}, next: "error"},
		{links: []string{`</a>; rel="self"next`}, next: "error"},
		{links: []string{`<http://[::1>; rel=next`}, next: "error"},
	} {
		links = tt.links
		body, next, linked, err := c.GetPage(t.Context(), "/devices", nil)
		if tt.next == "error" {
			if err == nil || body != nil || errors.Is(err, source.ErrGone) {
				t.Errorf("%q: %s, next %q, %v", tt.links, body, next, err)
			}
			continue
		}
		if err != nil || string(body) != "[]" || next != tt.next || linked != (len(tt.links) > 0) {
			t.Errorf("%q: %s, next %q, linked %v, %v", tt.links, body, next, linked, err)
		}
	}
}

// FuzzLinkEndsNoList: whatever stands behind a whole next link in a header of its own, the link is found or the answer refused.
func FuzzLinkEndsNoList(f *testing.F) {
	f.Add(`<https://acme.example/a>; rel="self"`, `; rel="next"`)
	f.Add(`<a>; x="\"`, `;;rel=next;a=",<b>;rel=next"`)
	f.Fuzz(func(t *testing.T, before, after string) {
		if strings.ContainsAny(before+after, "\r\n\x00") {
			return
		}
		for _, values := range [][]string{{before, `</a>; rel=next`}, {`</a>; rel=next`, before}, {`</a>; rel=next,` + after}} {
			if next, err := source.NextLink(values); err == nil && next != "/a" {
				t.Fatalf("%q: %q", values, next)
			}
		}
	})
}

// Okta says in a header of its own when its limit begins anew, and on every answer: only of 429 does it say when to come again.
func TestRateLimitReset(t *testing.T) {
	for _, tt := range []struct {
		status      int
		in          time.Duration
		least, most time.Duration
	}{
		{http.StatusTooManyRequests, 30 * time.Second, 10 * time.Second, 30 * time.Second},
		{http.StatusTooManyRequests, -time.Minute, time.Second, time.Second},
		{http.StatusTooManyRequests, 2 * time.Hour, time.Second, time.Second},
		{http.StatusServiceUnavailable, 30 * time.Second, time.Second, time.Second},
	} {
		c := client(t, api(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Rate-Limit-Reset", strconv.FormatInt(time.Now().Add(tt.in).Unix(), 10))
			w.WriteHeader(tt.status)
		}), nil)
		_, err := get(t, c)
		if busy, ok := errors.AsType[*source.Busy](err); !ok || busy.After < tt.least || busy.After > tt.most {
			t.Errorf("%d, in %s: %v", tt.status, tt.in, err)
		}
	}
}
