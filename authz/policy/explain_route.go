package policy

import (
	"slices"
	"strings"
)

// ExplainedRoute is how the route was looked for.
type ExplainedRoute struct {
	Host string `json:"host,omitempty"` // as it was compared: lower case, without port
	Path string `json:"path,omitempty"`
	// Found is the route whose place host and path chose, even if it does not list the method; empty: none.
	Found   string   `json:"found,omitempty"`
	Pattern string   `json:"pattern,omitempty"` // HOST/PATH, as the policy writes it
	Methods []string `json:"methods,omitempty"` // empty: every method
	Owner   string   `json:"owner,omitempty"`
	// Origins are those whose pages may use the route from a browser (CORS).
	Origins []string `json:"origins,omitempty"`
	// Login is where a browser is sent to log in, or to log in again; empty: nowhere.
	Login string `json:"login,omitempty"`
	// Chosen is Envoy's own choice, where it told one.
	Chosen string       `json:"chosen,omitempty"`
	Others []OtherRoute `json:"others,omitempty"` // the other routes of this host, sorted by name
}

// OtherRoute is a route that was not taken.
type OtherRoute struct {
	Name    string `json:"name"`
	Pattern string `json:"pattern"`
	Why     string `json:"why"`
	Near    bool   `json:"near"` // its host and path match the request too
}

// explainRoute looks the request up as the judgement did, and each other route of that host by a table of its own.
func (p *Policy) explainRoute(in *Input) *ExplainedRoute {
	e := &ExplainedRoute{}
	if in.Request.Chosen != nil {
		e.Chosen = in.Request.Chosen.Route
	}
	path, err := checkPath(in.Request.Path)
	if err != nil {
		return e
	}
	host, err := NormalHost(in.Request.Host)
	if err != nil {
		return e
	}
	e.Host, e.Path = host, path
	if len(in.Subject.Doubts) > 0 || in.Request.Method == "" {
		return e // the table was not looked into: who shows a false proof learns nothing about routes
	}
	chosen, how := p.table.lookup(host, path, in.Request.Method)
	for i := range p.spec.Routes {
		r := &p.spec.Routes[i]
		named := namedBy(r.Hosts, host)
		switch {
		case named == "":
		case chosen != nil && r.Meta.Name == chosen.name:
			e.Found, e.Pattern, e.Methods, e.Owner = r.Meta.Name, named+r.Path, r.Methods, r.Meta.Owner
			if r.Login != nil {
				e.Login = r.Login.URL
			}
			if r.CORS != nil {
				e.Origins = r.CORS.Origins
			}
		default:
			e.Others = append(e.Others, p.otherRoute(r, named, e, in.Request.Method, how))
		}
	}
	slices.SortFunc(e.Others, func(a, b OtherRoute) int { return strings.Compare(a.Name, b.Name) })
	return e
}

// namedBy is the host of a route by which it would serve a request's; empty: none.
func namedBy(hosts []string, host string) string {
	_, suffix, _ := strings.Cut(host, ".")
	for _, name := range []string{host, "*." + suffix} {
		for _, h := range hosts {
			if strings.ToLower(h) == name {
				return h
			}
		}
	}
	return ""
}

// otherRoute asks what the policy would have found, had it no other route.
func (p *Policy) otherRoute(r *Route, named string, e *ExplainedRoute, method string, how found) OtherRoute {
	o := OtherRoute{Name: r.Meta.Name, Pattern: named + r.Path}
	pattern, err := ParsePattern(r.Path)
	if err != nil {
		return o // no compiled policy has one
	}
	alone := newTable([]*route{{name: r.Meta.Name, pattern: pattern, methods: r.Methods, upstream: r.Upstream}},
		map[string][]string{r.Meta.Name: {strings.ToLower(named)}})
	_, alike := alone.lookup(e.Host, e.Path, method)
	o.Near = alike != foundNothing
	switch exact := p.table.hosts[e.Host] != nil; {
	case strings.HasPrefix(named, "*.") && exact:
		o.Why = "other routes name the host " + e.Host + " exactly, and then no wildcard counts"
	case alike == foundNothing:
		o.Why = "its path does not match"
	case alike == foundOtherMethods:
		o.Why = "it is for " + strings.Join(r.Methods, ", ") + " only"
	case how == foundOtherMethods:
		o.Why = "it is wider; a method that the more exact route does not list never falls through to it"
	default:
		o.Why = "it is wider; the more exact path goes first"
	}
	return o
}
