package config

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// api wants a place to ask at, and one of the kinds of credentials with all of its parts. kinds is nil if the type is not
// known.
func (c *check) api(at string, a *API, kinds []credential) {
	c.apiURL(at+".url", a.URL)
	c.file(at+".caFile", &a.CAFile)
	c.file(at+".clientSecretFile", &a.ClientSecretFile)
	c.file(at+".keyFile", &a.KeyFile)
	c.file(at+".serviceAccountFile", &a.ServiceAccountFile)
	c.file(at+".passwordFile", &a.PasswordFile)
	c.file(at+".tokenFile", &a.TokenFile)
	c.list(at+".allowedHosts", a.AllowedHosts)
	for i, host := range a.AllowedHosts {
		if strings.ContainsAny(host, "/@?#* ") {
			c.fault(fmt.Sprintf("%s.allowedHosts[%d]", at, i), fmt.Sprintf("%q is no host", host), "write host or host:port")
		}
	}
	if kinds != nil {
		c.credentials(at, kinds)
	}
	c.token(at, a)
	c.headers(at+".headers", a.Headers, false)
	c.headers(at+".headerFiles", a.HeaderFiles, true)
	for name := range a.Headers {
		if _, twice := a.HeaderFiles[name]; twice {
			c.fault(at+".headers", fmt.Sprintf("the header %s stands in headerFiles too", name), "write it in one of the two")
		}
	}
	c.within(at+".rate", a.Rate, 1, 1000)
	if a.ProxyURL != "" {
		u, err := url.Parse(a.ProxyURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			c.fault(at+".proxyURL", "proxyURL is no URL of a proxy", "write http://host:port")
		}
	}
}

// credentials wants exactly one kind, with all its parts.
func (c *check) credentials(at string, kinds []credential) {
	whole, begun := 0, map[string]bool{} // what has its first part in common is begun once
	part := map[string]bool{}
	for _, kind := range kinds {
		there := 0
		for _, field := range kind {
			part[field] = true
			if c.document.Has(at + "." + field) {
				there++
				begun[kind[0]] = true
			}
		}
		if there == len(kind) {
			whole++
		}
	}
	for _, field := range credentialFields {
		if c.document.Has(at+"."+field) && !part[field] {
			c.fault(at+"."+field, "a source of this type does not ask with "+field, "write "+sayKinds(kinds))
		}
	}
	c.halves(at, kinds)
	if n := max(len(begun), whole); n != 1 {
		c.fault(at, fmt.Sprintf("api has %d kinds of credentials", n), "write "+sayKinds(kinds))
	}
}

// halves says which part of a kind lacks the other; of two kinds that share a part, one suffices.
func (c *check) halves(at string, kinds []credential) {
	lacks := map[string][]string{}
	whole := map[string]bool{}
	for _, kind := range kinds {
		if len(kind) != 2 {
			continue
		}
		one, other := c.document.Has(at+"."+kind[0]), c.document.Has(at+"."+kind[1])
		switch {
		case one && other:
			whole[kind[0]] = true
		case one:
			lacks[kind[0]] = append(lacks[kind[0]], kind[1])
		case other:
			lacks[kind[1]] = append(lacks[kind[1]], kind[0])
		}
	}
	for _, here := range slices.Sorted(maps.Keys(lacks)) {
		if missing := strings.Join(lacks[here], " or "); !whole[here] {
			c.fault(at+"."+here, here+" without "+missing, "write "+missing+" too, or remove it")
		}
	}
}

// sayKinds is "one of clientID with clientSecretFile, username with passwordFile, and tokenFile".
func sayKinds(kinds []credential) string {
	said := make([]string, 0, len(kinds))
	for _, kind := range kinds {
		said = append(said, strings.Join(kind, " with "))
	}
	if len(said) == 1 {
		return said[0]
	}
	return "one of " + strings.Join(said[:len(said)-1], ", ") + map[bool]string{true: ", and ", false: " and "}[len(said) > 2] +
		said[len(said)-1]
}

// token is for credentials that fetch one.
func (c *check) token(at string, a *API) {
	fetched := a.ClientID != "" || a.ServiceAccountFile != ""
	c.onlyFor(at+".keyID", a.KeyID != "", a.KeyFile != "", "keyFile")
	if a.Token == nil {
		return
	}
	signed := a.KeyFile != "" || a.ServiceAccountFile != ""
	c.onlyFor(at+".token", true, fetched, "credentials that fetch one (clientID, serviceAccountFile)")
	c.onlyFor(at+".token.subject", a.Token.Subject != "", a.ServiceAccountFile != "", "serviceAccountFile")
	c.onlyFor(at+".token.audience", a.Token.Audience != "", signed, "keyFile and serviceAccountFile")
	c.onlyFor(at+".token.inHeader", a.Token.InHeader, a.ClientSecretFile != "", "clientSecretFile")
	if !strings.HasPrefix(a.Token.URL, "/") {
		c.apiURL(at+".token.url", a.Token.URL)
	}
}

// headers are names and values that fit into HTTP, and none that the client sets itself.
func (c *check) headers(path string, headers map[string]string, files bool) {
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		value := headers[name]
		switch canonical := http.CanonicalHeaderKey(name); {
		case name == "" || !isToken(name) || oddHeader[canonical] || canonical == "Authorization" || canonical == "Cookie" ||
			canonical == "Accept-Encoding":
			c.fault(path, fmt.Sprintf("%q is no header to be set here", name),
				"write headers of the vendor's own, such as aw-tenant-code, or Accept; credentials have fields of their own")
		case seen[canonical]:
			c.fault(path, fmt.Sprintf("the header %s stands twice", canonical), "write it once")
		case files:
			file := value
			c.file(path, &file)
			headers[name] = file
		case value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f }):
			c.fault(path, fmt.Sprintf("the header %s has no value that fits into HTTP", name), "write printable ASCII")
		}
		seen[http.CanonicalHeaderKey(name)] = true
	}
}
