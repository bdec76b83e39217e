package main

import (
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/config"
)

// bearers says once, at start, whose tokens count for whoever holds them: a stolen one is as good as its owner's.
func (o *observer) bearers(issuers []config.Issuer) {
	for _, issuer := range issuers {
		if issuer.SenderConstrained != config.ConstrainedRequired {
			o.log.Warn("tokens of this issuer that are bound to no certificate count for whoever holds them; once it binds "+
				"them (RFC 8705), set senderConstrained: required", zap.String("issuer", issuer.Name))
		}
	}
}
