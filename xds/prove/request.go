package prove

import (
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
)

// requestFor finds a request that the route table gives to the route.
func (p *prover) requestFor(r *policy.Route) (policy.Request, bool) {
	parsed, err := policy.ParsePattern(r.Path)
	if err != nil {
		return policy.Request{}, false
	}
	methods := r.Methods
	if len(methods) == 0 {
		methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PROVE"}
	}
	for _, host := range r.Hosts {
		if suffix, ok := strings.CutPrefix(host, "*."); ok {
			host = "prove." + suffix
		}
		for _, path := range pathsOf(parsed) {
			for _, method := range methods {
				if p.in.Policy.Table().Match(host, path, method).Route == r.Meta.Name {
					return policy.Request{Method: method, Host: host, Path: path}, true
				}
			}
		}
	}
	return policy.Request{}, false
}

// pathsOf are paths that a pattern covers, with segments that hardly another spells out.
func pathsOf(parsed policy.Pattern) []string {
	var fixed strings.Builder
	for i, s := range parsed {
		switch s.Kind {
		case policy.SegmentExact:
			fixed.WriteString("/" + s.Text)
		case policy.SegmentVariable, policy.SegmentAny:
			fixed.WriteString("/prove")
		case policy.SegmentRest:
			var below []string
			for depth := range 6 {
				below = append(below, fixed.String()+strings.Repeat("/prove", depth))
			}
			if i == 0 {
				below[0] = "/"
			}
			return below
		}
	}
	if fixed.Len() == 0 {
		return []string{"/"}
	}
	return []string{fixed.String()}
}

// lineOf is the request as a case writes it.
func lineOf(r policy.Request) string { return r.Method + " " + r.Host + r.Path }

// mayMatch: may a request that Envoy takes by host, request and methods of a path be one that the table gives to the route?
// It says yes where it cannot tell.
func mayMatch(r *policy.Route, host, request string, methods []string) bool {
	if !slices.ContainsFunc(r.Hosts, func(h string) bool { return hostsMeet(host, h) }) {
		return false
	}
	common := func(m string) bool { return slices.Contains(r.Methods, m) }
	if len(methods) > 0 && len(r.Methods) > 0 && !slices.ContainsFunc(methods, common) {
		return false
	}
	word, path, _ := strings.Cut(request, " ")
	literal, whole := literalOf(r.Path)
	switch {
	case word == "path" && whole:
		return strings.TrimSuffix(path, "/") == strings.TrimSuffix(literal, "/")
	case word == "path":
		return strings.HasPrefix(path+"/", literal)
	case word == "prefix", word == "under":
		return strings.HasPrefix(literal, path) || !whole && strings.HasPrefix(path+"/", literal)
	}
	return true
}

// literalOf is what a path pattern spells out before its first segment that it does not; whole: it is all of it.
func literalOf(text string) (literal string, whole bool) {
	at := strings.IndexAny(text, "*{")
	if at < 0 {
		return text, true
	}
	return text[:at], false
}

// hostsMeet: does some host fit both a domain of Envoy, in which * stands for any text, and a host of the policy?
func hostsMeet(domain, host string) bool {
	domain, _, _ = strings.Cut(strings.ToLower(domain), ":") // Envoy may be told of ports
	suffix, wild := strings.CutPrefix(host, "*")
	before, after, star := strings.Cut(domain, "*")
	switch {
	case domain == "":
		return true
	case !star && !wild:
		return domain == host
	case !star:
		return strings.HasSuffix(domain, suffix)
	case !wild:
		return strings.HasPrefix(host, before) && strings.HasSuffix(host, after)
	}
	return strings.HasSuffix(suffix, after) || strings.HasSuffix(after, suffix)
}
