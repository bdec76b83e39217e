package config

import (
	"fmt"
	"net/url"
	"time"
)

// maxJWKSStale is the longest that keys count which could not be fetched anew; RFC 5861 leaves it to us.
const maxJWKSStale = 24 * time.Hour

// jwks wants the keys of an issuer from one place, and what is said of fetching only where they are fetched.
func (c *check) jwks(at string, issuer *Issuer) {
	const help = "write one of jwksFile and jwksURL"
	switch {
	case issuer.JWKSFile == "" && issuer.JWKSURL == "":
		if !c.document.Has(at+".jwksFile") && !c.document.Has(at+".jwksURL") {
			c.fault(at, "the issuer has no keys", help)
		}
	case issuer.JWKSFile != "" && issuer.JWKSURL != "":
		c.fault(at+".jwksURL", "the issuer has both jwksFile and jwksURL", help)
	}
	c.file(at+".jwksFile", &issuer.JWKSFile)
	c.file(at+".jwksCAFile", &issuer.JWKSCAFile)
	if issuer.JWKSURL != "" {
		c.jwksURL(at, issuer)
		return
	}
	for _, field := range []string{".jwksCAFile", ".jwksStale"} {
		if c.document.Has(at + field) {
			c.fault(at+field, last(field)+" is for keys that are fetched", "remove it, or write jwksURL instead of jwksFile")
		}
	}
}

func (c *check) jwksURL(at string, issuer *Issuer) {
	u, err := url.Parse(issuer.JWKSURL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http":
		c.fault(at+".jwksURL", fmt.Sprintf("%q is no URL of a key set", issuer.JWKSURL),
			"write the https URL that the issuer's metadata have as jwks_uri")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		c.fault(at+".jwksURL", fmt.Sprintf("%q is not https", issuer.JWKSURL),
			"write https: whoever is on the way could put in keys of his own")
	case u.Scheme == "http" && issuer.JWKSCAFile != "":
		c.fault(at+".jwksCAFile", "jwksCAFile is for https, and jwksURL is http", "remove it, or write https")
	}
	if issuer.JWKSStale < 0 || issuer.JWKSStale > maxJWKSStale {
		c.fault(at+".jwksStale", fmt.Sprintf("jwksStale is %s", issuer.JWKSStale), "write 0s to 24h")
	}
}
