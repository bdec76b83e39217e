package config

func (c *check) fleet(at string, s *Source) {
	f := s.Fleet
	if f == nil {
		return
	}
	at += ".fleet"
	for attribute := range f.Policies {
		c.attribute(at+".policies", attribute)
	}
	if f.AllPolicies && len(f.Compliance) > 0 {
		c.fault(at+".allPolicies", "compliance names policies, and allPolicies means all", "write one of the two")
	}
	c.list(at+".users", f.Users)
	c.within(at+".perPage", f.PerPage, 1, 500)
}
