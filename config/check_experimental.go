package config

func (c *check) sentinelOne(at string, s *Source) {
	points := ""
	if s.SentinelOne != nil {
		points = s.SentinelOne.Points
	}
	c.path(at+".sentinelone.points", points)
	if s.Type == SourceSentinelOne && s.Webhook != nil && points == "" && !c.document.Has(at+".sentinelone.points") {
		c.fault(at, "a notification's body is not documented publicly, so where the agent's id stands is not known",
			"write its path in sentinelone.points, or remove webhook")
	}
	c.onlyFor(at+".sentinelone.points", points != "", s.Webhook != nil, "a source with webhook")
}
