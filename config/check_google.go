package config

import (
	"fmt"
	"slices"
	"strings"
)

func (c *check) google(at string, s *Source) {
	g := s.Google
	if g == nil {
		return
	}
	at += ".google"
	c.list(at+".lists", g.Lists)
	for i, list := range g.Lists {
		c.oneOf(fmt.Sprintf("%s.lists[%d]", at, i), list, "devices", "chromeos")
	}
	if g.Customer != "" && strings.ContainsFunc(g.Customer, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}) {
		c.fault(at+".customer", fmt.Sprintf("%q is no id of an account", g.Customer), "write it as the Admin console shows it: C0…")
	}
	c.apiURL(at+".chromeOSURL", g.ChromeOSURL)
	if g.ChromeOSURL != "" && !slices.Contains(g.Lists, "chromeos") {
		c.fault(at+".chromeOSURL", "the list chromeos is not asked for", "add it to lists, or remove the URL")
	}
}
