package policy

import (
	"fmt"
	"slices"
	"strings"
)

// loginParams are what tiergate writes into the query of a login page, as package authz/returnto has it. A page that has one
// of them itself would be given it twice.
var loginParams = []string{"acr_values", "max_age", "return_to", "return_host", "return_route", "return_ticket"}

const loginHelp = "login: {url: https://login.acme.example/step-up}, or a path on the same host: {url: /login}"

// maxLoginURL bounds a login.url, in bytes: what is added must fit into one header beside it.
const maxLoginURL = 1024

// signIn judges where a route sends browsers to log in.
func (c *compiler) signIn(r *Route) {
	if r.Login == nil {
		return
	}
	fault := func(message, help string) { c.fault(KindRoute, r.Meta.Name, "spec.login", message, help) }
	if message := loginURLFault(r.Login.URL); message != "" {
		c.fault(KindRoute, r.Meta.Name, "spec.login.url", message, loginHelp)
	}
	if at, ok := c.tierAt[r.Tier]; ok && c.tiers[at].identify == IdentifyWorkload {
		fault(fmt.Sprintf("tier %q identifies workloads, which log in nowhere", r.Tier), "remove login, or give the route a tier that "+
			"identifies a user")
	}
	if at, ok := c.tierAt[r.Tier]; ok && c.tiers[at].tells == TellsNothing {
		fault(fmt.Sprintf("tier %q tells nothing, and to be sent to log in tells what is missing", r.Tier),
			"remove login, or write tells: reason into the tier")
	}
	if len(r.Methods) > 0 && !slices.Contains(r.Methods, "GET") && !slices.Contains(r.Methods, "HEAD") {
		fault("browsers are sent to log in only from GET and HEAD, which the route does not list", "remove login, or add GET to methods")
	}
	if c.world.Logins != nil && !*c.world.Logins {
		fault("the settings have no key for what browsers are sent with, so that no login application could tell it from what "+
			"anybody made up", "write login: {keyFile: FILE} into the settings, and give the file to the login application")
	}
}

// loginURLFault says why a text is nowhere to send a browser.
func loginURLFault(text string) string {
	switch {
	case text == "":
		return "the url is missing"
	case len(text) > maxLoginURL:
		return fmt.Sprintf("the url has %d bytes; the limit is %d", len(text), maxLoginURL)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }):
		return fmt.Sprintf("the url %.80q has a blank, a backslash or a byte that is no printable ASCII", text)
	case strings.Contains(text, "#"):
		return "the url has a fragment, behind which nothing can be added"
	}
	host, path, query := loginPlace(text)
	switch {
	case host == "" && !strings.HasPrefix(text, "/"):
		return fmt.Sprintf("the url %.80q is neither https://HOST/PATH nor a path on the same host", text)
	case strings.Contains(host, "@"):
		return fmt.Sprintf("the url %.80q names a user, and what stands before an @ is easily taken for the host", text)
	}
	if _, err := NormalHost(host); host != "" && err != nil {
		return fmt.Sprintf("the url %.80q: %v", text, err)
	}
	if _, err := checkPath(path); err != nil {
		return fmt.Sprintf("the url %.80q: %v", text, err)
	}
	for member := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(member, "=")
		switch {
		case strings.ContainsAny(name, "%+;"):
			return fmt.Sprintf("the url %.80q has a parameter whose name is not spelt out", text)
		case slices.Contains(loginParams, name):
			return fmt.Sprintf("the url has the parameter %s, which tiergate adds itself", name)
		}
	}
	return ""
}

// loginPlace takes a login.url apart; the host is empty for a path on the same host.
func loginPlace(text string) (host, path, query string) {
	rest, absolute := strings.CutPrefix(text, "https://")
	if rest, query, _ = strings.Cut(rest, "?"); !absolute {
		return "", rest, query
	}
	host, path, _ = strings.Cut(rest, "/")
	return host, "/" + path, query
}

// loginCircles reports a login page that is itself on a route which sends browsers to log in: they would never see it.
func (c *compiler) loginCircles() {
	for i := range c.spec.Routes {
		r := &c.spec.Routes[i]
		if r.Login == nil || loginURLFault(r.Login.URL) != "" {
			continue
		}
		host, path, _ := loginPlace(r.Login.URL)
		hosts := []string{host}
		if host == "" {
			hosts = r.Hosts
		}
		for _, host := range hosts {
			host = strings.Replace(host, "*", "any", 1) // one host stands for all that a wildcard covers
			if found := c.routeAt(host, path); found != nil && found.Login != nil {
				c.fault(KindRoute, r.Meta.Name, "spec.login.url", fmt.Sprintf("the login page is on route %q, which sends browsers "+
					"to log in itself: they would go round in circles", found.Meta.Name),
					"give the page a route of its own without login, or another host")
				break
			}
		}
	}
}

// routeAt is the document of the route that a browser would come to.
func (c *compiler) routeAt(host, path string) *Route {
	normal, err := NormalHost(host)
	if err != nil {
		return nil
	}
	found, how := c.table.lookup(normal, path, "GET")
	if how != foundRoute {
		return nil
	}
	for i := range c.spec.Routes {
		if c.spec.Routes[i].Meta.Name == found.name {
			return &c.spec.Routes[i]
		}
	}
	return nil
}
