package returnto

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// The names of the parameters.
const (
	ParamACR    = "acr_values"
	ParamMaxAge = "max_age"
	ParamPath   = "return_to"
	ParamHost   = "return_host"
	ParamRoute  = "return_route"
	ParamTicket = "return_ticket"
	// Mark is the parameter by which tiergate knows a request that comes back from the login application.
	Mark = "tiergate_stepup"
)

// Params are the names that tiergate writes into the query of a login.url.
var Params = []string{ParamACR, ParamMaxAge, ParamPath, ParamHost, ParamRoute, ParamTicket}

// The bounds of values, in bytes.
const (
	MaxPath  = 2048
	maxHost  = 253
	maxRoute = 253
	maxACR   = 1024
)

// Return is where a browser came from, and which login would do there. The texts are as doc.go says of their parameters.
type Return struct {
	Host, Route, Path string
	ACR, MaxAge       string // acr_values and max_age; empty: not asked for

	// Ticket is the word of tiergate on it, set by Key.Sign and by Verify.
	Ticket string
}

var (
	errPath   = errors.New(ParamPath + " is no path and query of printable ASCII that begins with one slash")
	errHost   = errors.New(ParamHost + " is no host name in lower case")
	errRoute  = errors.New(ParamRoute + " is no name of a route")
	errACR    = errors.New(ParamACR + " are no words between single blanks")
	errMaxAge = errors.New(ParamMaxAge + " is no number of seconds")
)

// check says what of the values must not be handed to a browser.
func (r *Return) check() error {
	switch {
	case !IsPath(r.Path):
		return errPath
	case !isHost(r.Host):
		return errHost
	case r.Route == "" || len(r.Route) > maxRoute || !printable(r.Route, ""):
		return errRoute
	case len(r.ACR) > maxACR || r.ACR != strings.Join(strings.Fields(r.ACR), " ") || !printable(strings.ReplaceAll(r.ACR, " ", ""), ""):
		return errACR
	case len(r.MaxAge) > 10 || strings.Trim(r.MaxAge, "0123456789") != "":
		return errMaxAge
	}
	return nil
}

// IsPath tells whether a text is a path and query that a browser takes for nothing else: it can name no scheme and no host,
// in the reading of RFC 3986 and in that of the URL standard (https://url.spec.whatwg.org), which takes a backslash for a
// slash and passes over tabs and newlines.
func IsPath(text string) bool {
	path, _, _ := strings.Cut(text, "?")
	if _, err := url.PathUnescape(path); err != nil {
		return false // a % that encodes nothing, which readers take for different things
	}
	return len(text) <= MaxPath && strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//") && printable(text, `\#`)
}

// printable: bytes of ASCII that can be seen, but some.
func printable(text, but string) bool {
	for i := range len(text) {
		if text[i] <= 0x20 || text[i] >= 0x7f || strings.IndexByte(but, text[i]) >= 0 {
			return false
		}
	}
	return true
}

// isHost: a host name, or an IPv6 address in brackets, as package policy writes them.
func isHost(host string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_."
	inner, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		inner, closed := strings.CutSuffix(inner, "]")
		return closed && inner != "" && len(inner) <= maxHost && strings.Trim(inner, "0123456789abcdef:.") == ""
	}
	return host != "" && len(host) <= maxHost && strings.Trim(host, letters) == "" && !strings.HasPrefix(host, ".")
}

// Query is what a browser brings the login application: all parameters, escaped, in a fixed order.
func (r *Return) Query() string {
	var b strings.Builder
	for _, p := range [...][2]string{{ParamACR, r.ACR}, {ParamMaxAge, r.MaxAge}, {ParamPath, r.Path}, {ParamHost, r.Host},
		{ParamRoute, r.Route}, {ParamTicket, r.Ticket}} {
		if p[1] == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p[0])
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(p[1]))
	}
	return b.String()
}

// URL is where the application sends the browser back to: an absolute https URL on the host that it came from, with the mark.
func (r *Return) URL() string {
	separator := "?"
	if strings.Contains(r.Path, "?") {
		separator = "&"
	}
	return "https://" + r.Host + r.Path + separator + Mark + "=" + url.QueryEscape(r.Ticket)
}

// only is the one value of a parameter; one that came twice is a fault, because two readers would take different ones.
func only(query url.Values, name string) (string, error) {
	switch values := query[name]; len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", fmt.Errorf("the parameter %s came more than once", name)
}
