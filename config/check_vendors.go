package config

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// vendor checks what is said of a source that is asked, and that nothing of it is said of one that is not.
func (c *check) vendor(at string, s *Source) {
	asked := s.Type == SourceJamf || s.Type == SourceFleet
	if s.Type == SourceStandard || asked {
		c.onlyFor(at+".webhook", s.Webhook != nil, asked, "a vendor that is asked")
		c.onlyFor(at+".api", s.API != nil, asked, "a vendor that is asked")
		c.onlyFor(at+".sync", s.Sync != nil, asked, "a vendor that is asked")
		c.onlyFor(at+".secretFiles", len(s.SecretFiles) > 0, !asked, "a standard source")
		c.onlyFor(at+".jamf", s.Jamf != nil, s.Type == SourceJamf, "a source of type jamf")
		c.onlyFor(at+".fleet", s.Fleet != nil, s.Type == SourceFleet, "a source of type fleet")
	}
	if asked && s.Webhook == nil && !c.document.Has(at+".webhook") {
		c.fault(at, fmt.Sprintf("source %q lets nobody in", s.Name), "say in webhook how the vendor shows who it is")
	}
	if asked && s.API == nil && !c.document.Has(at+".api") {
		c.fault(at, fmt.Sprintf("source %q cannot be asked", s.Name), "say in api where its server is and who we are there")
	}
	if s.Webhook != nil {
		c.webhook(at+".webhook", s.Webhook)
	}
	if s.API != nil {
		c.api(at+".api", s.API)
	}
	if s.Sync != nil {
		if s.Sync.Every < time.Minute || s.Sync.Every > 7*24*time.Hour {
			c.fault(at+".sync.every", fmt.Sprintf("every is %s", s.Sync.Every), "write 1m to 168h")
		}
		c.within(at+".sync.maxShrinkPercent", s.Sync.MaxShrinkPercent, 0, 100)
	}
	c.jamf(at+".jamf", s.Jamf)
	c.fleet(at+".fleet", s.Fleet)
}

func (c *check) onlyFor(path string, is, may bool, whom string) {
	if is && !may {
		c.fault(path, last(path)+" is for "+whom, "remove it, or correct the type")
	}
}

func (c *check) within(path string, value, least, most int) {
	if c.document.Has(path) && (value < least || value > most) {
		c.fault(path, fmt.Sprintf("%s is %d", last(path), value), fmt.Sprintf("write a number from %d to %d", least, most))
	}
}

func (c *check) files(path string, files []string) {
	for i := range files {
		c.file(fmt.Sprintf("%s[%d]", path, i), &files[i])
	}
	c.list(path, files)
}

// webhook wants one way in.
func (c *check) webhook(at string, w *Webhook) {
	ways := 0
	for _, way := range []string{".basic", ".header", ".urlSecretFiles"} {
		if c.document.Has(at + way) {
			ways++
		}
	}
	if ways != 1 {
		c.fault(at, fmt.Sprintf("webhook has %d ways in", ways), "write one of basic, header and urlSecretFiles")
	}
	if w.Basic != nil {
		c.files(at+".basic.passwordFiles", w.Basic.PasswordFiles)
		if strings.Contains(w.Basic.Username, ":") {
			c.fault(at+".basic.username", fmt.Sprintf("%q has a colon", w.Basic.Username),
				"write a user without one (RFC 7617 section 2)")
		}
	}
	if w.Header != nil {
		c.files(at+".header.valueFiles", w.Header.ValueFiles)
		if name := w.Header.Name; name != "" && (!isToken(name) || oddHeader[http.CanonicalHeaderKey(name)]) {
			c.fault(at+".header.name", fmt.Sprintf("%q is no header for a secret", name),
				"write Authorization or a header of your own, such as X-Webhook-Secret")
		}
	}
	c.files(at+".urlSecretFiles", w.URLSecretFiles)
}

// oddHeader are headers whose value is not the sender's to choose.
var oddHeader = map[string]bool{"Host": true, "Content-Type": true, "Content-Length": true, "Content-Encoding": true,
	"Transfer-Encoding": true, "Connection": true, "User-Agent": true}

// isToken follows RFC 9110 section 5.6.2.
func isToken(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// api wants a place to ask at, and one kind of credentials with both of its halves.
func (c *check) api(at string, a *API) {
	c.apiURL(at+".url", a.URL)
	c.file(at+".caFile", &a.CAFile)
	c.file(at+".clientSecretFile", &a.ClientSecretFile)
	c.file(at+".passwordFile", &a.PasswordFile)
	c.file(at+".tokenFile", &a.TokenFile)
	c.list(at+".allowedHosts", a.AllowedHosts)
	for i, host := range a.AllowedHosts {
		if strings.ContainsAny(host, "/@?#* ") {
			c.fault(fmt.Sprintf("%s.allowedHosts[%d]", at, i), fmt.Sprintf("%q is no host", host), "write host or host:port")
		}
	}
	kinds := 0
	for _, halves := range [][2]string{{"clientID", "clientSecretFile"}, {"username", "passwordFile"}} {
		one, other := c.document.Has(at+"."+halves[0]), c.document.Has(at+"."+halves[1])
		if one != other {
			here, lacks := halves[0], halves[1]
			if other {
				here, lacks = lacks, here
			}
			c.fault(at+"."+here, here+" without "+lacks, "write "+lacks+" too, or remove it")
		}
		if one || other {
			kinds++
		}
	}
	if c.document.Has(at + ".tokenFile") {
		kinds++
	}
	if kinds != 1 {
		c.fault(at, fmt.Sprintf("api has %d kinds of credentials", kinds),
			"write one of clientID with clientSecretFile, username with passwordFile, and tokenFile")
	}
	c.within(at+".rate", a.Rate, 1, 1000)
	if a.ProxyURL != "" {
		u, err := url.Parse(a.ProxyURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			c.fault(at+".proxyURL", "proxyURL is no URL of a proxy", "write http://host:port")
		}
	}
}

func (c *check) apiURL(path, value string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "https" && u.Scheme != "http":
		c.fault(path, "url is no address of a server", "write https://host[:port][/path]")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		c.fault(path, fmt.Sprintf("%q is not https", value), "write https: credentials go there")
	}
}

func (c *check) jamf(at string, j *Jamf) {
	if j == nil {
		return
	}
	c.oneOf(at+".computersAPI", j.ComputersAPI, "v1", "v2", "v3", "v4")
	c.list(at+".kinds", j.Kinds)
	for i, kind := range j.Kinds {
		c.oneOf(fmt.Sprintf("%s.kinds[%d]", at, i), kind, "computer", "mobile")
	}
	c.within(at+".pageSize", j.PageSize, 1, 2000)
	c.oneOf(at+".user", j.User, "email", "username", "emailOrUsername")
	groups := map[string]*JamfGroups{".computerGroups": j.ComputerGroups, ".mobileGroups": j.MobileGroups}
	for _, name := range []string{".computerGroups", ".mobileGroups"} {
		if g := groups[name]; g != nil {
			c.list(at+name+".compliant", g.Compliant)
			c.list(at+name+".noncompliant", g.Noncompliant)
		}
	}
}

func (c *check) fleet(at string, f *Fleet) {
	if f == nil {
		return
	}
	for attribute := range f.Policies {
		c.attribute(at+".policies", attribute)
	}
	if f.AllPolicies && len(f.Compliance) > 0 {
		c.fault(at+".allPolicies", "compliance names policies, and allPolicies means all", "write one of the two")
	}
	c.list(at+".users", f.Users)
	c.within(at+".perPage", f.PerPage, 1, 500)
}
