package config

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

func (c *check) crowdStrike(at string, s *Source) {
	x := s.CrowdStrike
	if x == nil {
		return
	}
	at += ".crowdstrike"
	c.oneOf(at+".signed", x.Signed, "body+timestamp", "timestamp+body")
	for _, header := range []struct{ field, name string }{
		{".signatureHeader", x.SignatureHeader}, {".timestampHeader", x.TimestampHeader},
	} {
		if header.name != "" && (!isToken(header.name) || oddHeader[http.CanonicalHeaderKey(header.name)]) {
			c.fault(at+header.field, fmt.Sprintf("%q is no header of a webhook", header.name), "write it as the plugin's settings show it")
		}
	}
	if c.document.Has(at+".window") && (x.Window < time.Second || x.Window > time.Hour) {
		c.fault(at+".window", fmt.Sprintf("window is %s", x.Window), "write 1s to 1h")
	}
	c.list(at+".points", x.Points)
	for _, attribute := range slices.Sorted(maps.Keys(x.Signals)) {
		c.attribute(at+".signals", attribute)
	}
	if len(x.Signals) > 0 && !x.Assessments {
		c.fault(at+".signals", "signals are read from assessments, which are not asked for", "write assessments: true, or remove them")
	}
	c.within(at+".pageSize", x.PageSize, 1, 500)
}
