package token

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxURIBytes bounds the htu that is looked at.
const maxURIBytes = 8 << 10

// is says why a proof's htu is not the URI of the request (RFC 9449, section 4.3, check 9): scheme and host in any
// case, a port that is the scheme's own left out, no path written as /, unreserved characters decoded and hexadecimal
// digits in any case (RFC 3986, sections 6.2.2 and 6.2.3), and byte for byte otherwise. The request's query does not
// count; an htu has none, and no fragment. What two readers may read differently is refused and not repaired, as in a
// request's path.
//
// Envoy takes the port off the request's host (strip_any_host_port, so that host rules have one reading). Where it is
// off, the port of the htu is not compared: who asked for https://app.example:8443 said so in its proof.
func (t Target) is(uri string) error {
	claimed, err := splitURI(uri)
	if err != nil {
		return fmt.Errorf("the DPoP proof's htu %w", err)
	}
	path, _, _ := strings.Cut(t.Path, "?")
	asked, err := place{scheme: t.Scheme, authority: t.Host, path: path}.normal()
	if err != nil {
		return fmt.Errorf("no DPoP proof can be for this request: its URI %w", err)
	}
	if asked.port == "" && !t.namesPort() {
		claimed.port = ""
	}
	if claimed != asked {
		return fmt.Errorf("the DPoP proof is for %.200q and the request for %.200q", claimed, asked)
	}
	return nil
}

func (t Target) namesPort() bool {
	_, port, err := splitAuthority(t.Host)
	return err == nil && port != ""
}

// place is a URI without query and fragment.
type place struct {
	scheme, authority string
	host, port, path  string
}

// String writes it for an operator.
func (p place) String() string {
	if p.port != "" {
		return p.scheme + "://" + p.host + ":" + p.port + p.path
	}
	return p.scheme + "://" + p.host + p.path
}

// splitURI reads scheme://authority/path.
func splitURI(uri string) (place, error) {
	scheme, rest, ok := strings.Cut(uri, "://")
	switch {
	case len(uri) > maxURIBytes:
		return place{}, fmt.Errorf("has %d bytes; the limit is %d", len(uri), maxURIBytes)
	case !ok:
		return place{}, errors.New("is no absolute URI")
	case strings.ContainsAny(rest, "?#"):
		return place{}, errors.New("has a query or a fragment, which it is made without (RFC 9449, section 4.2)")
	}
	p := place{scheme: scheme, authority: rest}
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		p.authority, p.path = rest[:slash], rest[slash:]
	}
	return p.normal()
}

// normal brings a place into its one spelling.
func (p place) normal() (place, error) {
	n := place{scheme: strings.ToLower(p.scheme)}
	if n.scheme != "https" && n.scheme != "http" {
		return place{}, errors.New("is neither https nor http")
	}
	var err error
	if n.host, n.port, err = splitAuthority(p.authority); err != nil {
		return place{}, err
	}
	if n.scheme == "https" && n.port == "443" || n.scheme == "http" && n.port == "80" {
		n.port = ""
	}
	n.path, err = normalPath(p.path)
	return n, err
}

// splitAuthority takes a port off a host; user information, and what no host name or address has, is an error.
func splitAuthority(authority string) (host, port string, err error) {
	host = strings.ToLower(authority)
	name := host
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return "", "", errors.New("has no host that can be read")
		}
		name, port = host[1:end], host[end+1:]
		host = host[:end+1]
	} else if colon := strings.IndexByte(host, ':'); colon >= 0 {
		host, port = host[:colon], host[colon:]
		name = host
	}
	if port != "" && !isPort(port) {
		return "", "", errors.New("has no port that can be read")
	}
	host = strings.TrimSuffix(host, ".")
	if name == "" || strings.ContainsFunc(name,
		func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune(".-_:", r) }) {
		return "", "", errors.New("has no host that can be read")
	}
	return host, strings.TrimPrefix(port, ":"), nil
}

// isPort accepts a colon and 1 to 5 digits, the first of them no zero.
func isPort(s string) bool {
	digits := strings.TrimPrefix(s, ":")
	return len(digits) == len(s)-1 && digits != "" && len(digits) <= 5 && digits[0] != '0' &&
		!strings.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
}

// normalPath decodes unreserved characters and writes hexadecimal digits in upper case (RFC 3986, sections 6.2.2.1 and
// 6.2.2.2). A path that servers read differently is refused, as a route's is.
func normalPath(path string) (string, error) {
	if path == "" {
		return "/", nil
	}
	var normal strings.Builder
	decoded := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c != '%' {
			normal.WriteByte(c)
			decoded = append(decoded, c)
			continue
		}
		octet, err := hex.DecodeString(path[i+1 : min(i+3, len(path))])
		if err != nil || len(octet) != 1 {
			return "", errors.New("has a % that encodes nothing")
		}
		c, i = octet[0], i+2
		switch {
		case c < 0x20 || c == 0x7f || strings.IndexByte(`/\;#?%`, c) >= 0:
			return "", fmt.Errorf("has an encoded %q, which servers read differently", c)
		case c < 0x80 && (isAlphanumeric(rune(c)) || strings.IndexByte("-._~", c) >= 0):
			normal.WriteByte(c)
		default:
			fmt.Fprintf(&normal, "%%%02X", c)
		}
		decoded = append(decoded, c)
	}
	return normal.String(), checkReading(normal.String(), decoded)
}

// checkReading refuses paths of two readings.
func checkReading(path string, decoded []byte) error {
	switch {
	case path[0] != '/':
		return errors.New("has a path that does not begin with a slash")
	case !utf8.Valid(decoded):
		return errors.New("has a path that is not UTF-8")
	case strings.ContainsFunc(path, func(r rune) bool { return r < 0x20 || r == 0x7f }) || strings.ContainsAny(path,
		`;#\`):
		return errors.New(`has a control byte or one of ; # \, which servers read differently`)
	case strings.Contains(path, "//"):
		return errors.New("has an empty segment")
	}
	for s := range strings.SplitSeq(path[1:], "/") {
		if s == "." || s == ".." {
			return errors.New("has a dot segment")
		}
	}
	return nil
}
