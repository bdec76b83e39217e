package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxCORSAge is what the most patient browser takes; one that is promised more forgets no sooner that a page may.
const maxCORSAge = 24 * time.Hour

// maxOrigins is how many fit into one expression of Envoy's at their longest (re2.max_program_size in the bootstrap).
const maxOrigins = 256

// cors wants pages that are named, and answers to them that browsers take as they are meant.
func (c *compiler) cors(r *Route) {
	if r.CORS == nil {
		return
	}
	fault := func(field, message, help string) { c.fault(KindRoute, r.Meta.Name, "spec.cors."+field, message, help) }
	c.corsOrigins(r.CORS, fault)
	corsMethods(r, fault)
	corsHeaders("headers", r.CORS.Headers, fault)
	corsHeaders("exposeHeaders", r.CORS.ExposeHeaders, fault)
	if r.CORS.MaxAge > maxCORSAge {
		fault("maxAge", fmt.Sprintf("no browser remembers for %v", r.CORS.MaxAge), "24h is the most that any takes")
	} else if r.CORS.MaxAge%time.Second != 0 {
		fault("maxAge", fmt.Sprintf("%v is told to browsers in whole seconds", r.CORS.MaxAge), "maxAge: 10m")
	}
}

func (c *compiler) corsOrigins(cors *CORS, fault func(field, message, help string)) {
	if len(cors.Origins) == 0 {
		fault("origins", "no page is named", "origins: [https://app.example.org]")
	}
	if len(cors.Origins) > maxOrigins {
		fault("origins", fmt.Sprintf("%d origins are more than %d", len(cors.Origins), maxOrigins),
			"serve pages that belong together below one suffix: https://*.pages.example.org")
		return
	}
	var before []Origin
	for i, text := range cors.Origins {
		field := fmt.Sprintf("origins[%d]", i)
		o, err := ParseOrigin(text)
		if err != nil {
			fault(field, err.Error(), originHelp)
			continue
		}
		covers := func(other Origin) bool { return o == other || other.Covers(o.Exact()) || o.Covers(other.Exact()) }
		if at := slices.IndexFunc(before, covers); at >= 0 {
			fault(field, fmt.Sprintf("%q is listed twice, or is covered by another entry or covers it", text), "remove one")
		}
		before = append(before, o)
	}
}

// corsMethods: a page cannot use what the route does not take, and three methods not at all (Fetch standard, "forbidden
// method").
func corsMethods(r *Route, fault func(field, message, help string)) {
	allowed := CORSMethods(r)
	if len(r.CORS.Methods) == 0 && len(r.Methods) == 0 {
		fault("methods", "the route takes every method, and browsers have to be told which", "methods: [GET, POST]")
	}
	for i, m := range allowed {
		field := fmt.Sprintf("methods[%d]", i)
		if len(r.CORS.Methods) == 0 {
			field = "methods"
		}
		switch {
		case m == "" || strings.Trim(m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "":
			if len(r.CORS.Methods) > 0 { // the route's own are reported where they stand
				fault(field, fmt.Sprintf("%q is no HTTP method", m), "methods: [GET, POST]")
			}
		case m == "CONNECT" || m == "TRACE" || m == "TRACK":
			fault(field, "no browser lets a page use "+m, "list the methods that pages use: methods: [GET, POST]")
		case len(r.Methods) > 0 && !slices.Contains(r.Methods, m):
			fault(field, "the route does not take "+m, "remove it, or add it to the methods of the route")
		case slices.Contains(allowed[:i], m) && len(r.CORS.Methods) > 0:
			fault(field, "method "+m+" is listed twice", "remove one")
		}
	}
}

// CORSMethods are those that pages of the origins may use. The route has a CORS.
func CORSMethods(r *Route) []string {
	if len(r.CORS.Methods) > 0 {
		return r.CORS.Methods
	}
	return r.Methods
}

// corsHeaders takes names of headers (RFC 9110, section 5.6.2, "token"). * is no name: it would mean every header, or,
// where there are credentials, one of that name.
func corsHeaders(list string, names []string, fault func(field, message, help string)) {
	for i, name := range names {
		field := fmt.Sprintf("%s[%d]", list, i)
		lower := strings.ToLower(name)
		twice := func(other string) bool { return strings.EqualFold(other, name) }
		switch {
		case name == "*":
			fault(field, "* names no header", "list them: "+list+": [content-type]")
		case !isToken(name):
			fault(field, fmt.Sprintf("%q is no name of a header", name), list+": [content-type]")
		case list == "headers" && strings.HasPrefix(lower, "x-tiergate-"):
			fault(field, "clients do not say "+lower+": it is removed from every request", "remove it")
		case list == "exposeHeaders" && (lower == "set-cookie" || lower == "set-cookie2"):
			fault(field, "no browser shows "+lower+" to a page", "remove it")
		case slices.ContainsFunc(names[:i], twice):
			fault(field, fmt.Sprintf("header %q is listed twice", lower), "remove one")
		}
	}
}

func isToken(name string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	outside := func(r rune) bool {
		plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !plain && !strings.ContainsRune(marks, r)
	}
	return name != "" && !strings.ContainsFunc(name, outside)
}
