package identity

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// printForwarded writes elements as a proxy that quotes what needs it.
func printForwarded(elements []forwardedElement) string {
	var written []string
	for _, element := range elements {
		var pairs []string
		for _, p := range element {
			value := p.value
			if strings.ContainsAny(value, `,;="\`) {
				value = `"` + strings.ReplaceAll(value, `"`, `\"`) + `"`
			}
			pairs = append(pairs, p.key+"="+value)
		}
		written = append(written, strings.Join(pairs, ";"))
	}
	return strings.Join(written, ",")
}

// splitForwarded is the reader that everybody writes first. It is right where there are no quotes.
func splitForwarded(values []string) []forwardedElement {
	var elements []forwardedElement
	for _, value := range values {
		for text := range strings.SplitSeq(value, ",") {
			var element forwardedElement
			for pair := range strings.SplitSeq(text, ";") {
				key, value, _ := strings.Cut(pair, "=")
				element = append(element, forwardedPair{canonicalKey(key), value})
			}
			elements = append(elements, element)
		}
	}
	return elements
}

var forwardedSeeds = []string{
	"", "=", ",", ";", `"`, `\`, "By", "By=", "By=,", "By=;", ",By=x", "By=x,,By=y", "By=x;;URI=y", "by=x;uRi=y;dns=z",
	`By=http://frontend.lyft.com;Hash=468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688;` +
		`Subject="/C=US/ST=CA/L=San Francisco/OU=Lyft/CN=Test Client";URI=http://testclient.lyft.com`,
	`By=spiffe://a/b;Hash=00;Cert="-----BEGIN%20CERTIFICATE-----%0A";Subject="CN=\"x\\,y\";z";URI=;DNS=a;DNS=b,By=x`,
	`Subject="a;b,c=d"`, `Subject="a\"`, `Subject="a\\"`, `Subject="a\\\""`, `Subject="a"b`, `Subject="a" ;By=x`,
	"By=a\x00b",
	`Subject="\C3\84,URI=x"`, `Subject=a"b"`, `By=a\,b`, "Hash=1;Hash=2", "URI=a=b=c", " By=x", "By=x, URI=y", "By=\xff",
}

// FuzzForwarded: no bytes panic; what is read and written again is read alike; where nothing is quoted, splitting finds the
// same, so that a value reaches over a separator only within quotes.
func FuzzForwarded(f *testing.F) {
	for _, seed := range forwardedSeeds {
		f.Add(seed, "By=x")
		f.Add("URI=y", seed)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		values := []string{first, second}
		elements, err := parseForwarded(values)
		alone, aloneErr := parseForwarded(values[:1])
		if err == nil && (aloneErr != nil || !reflect.DeepEqual(elements[:len(alone)], alone)) {
			t.Fatalf("%q reads otherwise before %q", first, second)
		}
		if err != nil {
			return
		}
		written := printForwarded(elements)
		if again, err := parseForwarded([]string{written}); err != nil || !reflect.DeepEqual(again, elements) {
			t.Fatalf("%q is %q, written %q, and that is %q, %v", values, elements, written, again, err)
		}
		if !strings.Contains(first+second, `"`) && !reflect.DeepEqual(elements, splitForwarded(values)) {
			t.Fatalf("%q is %q, and there is no quote", values, elements)
		}
		quotes := strings.Count(first+second, `"`)
		for _, element := range elements {
			for _, p := range element {
				if strings.ContainsAny(p.value, `,;"\`) && quotes < 2 {
					t.Fatalf("%q has %q without quotes", values, p)
				}
				if strings.ContainsFunc(p.key+p.value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
					t.Fatalf("%q holds a control byte", p)
				}
			}
		}
	})
}

func TestForwardedReads(t *testing.T) {
	for text, want := range map[string][]forwardedElement{
		"By=a":                    {{{"By", "a"}}},
		"bY=a;hASH=b;URI=":        {{{"By", "a"}, {"Hash", "b"}, {"URI", ""}}},
		"By=a,By=b;By=c":          {{{"By", "a"}}, {{"By", "b"}, {"By", "c"}}},
		`Subject=""`:              {{{"Subject", ""}}},
		`Subject="a;b,c=d"`:       {{{"Subject", "a;b,c=d"}}},
		`Subject="CN=\"a\""`:      {{{"Subject", `CN="a"`}}},
		`Subject="CN=a\\b"`:       {{{"Subject", `CN=a\\b`}}},
		`Subject="CN=a\,b";URI=x`: {{{"Subject", `CN=a\,b`}, {"URI", "x"}}},
		`Subject="a\"",By=b`:      {{{"Subject", `a"`}}, {{"By", "b"}}},
		`Subject="a\\\"b"`:        {{{"Subject", `a\\"b`}}},
		`URI="x";URI=y?a=b`:       {{{"URI", "x"}, {"URI", "y?a=b"}}},
		"Issuer=x;URI=y":          {{{"Issuer", "x"}, {"URI", "y"}}},
		"Cert=a%20b+c/d==":        {{{"Cert", "a%20b+c/d=="}}},
	} {
		if got, err := parseForwarded([]string{text}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	if got, err := parseForwarded([]string{"By=a", "By=b,By=c"}); err != nil || len(got) != 3 {
		t.Errorf("two values: %q, %v", got, err)
	}
	if got, err := parseForwarded([]string{strings.Repeat("By=x,", maxForwardedElements-1) + "By=x"}); err != nil ||
		len(got) != maxForwardedElements {
		t.Errorf("%d elements: %d, %v", maxForwardedElements, len(got), err)
	}
	if _, err := parseForwarded([]string{"By=" + strings.Repeat("x", maxForwardedBytes-3)}); err != nil {
		t.Errorf("%d bytes: %v", maxForwardedBytes, err)
	}
}

func TestForwardedRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "no key=value",
		"By":                  "no key=value",
		"=x":                  "no key=value",
		",By=x":               "element 1: something that is no key=value",
		"By=x,":               "element 2: something that is no key=value",
		"By=x;":               "no key=value",
		"By=x,,By=y":          "no key=value",
		"By=x;;URI=y":         "no key=value",
		" By=x":               "no key=value",
		"By=x, URI=y":         "no key=value",
		"By =x":               "no key=value",
		"B\"y\"=x":            "no key=value",
		`"By"=x`:              "no key=value",
		"By\x00=x":            "no key=value",
		`Subject="x`:          "never closed",
		`Subject="`:           "never closed",
		`Subject="x\"`:        "never closed",
		`Subject="x\`:         "never closed",
		`Subject="x\\"`:       "before the closing quote",
		`Subject="\\";URI=y`:  "before the closing quote",
		`Subject="x"y`:        "follows the closing quote",
		`Subject="x" ;URI=y`:  "follows the closing quote",
		`Subject="x""y"`:      "follows the closing quote",
		`Subject=x"y"`:        "outside of quotes",
		`URI=x\;By=y`:         "outside of quotes",
		`URI=x\`:              "outside of quotes",
		"URI=a\x00b":          "control byte",
		"URI=a\tb":            "control byte",
		"URI=a\x7f":           "control byte",
		"URI=\"a\nb\"":        "control byte",
		"URI=\"a\\\nb\"":      "control byte",
		"Hash=1;URI=x;hash=1": "Hash stands twice",
		"Cert=1;CERT=1":       "Cert stands twice",
		"Subject=1;Subject=1": "Subject stands twice",
		"Chain=1;Chain=1":     "Chain stands twice",
		strings.Repeat("By=x,", maxForwardedElements) + "By=x": "more than 32 elements",
		"By=" + strings.Repeat("x", maxForwardedBytes-2):       "65537 bytes",
	} {
		if got, err := parseForwarded([]string{text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %q, %v; want an error with %q", text, got, err, want)
		}
	}
	// A quote does not reach into the next occurrence of the header, and neither does the limit begin anew there.
	for _, values := range [][]string{{`Subject="x`, `y";URI=z`}, {"By=x", ""}, {"", "By=x"},
		slices.Repeat([]string{"By=x"}, maxForwardedElements+1), slices.Repeat([]string{"By=" + strings.Repeat("x", 4093)},
			17)} {
		if got, err := parseForwarded(values); err == nil {
			t.Errorf("%.80q: %d elements", values, len(got))
		}
	}
}
