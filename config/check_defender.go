package config

import (
	"fmt"
	"time"
)

func (c *check) defender(at string, s *Source) {
	d := s.Defender
	if s.Type == SourceDefender {
		tenant := ""
		if d != nil {
			tenant = d.Tenant
		}
		c.tenant(at, "defender", d != nil, tenant)
	}
	if d == nil {
		return
	}
	at += ".defender"
	c.within(at+".pageSize", d.PageSize, 1, 10_000)
	if c.document.Has(at+".seenWithin") && (d.SeenWithin < 48*time.Hour || d.SeenWithin > 180*24*time.Hour) {
		c.fault(at+".seenWithin", fmt.Sprintf("seenWithin is %s", d.SeenWithin), "write 48h to 4320h, or leave it out")
	}
}
