package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

func (c *check) kolide(at string, s *Source) {
	if s.Type == SourceKolide && len(s.SecretFiles) == 0 {
		c.fault(at+".secretFiles", fmt.Sprintf("source %q has no secret", s.Name),
			"name at least one file with the webhook's signing secret in secretFiles")
	}
	k := s.Kolide
	if k == nil {
		return
	}
	at += ".kolide"
	for _, attribute := range slices.Sorted(maps.Keys(k.Checks)) {
		c.attribute(at+".checks", attribute)
		for _, id := range k.Checks[attribute] {
			if id == "" || strings.Trim(id, "0123456789") != "" {
				c.fault(at+".checks", fmt.Sprintf("%q is no check of Kolide", id), "write the number in the URL of the check")
			}
		}
	}
	if k.Passing && len(k.Checks) == 0 {
		c.fault(at+".passing", "passing says something of checks, and there are none", "write checks, or remove it")
	}
	if c.document.Has(at+".window") && (k.Window < time.Minute || k.Window > 96*time.Hour) {
		c.fault(at+".window", fmt.Sprintf("window is %s", k.Window), "write 1m to 96h")
	}
}
