package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// spiffePattern follows SPIFFE-ID section 2; a segment * is any one segment, a final /** all below.
var spiffePattern = regexp.MustCompile(
	`^spiffe://([a-z0-9._-]{1,255})((?:/(?:[A-Za-z0-9._-]+|\*))+(?:/\*\*)?|/\*\*)$`)

const maxSPIFFEBytes = 2048

// spiffePatterns wants SPIFFE IDs or patterns, each once, of trust domains that the settings name.
func (c *check) spiffePatterns(path string, patterns []string, domains []TrustDomain) {
	c.list(path, patterns)
	for i, pattern := range patterns {
		at := fmt.Sprintf("%s[%d]", path, i)
		parts := spiffePattern.FindStringSubmatch(pattern)
		dots := func(segment string) bool { return segment == "." || segment == ".." }
		switch {
		case parts == nil || len(pattern) > maxSPIFFEBytes || slices.ContainsFunc(strings.Split(parts[2], "/"), dots):
			c.fault(at, fmt.Sprintf("%.200q is no SPIFFE ID and no pattern of any", pattern),
				"write spiffe://TRUST-DOMAIN/PATH; a whole segment may be *, and the last ** for all below")
		case !slices.ContainsFunc(domains, func(d TrustDomain) bool { return d.Name == parts[1] }):
			c.fault(at, fmt.Sprintf("%.200q is of trust domain %s, which the settings do not name", pattern, parts[1]),
				"add the domain to identity.trustDomains, or remove the entry")
		}
	}
}

// minIgnoredBytes keeps a slip of the pen from ignoring every name.
const minIgnoredBytes = 5

// ignoredURINames wants beginnings of names that are long enough, and that no SPIFFE ID has.
func (c *check) ignoredURINames(path string, prefixes []string) {
	c.list(path, prefixes)
	for i, prefix := range prefixes {
		at, lower := fmt.Sprintf("%s[%d]", path, i), strings.ToLower(prefix)
		switch {
		case len(prefix) < minIgnoredBytes:
			c.fault(at, fmt.Sprintf("%q has fewer than %d bytes", prefix, minIgnoredBytes),
				"write how the names begin, such as tag:microsoft.com,2022-09-14:sid:")
		case strings.HasPrefix("spiffe:", lower) || strings.HasPrefix(lower, "spiffe:"):
			c.fault(at, fmt.Sprintf("a SPIFFE ID could begin with %q", prefix),
				"remove it: a certificate with a SPIFFE ID is a workload's, or nobody's")
		}
	}
}
