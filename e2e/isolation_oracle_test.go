package e2e_test

import (
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/config"
)

// caller is somebody with a certificate, a token, both or neither.
type caller struct {
	name      string
	authority string // who signed the certificate; "": there is none
	pair      *devca.Pair
	spiffe    string // of a workload
	token     string
	issuer    string // of the token
	groups    []string
	known     bool // the certificate is of a laptop that the MDM reports, healthy and for this user
}

// oracle says from the documents alone who may be served what: by trying every route, with none of the product's tables,
// patterns or audiences. It is slow and short.
type oracle struct {
	spec    policy.Spec
	clients map[string][]string // listener to the authorities that it lets in
}

// served is the route that answers, and its upstream; "": nobody may.
func (o *oracle) served(l config.Listener, c *caller, host, path, method string) (route, upstream string) {
	if !slices.Contains(o.clients[l.Name], c.authority) {
		return "", ""
	}
	r := o.chosen(host, path, method)
	if r == nil || !o.stands(l, r) || !o.admits(r, c) || !identified(r.Tier, c) {
		return "", ""
	}
	return r.Meta.Name, r.Upstream
}

// chosen is the route for a request: an exact host before a wildcard, the most exact path before wider ones, and of that the
// one with the method, or none.
func (o *oracle) chosen(host, path, method string) *policy.Route {
	var of []*policy.Route
	_, parent, _ := strings.Cut(host, ".")
	for _, name := range []string{host, "*." + parent} {
		for i := range o.spec.Routes {
			if r := &o.spec.Routes[i]; len(r.Hosts) == 1 && r.Hosts[0] == name {
				of = append(of, r)
			}
		}
		if len(of) > 0 {
			break
		}
	}
	var best []int
	for _, r := range of {
		if key, fits := exactness(r.Path, path); fits && (best == nil || slices.Compare(key, best) < 0) {
			best = key
		}
	}
	for _, r := range of {
		if key, fits := exactness(r.Path, path); fits && slices.Equal(key, best) && slices.Contains(r.Methods, method) {
			return r
		}
	}
	return nil
}

// exactness of a pattern for a path that it fits, one number for each segment, smaller first: text, {name}, *, **. It ends
// with a number below all of these.
func exactness(pattern, path string) (key []int, fits bool) {
	split := func(s string) []string {
		return slices.DeleteFunc(strings.Split(s, "/"), func(part string) bool { return part == "" })
	}
	parts, rest := split(pattern), split(path)
	for _, part := range parts {
		switch {
		case part == "**":
			return append(key, 3), true
		case len(rest) == 0:
			return nil, false
		case part == "*":
			key = append(key, 2)
		case strings.HasPrefix(part, "{"):
			key = append(key, 1)
		case part == rest[0]:
			key = append(key, 0)
		default:
			return nil, false
		}
		rest = rest[1:]
	}
	return append(key, -1), len(rest) == 0
}

// stands: a listener of an audience has that audience's routes, the others have what is not only for isolated ones.
func (o *oracle) stands(l config.Listener, r *policy.Route) bool {
	if l.Audience != "" {
		return slices.Contains(r.Audiences, l.Audience)
	}
	for _, a := range o.spec.Audiences {
		if !a.Isolated && slices.Contains(r.Audiences, a.Meta.Name) {
			return true
		}
	}
	return false
}

func (o *oracle) admits(r *policy.Route, c *caller) bool {
	admitted := false
	for _, a := range o.spec.Audiences {
		listed := slices.Contains(r.Audiences, a.Meta.Name)
		switch belongs := slices.ContainsFunc(a.Members, c.is); {
		case belongs && a.Isolated && !listed:
			return false
		case belongs && listed:
			admitted = true
		}
	}
	return admitted
}

// is reports membership; all that a member says must be so.
func (c *caller) is(m policy.Member) bool {
	if m.SPIFFE != "" {
		prefix, one := strings.CutSuffix(m.SPIFFE, "*")
		rest, below := strings.CutPrefix(c.spiffe, prefix)
		return one && below && rest != "" && !strings.Contains(rest, "/")
	}
	return c.token != "" && m.Issuer == c.issuer && (m.Group == "" || slices.Contains(c.groups, m.Group))
}

// identified reports that a tier gets to know whom it wants to know.
func identified(tier string, c *caller) bool {
	switch tier {
	case "staff":
		return c.token != "" && c.known
	case "person":
		return c.token != ""
	case "machine":
		return c.spiffe != ""
	}
	return false
}
