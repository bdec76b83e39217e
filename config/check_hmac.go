package config

import (
	"fmt"
	"net/http"
	"time"
)

// hmac checks the parts of a signature, and how they go together.
func (c *check) hmac(at string, h *WebhookHMAC) {
	if h == nil {
		return
	}
	for field, name := range map[string]string{".header": h.Header, ".timestampHeader": h.TimestampHeader, ".idHeader": h.IDHeader} {
		if name != "" && (!isToken(name) || oddHeader[http.CanonicalHeaderKey(name)]) {
			c.fault(at+field, fmt.Sprintf("%q is no header of a sender", name), "write the header's name, such as X-Signature")
		}
	}
	c.oneOf(at+".algorithm", h.Algorithm, "sha256", "sha384", "sha512")
	c.oneOf(at+".encoding", h.Encoding, "hex", "base64")
	c.oneOf(at+".signed", h.Signed, "body", "timestamp+body", "body+timestamp", "timestamp.body", "id.timestamp.body")
	timed := h.Signed != "" && h.Signed != "body"
	c.onlyFor(at+".timestampHeader", h.TimestampHeader != "", timed, "a timestamp that is signed: write it in signed")
	c.onlyFor(at+".idHeader", h.IDHeader != "", h.Signed == "id.timestamp.body", "signed: id.timestamp.body")
	if timed && h.TimestampHeader == "" || h.Signed == "id.timestamp.body" && h.IDHeader == "" {
		c.fault(at+".signed", "signed names what no header holds", "write timestampHeader, and for an id idHeader")
	}
	if c.document.Has(at+".window") && (h.Window < time.Second || h.Window > time.Hour) {
		c.fault(at+".window", fmt.Sprintf("window is %s", h.Window), "write 1s to 1h")
	}
	c.onlyFor(at+".window", c.document.Has(at+".window"), timed, "a timestamp that is signed")
	c.files(at+".secretFiles", h.SecretFiles)
}

// cloudEvents: a source of type standard reads the one type that it knows.
func (c *check) cloudEvents(at, kind string, e *CloudEvents) {
	if e == nil {
		return
	}
	if kind == SourceStandard && len(e.Types) > 0 && (len(e.Types) != 1 || e.Types[0] != "device.posture") {
		c.fault(at+".types", "a standard source reads the type device.posture alone", "write types: [device.posture]")
	}
	c.list(at+".types", e.Types)
	c.list(at+".origins", e.Origins)
}
