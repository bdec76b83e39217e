package config

import "fmt"

func (c *check) jamf(at string, s *Source) {
	j := s.Jamf
	if j == nil {
		return
	}
	at += ".jamf"
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
