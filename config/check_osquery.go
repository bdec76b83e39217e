package config

import (
	"fmt"
	"time"
)

func (c *check) osquery(at string, s *Source) {
	o := s.Osquery
	if o == nil {
		if s.Type == SourceOsquery && !c.document.Has(at+".osquery") {
			c.fault(at, fmt.Sprintf("source %q lets nobody enrol", s.Name), "write osquery: {enrollSecretFiles: [FILE], keyFile: FILE}")
		}
		return
	}
	at += ".osquery"
	c.files(at+".enrollSecretFiles", o.EnrollSecretFiles)
	c.file(at+".keyFile", &o.KeyFile)
	if c.document.Has(at+".interval") && (o.Interval < time.Minute || o.Interval > 24*time.Hour) {
		c.fault(at+".interval", fmt.Sprintf("interval is %s", o.Interval), "write 1m to 24h")
	}
}
