package config

import "fmt"

func (c *check) okta(at string, s *Source) {
	o := s.Okta
	if o == nil {
		return
	}
	at += ".okta"
	c.within(at+".pageSize", o.PageSize, 1, 200)
	c.oneOf(at+".user", o.User, "login", "email")
	c.list(at+".encrypted", o.Encrypted)
	for i, word := range o.Encrypted {
		if word == "NONE" || word == "" {
			c.fault(fmt.Sprintf("%s.encrypted[%d]", at, i), fmt.Sprintf("%q is not the word of an encrypted disk", word),
				"write FULL, USER, ALL_INTERNAL_VOLUMES or SYSTEM_VOLUME")
		}
	}
	if c.document.Has(at+".encrypted") && len(o.Encrypted) == 0 {
		c.fault(at+".encrypted", "encrypted has no word", "write at least one, or leave it out for FULL, USER and ALL_INTERNAL_VOLUMES")
	}
}
