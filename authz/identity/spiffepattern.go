package identity

import (
	"errors"
	"fmt"
	"strings"
)

// SPIFFEPattern covers one or many SPIFFE IDs of one trust domain. The zero SPIFFEPattern covers none.
type SPIFFEPattern struct {
	domain   string
	segments []string // "*" is any one segment
	subtree  bool     // and at least one segment below
}

// ParseSPIFFEPattern reads a SPIFFE ID in which a segment * stands for exactly one whole segment and a final /** for
// all below, at least one segment. The trust domain is always literal: who may speak for a domain is decided by
// bundles, one by one, and never by a wildcard.
func ParseSPIFFEPattern(s string) (SPIFFEPattern, error) {
	domain, path, err := splitSPIFFEID(s)
	if err != nil {
		return SPIFFEPattern{}, err
	}
	if strings.Contains(domain, "*") {
		return SPIFFEPattern{}, errors.New("the trust domain of a pattern is written out; * stands only in the path")
	}
	if err := checkTrustDomain(domain); err != nil {
		return SPIFFEPattern{}, err
	}
	if path == "" {
		return SPIFFEPattern{}, fmt.Errorf("%q names a trust domain and no workload; for all of its workloads write %s/**",
			s, s)
	}
	pattern := SPIFFEPattern{domain: domain}
	for path != "" {
		segment, rest := nextSegment(path)
		switch {
		case segment == "**" && rest == "":
			pattern.subtree = true
			return pattern, nil
		case segment == "**":
			return SPIFFEPattern{}, fmt.Errorf("%q: ** stands only at the end", s)
		case segment == "*":
		case strings.Contains(segment, "*"):
			return SPIFFEPattern{}, fmt.Errorf("segment %q: * stands for a whole segment", segment)
		default:
			if err := checkSegment(segment); err != nil {
				return SPIFFEPattern{}, err
			}
		}
		pattern.segments = append(pattern.segments, segment)
		path = rest
	}
	return pattern, nil
}

// TrustDomain is the trust domain that the pattern names.
func (p SPIFFEPattern) TrustDomain() string { return p.domain }

// Match reports whether the pattern covers the ID. What is no valid ID is covered by nothing, whoever made it.
func (p SPIFFEPattern) Match(id SPIFFEID) bool {
	if p.domain == "" || id.TrustDomain() != p.domain {
		return false
	}
	if _, err := ParseSPIFFEID(string(id)); err != nil {
		return false
	}
	path := id.Path()
	for _, want := range p.segments {
		if path == "" {
			return false
		}
		segment, rest := nextSegment(path)
		if want != "*" && want != segment {
			return false
		}
		path = rest
	}
	return p.subtree == (path != "")
}

// String is the pattern as it was read; "" for the zero pattern.
func (p SPIFFEPattern) String() string {
	if p.domain == "" {
		return ""
	}
	var b strings.Builder
	b.WriteString(spiffeScheme + p.domain)
	for _, s := range p.segments {
		b.WriteString("/" + s)
	}
	if p.subtree {
		b.WriteString("/**")
	}
	return b.String()
}

// Overlaps reports whether some SPIFFE ID is covered by both patterns.
func (p SPIFFEPattern) Overlaps(q SPIFFEPattern) bool {
	if p.domain == "" || p.domain != q.domain {
		return false
	}
	shorter, longer := p, q
	if len(q.segments) < len(p.segments) {
		shorter, longer = q, p
	}
	for i, s := range shorter.segments {
		if t := longer.segments[i]; s != t && s != "*" && t != "*" {
			return false
		}
	}
	switch {
	case len(shorter.segments) < len(longer.segments):
		return shorter.subtree
	default:
		return shorter.subtree == longer.subtree
	}
}
