package config

import "fmt"

func (c *check) ingest(i *Ingest) {
	if i.Links != "" {
		c.dir("ingest.links", &i.Links)
	}
	if i.MaxBody < 1024 || i.MaxBody > 16<<20 {
		c.fault("ingest.maxBodyBytes", fmt.Sprintf("maxBodyBytes is %d", i.MaxBody), "write a number from 1024 to 16777216")
	}
	if i.MaxInbox < 100 || i.MaxInbox > 1_000_000 {
		c.fault("ingest.maxInbox", fmt.Sprintf("maxInbox is %d", i.MaxInbox), "write a number from 100 to 1000000")
	}
	if i.MaxRemembered < 1000 || i.MaxRemembered > 100_000_000 {
		c.fault("ingest.maxRemembered", fmt.Sprintf("maxRemembered is %d", i.MaxRemembered),
			"write a number from 1000 to 100000000")
	}
	if i.Rate < 0 || i.Rate > 1_000_000 {
		c.fault("ingest.rate", fmt.Sprintf("rate is %d deliveries per second", i.Rate),
			"write a number from 1 to 1000000, or 0 for as many as come")
	}
}
