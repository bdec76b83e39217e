package config

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// outlets checks where findings are told.
func (c *check) outlets(outlets []Outlet) {
	names, files := unique{}, unique{}
	for i := range outlets {
		o, at := &outlets[i], fmt.Sprintf("outlets[%d]", i)
		c.name(at+".name", o.Name)
		c.unique(names, at+".name", o.Name)
		c.oneOf(at+".type", o.Type, OutletWebhook, OutletSlack, OutletCloudEvents, OutletJSONLines)
		c.outletSource(at, o)
		if o.Type == OutletJSONLines {
			c.outletFile(at, o)
			c.unique(files, at+".file", o.File)
			continue
		}
		c.onlyFor(at+".file", o.File != "", false, "type: jsonlines")
		c.outletURL(at, o)
		c.outletSecrets(at, o)
		c.headers(at+".headers", o.Headers, false)
		c.headers(at+".headerFiles", o.HeaderFiles, true)
		for name := range o.Headers {
			if _, twice := o.HeaderFiles[name]; twice {
				c.fault(at+".headers", fmt.Sprintf("the header %s stands in headerFiles too", name), "write it in one of the two")
			}
		}
		c.outletWebhookHeaders(at, o)
		c.file(at+".caFile", &o.CAFile)
		if o.ProxyURL != "" {
			u, err := url.Parse(o.ProxyURL)
			if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				c.fault(at+".proxyURL", "proxyURL is no URL of a proxy", "write http://host:port")
			}
		}
		if o.Timeout < time.Second || o.Timeout > time.Minute {
			c.fault(at+".timeout", fmt.Sprintf("timeout is %s", o.Timeout), "write 1s to 1m")
		}
	}
	if len(outlets) > 0 && !slices.ContainsFunc(outlets, func(o Outlet) bool { return o.Default }) {
		c.fault("outlets", "no outlet is told what no monitor says where to tell",
			"mark one at least with default: true, else the end of an exception is told nobody")
	}
}

func (c *check) outletURL(at string, o *Outlet) {
	if (o.URL == "") == (o.URLFile == "") {
		c.fault(at, fmt.Sprintf("outlet %q has not one place to post to", o.Name), "write url, or urlFile where it is a secret")
	}
	c.httpsURL(at+".url", o.URL)
	c.file(at+".urlFile", &o.URLFile)
}

func (c *check) outletSecrets(at string, o *Outlet) {
	c.files(at+".secretFiles", o.SecretFiles)
	c.file(at+".tokenFile", &o.TokenFile)
	if o.Type == OutletWebhook && len(o.SecretFiles) == 0 {
		c.fault(at, fmt.Sprintf("webhook %q signs nothing", o.Name),
			"write secretFiles with a file that holds: echo whsec_$(openssl rand -base64 32)")
	}
}

// outletWebhookHeaders keeps those of a signature for the signature.
func (c *check) outletWebhookHeaders(at string, o *Outlet) {
	for field, headers := range map[string]map[string]string{".headers": o.Headers, ".headerFiles": o.HeaderFiles} {
		for _, name := range slices.Sorted(maps.Keys(headers)) {
			switch http.CanonicalHeaderKey(name) {
			case "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "User-Agent":
				c.fault(at+field, fmt.Sprintf("%s is set by tiergate", http.CanonicalHeaderKey(name)), "remove it")
			}
		}
	}
}

// outletSource wants what CloudEvents 1.0.2 calls a non-empty URI-reference.
func (c *check) outletSource(at string, o *Outlet) {
	c.onlyFor(at+".source", o.Source != "", o.Type == OutletCloudEvents, "type: cloudevents")
	_, err := url.Parse(o.Source)
	if strange := func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"<>\^`+"`{|}", r) }; err != nil ||
		len(o.Source) > 200 || strings.ContainsFunc(o.Source, strange) {
		c.fault(at+".source", "source is no URI reference", "write /tiergate/eu, or https://acme.example/tiergate/eu")
	}
}

// outletFile wants a directory that is there, and nothing that only a server has.
func (c *check) outletFile(at string, o *Outlet) {
	for field, is := range map[string]bool{".url": o.URL != "", ".urlFile": o.URLFile != "", ".secretFiles": len(o.SecretFiles) > 0,
		".tokenFile": o.TokenFile != "", ".headers": len(o.Headers) > 0, ".headerFiles": len(o.HeaderFiles) > 0, ".caFile": o.CAFile != "",
		".proxyURL": o.ProxyURL != "", ".timeout": o.Timeout != 0} {
		c.onlyFor(at+field, is, false, "types webhook, slack and cloudevents")
	}
	if o.File == "" {
		c.fault(at, fmt.Sprintf("outlet %q has no file", o.Name), "write file: findings.jsonl")
		return
	}
	c.absolute(&o.File)
	if info, err := os.Stat(o.File); err == nil && info.IsDir() {
		c.fault(at+".file", o.File+" is a directory", "name a file in it")
	}
	if _, err := os.Stat(filepath.Dir(o.File)); errors.Is(err, os.ErrNotExist) {
		c.fault(at+".file", "directory not found: "+filepath.Dir(o.File), "create it, or correct the path")
	}
}
