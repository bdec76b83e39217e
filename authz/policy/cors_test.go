package policy

import (
	"fmt"
	"strings"
	"testing"
)

// TestParseOrigin: what browsers send is taken, to the byte, and nothing else.
func TestParseOrigin(t *testing.T) {
	t.Parallel()
	for text, covers := range map[string][]string{
		"https://app.example.org":         {"https://app.example.org"},
		"https://app.example.org:8443":    {"https://app.example.org:8443"},
		"https://localhost:3000":          {"https://localhost:3000"},
		"https://10.0.0.1":                {"https://10.0.0.1"},
		"https://[::1]":                   {"https://[::1]"},
		"https://[fe80::1]:8443":          {"https://[fe80::1]:8443"},
		"https://*.example.org":           {"https://a.example.org", "https://a_b-1.example.org", "https://xn--bcher-kva.example.org"},
		"https://*.pages.example.org:444": {"https://a.pages.example.org:444"},
	} {
		o, err := ParseOrigin(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		for _, origin := range covers {
			if !o.Covers(origin) {
				t.Errorf("%q does not cover %q", text, origin)
			}
		}
		for _, origin := range []string{"", "null", "*", "https://", "https://.example.org", "https://example.org", "https://a.b.example.org",
			"https://A.example.org", "https://a.example.org.", "https://a.example.org/", "https://a.example.org:443", "http://app.example.org",
			"https://app.example.org:8444", "https://app.example.orgx", "https://appxexample.org", "https://app.example.org:8443 ", text + "x",
			"https://x@app.example.org", "https://ä.example.org", "https://a\x00.example.org", "https://*.example.org",
			"https://*.pages.example.org:444"} {
			if o.Covers(origin) && origin != text {
				t.Errorf("%q covers %q", text, origin)
			}
		}
	}
	for _, text := range []string{"", "*", "null", "https://", "https://*", "https://*.org", "http://a.example", "HTTPS://a.example",
		"https://a.example/", "https://a.example?", "https://a.example:0", "https://a.example:65536", "https://a.example:443",
		"https://a.example:", "https://a.example:080", "https://u@a.example", "https://*.*.example.org", "https://a.*.example.org",
		"https://A.example", "https://a..example", "https://a.example.", "https://.example", "https://[::0]", "https://[::1", "https://::1",
		"https://[fe80::1%25eth0]", "https://[1.2.3.4]", "https://1.2.3", "https://256.1.1.1", "https://*.1.2.3", "https://a.example\n",
		"https://" + strings.Repeat("a.", 127) + "a", "wss://a.example", "https://*.[::1]", "https://*.:8443"} {
		if o, err := ParseOrigin(text); err == nil || o.Covers(text) || o.Covers("https://") {
			t.Errorf("%q is taken: %+v, %v", text, o, err)
		}
	}
}

// TestOriginsThatFit: as many as Envoy's expression takes, and no more.
func TestOriginsThatFit(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{maxOrigins: "", maxOrigins + 1: "257 origins are more than 256"} {
		c, r := &compiler{}, &Route{Meta: Meta{Name: "app"}, Methods: []string{"GET"}, CORS: &CORS{}}
		for i := range n {
			r.CORS.Origins = append(r.CORS.Origins, fmt.Sprintf("https://h%d.example.org", i))
		}
		c.cors(r)
		if got := fmt.Sprint(c.faults); (want == "") != (len(c.faults) == 0) || !strings.Contains(got, want) {
			t.Errorf("%d origins: %s", n, got)
		}
	}
}

// TestExplainTellsWhosePages: who reads an explanation learns which pages may use the route, and only of that route.
func TestExplainTellsWhosePages(t *testing.T) {
	t.Parallel()
	for _, origins := range [][]string{nil, {"https://desk.acme.example", "https://*.pages.acme.example"}} {
		in := ana()
		p := privileged(t, func(spec *Spec) {
			for i := range spec.Routes {
				r := &spec.Routes[i]
				if origins == nil {
					continue
				}
				r.CORS = &CORS{Origins: origins}
				if len(r.Methods) == 0 {
					r.CORS.Methods = []string{"GET"}
				}
			}
		})
		e := p.Explain(&in)
		if says := strings.Contains(e.Text(), "Web pages from https://desk.acme.example and https://*.pages.acme.example may use it"); says !=
			(origins != nil) || len(e.Route.Origins) != len(origins) {
			t.Errorf("%q: %q in\n%s", origins, e.Route.Origins, e.Text())
		}
	}
}
