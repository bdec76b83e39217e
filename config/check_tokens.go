package config

import (
	"fmt"
	"time"
)

// The bounds of Identity.DPoPWindow.
const (
	minDPoPWindow = 5 * time.Second
	maxDPoPWindow = 5 * time.Minute
)

// Who verifies the signatures of an issuer's tokens (Issuer.VerifiedBy).
const (
	VerifiedByTiergate = "tiergate"
	VerifiedByEnvoy    = "envoy"
)

// The bounds of Identity.RevocationsStale.
const (
	minRevocationsStale = 5 * time.Second
	maxRevocationsStale = 24 * time.Hour
)

// The bounds of Identity.SessionLife.
const (
	minSessionLife = time.Hour
	maxSessionLife = 365 * 24 * time.Hour
)

// What moves an issuer's auth_time (Issuer.AuthTime).
const (
	AuthTimeLogin     = "login"
	AuthTimeRefreshed = "refreshed"
	AuthTimeNever     = "never"
)

// deviceNames are the kinds of device names that an issuer can know.
var deviceNames = []string{"serial", "uuid", "directory", "certificate"}

// tokens checks what is said of tokens beyond a single issuer.
func (c *check) tokens(s *Settings) {
	id := &s.Identity
	if id.DPoPWindow < minDPoPWindow || id.DPoPWindow > maxDPoPWindow {
		c.fault("identity.dpopWindow", fmt.Sprintf("dpopWindow is %s", id.DPoPWindow), "write a duration from 5s to 5m")
	}
	if id.RevocationsStale < minRevocationsStale || id.RevocationsStale > maxRevocationsStale {
		c.fault("identity.revocationsStale", fmt.Sprintf("revocationsStale is %s", id.RevocationsStale), "write a duration from 5s to 24h")
	}
	if id.SessionLife < minSessionLife || id.SessionLife > maxSessionLife {
		c.fault("identity.sessionLife", fmt.Sprintf("sessionLife is %s", id.SessionLife), "write a duration from 1h to 8760h")
	}
	if id.JWTSVIDs != nil {
		c.jwtSVIDs(id)
	}
	for i := range id.Issuers {
		issuer, at := &id.Issuers[i], fmt.Sprintf("identity.issuers[%d]", i)
		if d := issuer.Device; d != nil {
			c.oneOf(at+".device.names", d.Names, deviceNames...)
		}
		c.oneOf(at+".authTime", issuer.AuthTime, AuthTimeLogin, AuthTimeRefreshed, AuthTimeNever)
		c.oneOf(at+".verifiedBy", issuer.VerifiedBy, VerifiedByTiergate, VerifiedByEnvoy)
		if issuer.VerifiedBy != VerifiedByEnvoy {
			continue
		}
		if len(s.Envoy.Listeners) == 0 {
			c.fault(at+".verifiedBy", "verifiedBy is envoy, and this process programs none",
				"write envoy.listeners, or verifiedBy: tiergate")
		}
		if issuer.JWKSURL != "" {
			c.fault(at+".jwksURL", "jwksURL with verifiedBy: envoy, which is given its keys by this process",
				"write jwksFile, or verifiedBy: tiergate")
		}
	}
}

func (c *check) jwtSVIDs(id *Identity) {
	const at = "identity.jwtSVIDs"
	c.list(at+".audiences", id.JWTSVIDs.Audiences)
	if leeway := id.JWTSVIDs.Leeway; leeway > maxLeeway {
		c.fault(at+".leeway", fmt.Sprintf("leeway is %s", leeway), "write at most 5m")
	}
	switch {
	case id.WorkloadAPI == nil:
		c.fault(at, "jwtSVIDs without workloadAPI, from which their keys come", "write identity.workloadAPI: {socket: …}")
	case len(id.TrustDomains) == 0:
		c.fault(at, "jwtSVIDs without a trust domain", "name whose workloads count in identity.trustDomains")
	}
}
