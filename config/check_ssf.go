package config

import (
	"fmt"
	"net/url"
	"slices"
	"time"
)

// setAlgorithms are those that a SET may be signed with; RFC 8417 has no list of its own.
var setAlgorithms = []string{"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"}

// ssf checks the transmitters of Shared Signals.
func (c *check) ssf(s *Settings) {
	names := unique{}
	for i := range s.Sources {
		names[s.Sources[i].Name] = fmt.Sprintf("sources[%d].name", i)
	}
	for i := range s.SSF {
		x, at := &s.SSF[i], fmt.Sprintf("ssf[%d]", i)
		c.name(at+".name", x.Name)
		c.unique(names, at+".name", x.Name)
		c.httpsURL(at+".issuer", x.Issuer)
		c.list(at+".audiences", x.Audiences)
		c.list(at+".algorithms", x.Algorithms)
		for j, algorithm := range x.Algorithms {
			c.oneOf(fmt.Sprintf("%s.algorithms[%d]", at, j), algorithm, setAlgorithms...)
		}
		c.oneOf(at+".delivery", x.Delivery, DeliveryPush, DeliveryPoll)
		c.list(at+".subjectIssuers", x.SubjectIssuers)
		c.files(at+".pushTokenFiles", x.PushTokenFiles)
		c.ssfKeys(at, x)
		c.ssfTransmitter(at, x)
		c.ssfPoll(at, x)
		c.ssfUsers(at+".users", x.Users, s.Identity.Issuers)
		c.ssfDevices(at, x, s.Sources)
	}
}

// httpsURL wants https, or http on a loopback host.
func (c *check) httpsURL(path, value string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http":
		c.fault(path, fmt.Sprintf("%q is no URL", value), "write https://host[:port][/path]")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		c.fault(path, fmt.Sprintf("%q is not https", value), "write https: whoever is on the way could read or change it")
	}
}

func (c *check) ssfKeys(at string, x *SSF) {
	c.file(at+".jwksFile", &x.JWKSFile)
	c.file(at+".caFile", &x.CAFile)
	c.httpsURL(at+".jwksURL", x.JWKSURL)
	if x.JWKSFile != "" && x.JWKSURL != "" {
		c.fault(at+".jwksURL", "the transmitter has both jwksFile and jwksURL",
			"write one of them, or none: its metadata say where its keys are")
	}
}

func (c *check) ssfTransmitter(at string, x *SSF) {
	t := x.Transmitter
	if t == nil {
		if x.Delivery == DeliveryPoll {
			c.fault(at, fmt.Sprintf("transmitter %q is polled, and nothing says where and as whom", x.Name),
				"write transmitter: with its credentials")
		}
		return
	}
	at += ".transmitter"
	c.httpsURL(at+".metadataURL", t.MetadataURL)
	c.httpsURL(at+".tokenURL", t.TokenURL)
	c.httpsURL(at+".receiverURL", t.ReceiverURL)
	c.list(at+".allowedHosts", t.AllowedHosts)
	c.list(at+".events", t.Events)
	c.file(at+".tokenFile", &t.TokenFile)
	c.file(at+".clientSecretFile", &t.ClientSecretFile)
	parts := 0
	for _, there := range []bool{t.TokenURL != "", t.ClientID != "", t.ClientSecretFile != ""} {
		if there {
			parts++
		}
	}
	if parts != 0 && parts != 3 || parts == 3 && t.TokenFile != "" || parts == 0 && t.TokenFile == "" && x.Managed() {
		c.fault(at, "transmitter has not one kind of credentials",
			"write tokenFile, or tokenURL with clientID and clientSecretFile")
	}
	if v := t.VerifyEvery; v != 0 && (v < time.Minute || v > 7*24*time.Hour) {
		c.fault(at+".verifyEvery", fmt.Sprintf("verifyEvery is %s", v), "write 1m to 168h, or 0s for never")
	}
	c.onlyFor(at+".receiverURL", t.ReceiverURL != "", x.Delivery == DeliveryPush, "delivery: push")
	if t.Unmanaged && x.Delivery == DeliveryPoll && (x.Poll == nil || x.Poll.URL == "") {
		c.fault(at+".unmanaged", "unmanaged, and nothing says where to poll", "write poll.url, or remove unmanaged")
	}
}

func (c *check) ssfPoll(at string, x *SSF) {
	p := x.Poll
	if p == nil {
		return
	}
	c.onlyFor(at+".poll", true, x.Delivery == DeliveryPoll, "delivery: poll")
	at += ".poll"
	c.httpsURL(at+".url", p.URL)
	c.oneOf(at+".dialect", p.Dialect, DialectRFC8936, DialectKolide)
	c.file(at+".tokenFile", &p.TokenFile)
	if p.Every < time.Second || p.Every > time.Hour {
		c.fault(at+".every", fmt.Sprintf("every is %s", p.Every), "write 1s to 1h")
	}
	c.within(at+".max", p.Max, 1, 1000)
	if kolide := p.Dialect == DialectKolide; kolide != c.document.Has(at+".tokenFile") {
		c.fault(at, "tokenFile and dialect: kolide belong together", "write both, or none of them")
	}
}

func (c *check) ssfUsers(at string, u *SSFUsers, issuers []Issuer) {
	if u == nil {
		return
	}
	if u.Issuer != "" && !slices.ContainsFunc(issuers, func(i Issuer) bool { return i.Name == u.Issuer }) {
		c.fault(at+".issuer", fmt.Sprintf("no issuer is named %q", u.Issuer), "write the name of one of identity.issuers")
	}
	c.list(at+".revoke", u.Revoke)
	for i, event := range u.Revoke {
		if len(c.words.Events) > 0 {
			c.oneOf(fmt.Sprintf("%s.revoke[%d]", at, i), event, c.words.Events...)
		}
	}
	c.oneOf(at+".riskRevokes", u.RiskRevokes, "low", "medium", "high", "never")
	c.oneOf(at+".riskRefuses", u.RiskRefuses, "low", "medium", "high", "never")
	if u.MaxTokenLife < 5*time.Minute || u.MaxTokenLife > 365*24*time.Hour {
		c.fault(at+".maxTokenLife", fmt.Sprintf("maxTokenLife is %s", u.MaxTokenLife), "write 5m to 8760h")
	}
}

// ssfAttributes are what events can state of devices.
var ssfAttributes = []string{"certificate_status", "config_compliance", "threat_level"}

func (c *check) ssfDevices(at string, x *SSF, sources []Source) {
	c.list(at+".attests", x.Attests)
	for i, attribute := range x.Attests {
		c.oneOf(fmt.Sprintf("%s.attests[%d]", at, i), attribute, ssfAttributes...)
	}
	if x.Users == nil && x.Devices == nil {
		c.fault(at, fmt.Sprintf("transmitter %q has no effect", x.Name),
			"write users, so that its events void logins, or devices with attests, so that they state facts")
	}
	d := x.Devices
	if d == nil {
		if len(x.Attests) > 0 {
			c.fault(at+".attests", "attests without devices: nothing says which device an event is about",
				"write devices: {names: …}")
		}
		return
	}
	at += ".devices"
	c.oneOf(at+".names", d.Names, "serial", "uuid", "directory", "certificate", "vendor")
	c.onlyFor(at+".source", c.document.Has(at+".source"), d.Names == "vendor", "names: vendor")
	known := d.Source == x.Name || slices.ContainsFunc(sources, func(s Source) bool { return s.Name == d.Source })
	if d.Source != "" && !known {
		c.fault(at+".source", fmt.Sprintf("no source is named %q", d.Source), "write the name of one of sources")
	}
}
