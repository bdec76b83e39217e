package identity

import (
	"errors"
	"fmt"
	"strings"
)

// SPIFFEID is a valid SPIFFE ID, byte for byte as the certificate or token had it. It is made by ParseSPIFFEID alone;
// two are the same identity exactly if they are ==.
type SPIFFEID string

// The limits of the SPIFFE ID specification, sections 2.1 and 2.3, in bytes.
const (
	maxSPIFFEIDBytes    = 2048
	maxTrustDomainBytes = 255
)

const spiffeScheme = "spiffe://"

// ParseSPIFFEID reads spiffe://trust-domain/path as the SPIFFE ID specification (sections 2.1 to 2.3) writes it: the
// scheme and the trust domain in lower case, path segments of letters, digits, '.', '-' and '_'. Nothing is decoded or
// repaired, so that two spellings of one name do not exist: empty and dot segments, a trailing slash, a query, a
// fragment, user information, a port, percent-encoding and control bytes are errors. The path may be empty: that names
// the trust domain itself.
func ParseSPIFFEID(s string) (SPIFFEID, error) {
	domain, path, err := splitSPIFFEID(s)
	if err != nil {
		return "", err
	}
	if err := checkTrustDomain(domain); err != nil {
		return "", err
	}
	for rest := path; rest != ""; {
		segment, more := nextSegment(rest)
		if err := checkSegment(segment); err != nil {
			return "", err
		}
		rest = more
	}
	return SPIFFEID(s), nil
}

// TrustDomain is the name of the trust domain, without the scheme; "" for the zero ID.
func (id SPIFFEID) TrustDomain() string {
	rest, ok := strings.CutPrefix(string(id), spiffeScheme)
	if !ok {
		return ""
	}
	domain, _, _ := strings.Cut(rest, "/")
	return domain
}

// Path is what follows the trust domain, with its leading slash; "" for the trust domain itself.
func (id SPIFFEID) Path() string {
	rest, ok := strings.CutPrefix(string(id), spiffeScheme)
	if !ok {
		return ""
	}
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return ""
}

// String is the ID as it was read.
func (id SPIFFEID) String() string { return string(id) }

// splitSPIFFEID cuts an ID, or a pattern of IDs, into trust domain and path, unchecked but for scheme and length.
func splitSPIFFEID(s string) (domain, path string, err error) {
	switch {
	case s == "":
		return "", "", errors.New("the SPIFFE ID is empty")
	case len(s) > maxSPIFFEIDBytes:
		return "", "", fmt.Errorf("the SPIFFE ID has %d bytes; the limit is %d", len(s), maxSPIFFEIDBytes)
	}
	rest, ok := strings.CutPrefix(s, spiffeScheme)
	if !ok {
		return "", "", errors.New("a SPIFFE ID begins with spiffe:// in lower case")
	}
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[:i], rest[i:], nil
	}
	return rest, "", nil
}

// nextSegment cuts the first segment off a path that begins with a slash.
func nextSegment(path string) (segment, rest string) {
	if i := strings.IndexByte(path[1:], '/'); i >= 0 {
		return path[1 : 1+i], path[1+i:]
	}
	return path[1:], ""
}

// checkTrustDomain accepts the name of a trust domain as it stands in an ID.
func checkTrustDomain(domain string) error {
	switch {
	case domain == "":
		return errors.New("the SPIFFE ID has no trust domain")
	case len(domain) > maxTrustDomainBytes:
		return fmt.Errorf("the trust domain has %d bytes; the limit is %d", len(domain), maxTrustDomainBytes)
	}
	for i := range len(domain) {
		if !isTrustDomainByte(domain[i]) {
			return fmt.Errorf("the trust domain has %q; it is written with a-z, 0-9, '.', '-' and '_'", domain[i])
		}
	}
	return nil
}

func checkSegment(segment string) error {
	switch segment {
	case "":
		return errors.New("the path of the SPIFFE ID has an empty segment or ends with a slash")
	case ".", "..":
		return errors.New("the path of the SPIFFE ID has a dot segment")
	}
	for i := range len(segment) {
		if c := segment[i]; !isTrustDomainByte(c) && (c < 'A' || c > 'Z') {
			return fmt.Errorf("the path of the SPIFFE ID has %q; it is written with letters, digits, '.', '-' and '_'", c)
		}
	}
	return nil
}

func isTrustDomainByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_'
}
