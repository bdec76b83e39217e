package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// maxLeeway is the most that clocks of issuers may be off.
const maxLeeway = 5 * time.Minute

// algorithms of RFC 7518 and RFC 8037 with a public key. "none" and the HS family, whose key the issuer would share with
// us, can never be listed.
var algorithms = []string{
	"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA",
}

// trustDomainPattern follows SPIFFE-ID section 2.1.
var trustDomainPattern = regexp.MustCompile(`^[a-z0-9._-]{1,255}$`)

func (c *check) identity(id *Identity) {
	domains := unique{}
	for i := range id.TrustDomains {
		d, at := &id.TrustDomains[i], fmt.Sprintf("identity.trustDomains[%d]", i)
		if d.Name != "" && !trustDomainPattern.MatchString(d.Name) {
			c.fault(at+".name", fmt.Sprintf("%q is no trust domain", d.Name),
				"write the name alone, of a-z, 0-9, dot, dash and underscore, such as acme.example")
		}
		c.unique(domains, at+".name", d.Name)
		c.file(at+".bundleFile", &d.BundleFile)
	}
	if id.Devices != nil {
		c.file("identity.devices.bundleFile", &id.Devices.BundleFile)
		c.oneOf("identity.devices.bind", id.Devices.Bind, "certificate", "serialNumber")
		c.ignoredURINames("identity.devices.ignoreURINames", id.Devices.IgnoreURINames)
	}
	c.spiffePatterns("identity.forwarders", id.Forwarders, id.TrustDomains)
	names, issuers := unique{}, unique{}
	for i := range id.Issuers {
		issuer, at := &id.Issuers[i], fmt.Sprintf("identity.issuers[%d]", i)
		c.name(at+".name", issuer.Name)
		c.unique(names, at+".name", issuer.Name)
		c.unique(issuers, at+".issuer", issuer.Issuer)
		c.issuer(at, issuer)
	}
}

func (c *check) issuer(at string, issuer *Issuer) {
	c.issuerURL(at+".issuer", issuer.Issuer)
	c.list(at+".audiences", issuer.Audiences)
	c.list(at+".algorithms", issuer.Algorithms)
	if len(issuer.Algorithms) == 0 {
		c.fault(at+".algorithms", "algorithms is empty", "list what the issuer signs with, or remove the field")
	}
	for j, algorithm := range issuer.Algorithms {
		if algorithm != "" && !slices.Contains(algorithms, algorithm) {
			c.fault(fmt.Sprintf("%s.algorithms[%d]", at, j), fmt.Sprintf("algorithm %q is not accepted", algorithm),
				"write some of "+strings.Join(algorithms, ", "))
		}
	}
	c.jwks(at, issuer)
	if strings.ContainsFunc(issuer.Type, func(r rune) bool { return r <= ' ' || r > '~' }) {
		c.fault(at+".type", fmt.Sprintf("%q is no type of a token", issuer.Type),
			"write it as tokens have it, such as at+jwt")
	}
	c.oneOf(at+".senderConstrained", issuer.SenderConstrained, ConstrainedOptional, ConstrainedRequired)
	c.claims(at, issuer)
	if issuer.Leeway > maxLeeway {
		c.fault(at+".leeway", fmt.Sprintf("leeway is %s", issuer.Leeway), "write at most 5m")
	}
}

// issuerURL follows RFC 8414 section 2: https, no query, no fragment. The keys do not come by this URL, so plain http hurts
// nobody on the loopback of a test.
func (c *check) issuerURL(path, text string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	local := err == nil && u.Scheme == "http" && isLoopback(u.Hostname())
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !local:
		c.fault(path, fmt.Sprintf("%q is no issuer", text), "write the https URL that tokens have as iss")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		c.fault(path, fmt.Sprintf("issuer %q has a query or fragment", text), "write the https URL that tokens have as iss")
	}
}

// list wants every entry once.
func (c *check) list(path string, values []string) {
	seen := unique{}
	for i, value := range values {
		c.unique(seen, fmt.Sprintf("%s[%d]", path, i), value)
	}
}
