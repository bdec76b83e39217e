package policy

// LoginPage is where browsers are sent whose login does not do on a route.
type LoginPage struct {
	URL string // as Login.URL: https://…, or a path on the host that was asked
	// Always is what every login on the route must show, so that who has none is asked for it the first time; nil: the tier
	// wants nothing in particular, or not of all.
	Always *Challenge
}

// LoginPage finds the page of a route by its name; ok is false for one without.
func (p *Policy) LoginPage(route string) (page LoginPage, ok bool) {
	if p == nil {
		return LoginPage{}, false
	}
	page, ok = p.logins[route]
	return page, ok
}

// loginPages are the pages of all routes that have one. It is called only when there are no faults.
func (c *compiler) loginPages() map[string]LoginPage {
	pages := map[string]LoginPage{}
	for i := range c.spec.Routes {
		r := &c.spec.Routes[i]
		if r.Login == nil {
			continue
		}
		page := LoginPage{URL: r.Login.URL}
		if d := c.spec.Tiers[c.tierAt[r.Tier]].StepUp; d != nil && d.When != StepUpSignals {
			page.Always = &Challenge{ACR: d.ACR, AMR: d.AMR, MaxAge: d.MaxAge}
		}
		pages[r.Meta.Name] = page
	}
	return pages
}
