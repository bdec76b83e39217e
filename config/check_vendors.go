package config

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// vendor checks what is said of a source against what its type has, as sourceTypes says it.
func (c *check) vendor(at string, s *Source) {
	t, known := sourceTypes[s.Type]
	if known {
		c.demand(at, ".webhook", s.Webhook != nil, t.webhook, fmt.Sprintf("source %q lets nobody in", s.Name),
			"say in webhook how the vendor shows who it is", "a vendor that delivers")
		c.demand(at, ".api", s.API != nil, t.api, fmt.Sprintf("source %q cannot be asked", s.Name),
			"say in api where its server is and who we are there", "a vendor that is asked")
		c.onlyFor(at+".sync", c.document.Has(at+".sync"), t.api != never, "a vendor that is asked")
		c.onlyFor(at+".secretFiles", len(s.SecretFiles) > 0, t.secretFiles, "a source whose type signs, such as standard")
		c.onlyFor(at+".cloudEvents", s.CloudEvents != nil, t.events, "a source that takes the envelope (standard, mapping)")
		for _, name := range slices.Sorted(maps.Keys(sourceTypes)) {
			if other := sourceTypes[name]; other.block != "" && other.block != t.block {
				c.onlyFor(at+"."+other.block, c.document.Has(at+"."+other.block), false, "a source of type "+name)
			}
		}
	}
	if s.Webhook != nil {
		c.webhook(at+".webhook", s.Webhook, t.parts)
	}
	c.cloudEvents(at+".cloudEvents", s.Type, s.CloudEvents)
	if s.API != nil {
		c.api(at+".api", s.API, t.credentials)
	}
	if s.Sync != nil {
		if s.Sync.Every < time.Minute || s.Sync.Every > 7*24*time.Hour {
			c.fault(at+".sync.every", fmt.Sprintf("every is %s", s.Sync.Every), "write 1m to 168h")
		}
		c.within(at+".sync.maxShrinkPercent", s.Sync.MaxShrinkPercent, 0, 100)
	}
	for name, other := range sourceTypes {
		if other.check != nil && (name == s.Type || other.block != "" && c.document.Has(at+"."+other.block)) {
			other.check(c, at, s)
		}
	}
}

// demand wants a block where it is needed, and refuses it where there is nothing that it could say.
func (c *check) demand(at, name string, is bool, needs need, message, help, whom string) {
	if needs == needed && !is && !c.document.Has(at+name) {
		c.fault(at, message, help)
	}
	c.onlyFor(at+name, is, needs != never, whom)
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

func waysIn(parts bool) string {
	if parts {
		return "basic, header, urlSecretFiles and hmac"
	}
	return "basic, header and urlSecretFiles"
}

// webhook wants one way in.
func (c *check) webhook(at string, w *Webhook, parts bool) {
	ways := 0
	for _, way := range []string{".basic", ".header", ".urlSecretFiles", ".hmac"} {
		if c.document.Has(at + way) {
			ways++
		}
	}
	if ways != 1 {
		c.fault(at, fmt.Sprintf("webhook has %d ways in", ways), "write one of "+waysIn(parts))
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
	c.onlyFor(at+".hmac", w.HMAC != nil, parts, "a source that is built on the mapping source")
	c.hmac(at+".hmac", w.HMAC)
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
