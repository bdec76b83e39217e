package config

import (
	"fmt"
	"maps"
	"slices"
)

func (c *check) kandji(at string, s *Source) {
	k := s.Kandji
	if k == nil {
		return
	}
	at += ".kandji"
	c.list(at+".tables", k.Tables)
	for i, table := range k.Tables {
		c.oneOf(fmt.Sprintf("%s.tables[%d]", at, i), table, "filevault", "application_firewall", "startup_settings", "device_information")
	}
	for _, attribute := range slices.Sorted(maps.Keys(k.Items)) {
		c.attribute(at+".items", attribute)
		if len(k.Items[attribute]) == 0 || slices.Contains(k.Items[attribute], "") {
			c.fault(at+".items", fmt.Sprintf("%s has no item", attribute), "write the item_id of each, as in the URL of the item")
		}
	}
	c.list(at+".compliance", k.Compliance)
	if k.AllItems && len(k.Compliance) > 0 {
		c.fault(at+".allItems", "allItems and compliance say two things", "write one of them")
	}
	if k.Quiet && !k.Threats {
		c.fault(at+".quiet", "quiet says something of threats, which are not read", "write threats: true, or remove it")
	}
	if k.Released != "" && !k.Threats {
		c.fault(at+".released", "released says something of threats, which are not read", "write threats: true, or remove it")
	}
	c.oneOf(at+".released", k.Released, "none", "low", "medium", "high")
}
