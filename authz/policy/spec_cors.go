package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// CORS names the web pages of other origins that may use a route from a browser (Fetch standard, section 3.3, "HTTP-CORS
// protocol"). It opens the route to nobody: each of their requests is judged as any other.
type CORS struct {
	// Origins are https://HOST[:PORT] as browsers write them, or https://*.SUFFIX[:PORT] for one label before the suffix.
	Origins []string `yaml:"origins"`
	// Methods are those that pages may use, of the route's own; default: all that the route lists.
	Methods []string `yaml:"methods,omitempty"`
	// Headers are those that pages may send beyond what every form can; authorization is one of them.
	Headers []string `yaml:"headers,omitempty"`
	// ExposeHeaders are those of answers that pages may read. What a refusal says can be read always.
	ExposeHeaders []string `yaml:"exposeHeaders,omitempty"`
	// MaxAge is how long browsers may remember that a page may. Default: 5 s, as they have it.
	MaxAge time.Duration `yaml:"maxAge,omitempty,positive"`
	// Credentials lets pages send what the browser itself holds: cookies and the certificate of the device.
	Credentials bool `yaml:"credentials,omitempty"`
}

// Origin is where web pages come from (RFC 6454, section 6.2), or all that differ in the first label of their host. The
// scheme is https. The zero Origin is none.
type Origin struct {
	host string // exact, or what follows the first label
	wild bool
	port string // with its colon; empty: 443
}

// OriginLabel begins the Regex of an Origin that stands for many: the scheme, and one label.
const OriginLabel = "https://[a-z0-9_-]+"

// originHelp is how an origin is written.
const originHelp = "write https://HOST, with :PORT unless it is 443, or https://*.SUFFIX for one label before the suffix"

// ParseOrigin reads an origin of CORS. It takes only what browsers send: in lower case, without a path, and without the
// port that the scheme has anyway. Errors are for who wrote it.
func ParseOrigin(text string) (Origin, error) {
	rest, secure := strings.CutPrefix(text, "https://")
	switch {
	case text == "*":
		return Origin{}, errors.New("* is every page on the web")
	case text == "null":
		return Origin{}, errors.New("null is every page that hides where it is from")
	case !secure:
		return Origin{}, fmt.Errorf("%q does not begin with https://: whoever is on the way could be the page", text)
	}
	host, port, err := cutPort(rest)
	if err != nil {
		return Origin{}, fmt.Errorf("%q %w", text, err)
	}
	o := Origin{port: port}
	o.host, o.wild = strings.CutPrefix(host, "*.")
	switch {
	case strings.HasPrefix(host, "["):
		if at, err := netip.ParseAddr(strings.Trim(host, "[]")); err != nil || !at.Is6() || at.Is4In6() || at.Zone() != "" ||
			"["+at.String()+"]" != host {
			return Origin{}, fmt.Errorf("%q has no host as browsers write it", text)
		}
	case o.host == "" || len(o.host) > 253 || !isHostName(o.host) || strings.HasSuffix(o.host, "."):
		return Origin{}, fmt.Errorf("%q has no host as browsers write it", text)
	case isNumber(o.host[strings.LastIndexByte(o.host, '.')+1:]) && (o.wild || !isIPv4(o.host)):
		return Origin{}, fmt.Errorf("%q has a host that ends as an address does and is none", text)
	case o.wild && !strings.Contains(o.host, "."):
		return Origin{}, fmt.Errorf("%q covers a whole top-level domain", text)
	}
	return o, nil
}

func isNumber(label string) bool { return strings.Trim(label, "0123456789") == "" }

func isIPv4(host string) bool {
	at, err := netip.ParseAddr(host)
	return err == nil && at.Is4()
}

// cutPort cuts the port off an authority that came without user information. A port is written as browsers do.
func cutPort(authority string) (host, port string, err error) {
	colon := strings.LastIndexByte(authority, ':')
	if colon < strings.IndexByte(authority, ']') {
		return authority, "", nil
	}
	if colon < 0 {
		return authority, "", nil
	}
	host, digits := authority[:colon], authority[colon+1:]
	n, err := strconv.ParseUint(digits, 10, 16)
	switch {
	case err != nil || n == 0 || digits != strconv.FormatUint(n, 10):
		return "", "", errors.New("has no port from 1 to 65535")
	case n == 443:
		return "", "", errors.New("has port 443, which browsers leave out")
	}
	return host, authority[colon:], nil
}

// Covers reports whether pages of an origin, as a browser sends it, are meant. It compares bytes: what is written in
// another way is another origin.
func (o Origin) Covers(origin string) bool {
	rest, secure := strings.CutPrefix(origin, "https://")
	if !secure || o.host == "" {
		return false
	}
	if !o.wild {
		return rest == o.host+o.port
	}
	label, ok := strings.CutSuffix(rest, "."+o.host+o.port)
	return ok && label != "" && !strings.Contains(label, ".") && isHostName(label)
}

// Exact is the origin, and "" if it stands for many.
func (o Origin) Exact() string {
	if o.wild {
		return ""
	}
	return "https://" + o.host + o.port
}

// Regex covers the same as an RE2 expression that is compared with the whole of an origin.
func (o Origin) Regex() string {
	if !o.wild {
		return regexp.QuoteMeta(o.Exact())
	}
	return OriginLabel + regexp.QuoteMeta("."+o.host+o.port)
}
