package config_test

import (
	"time"

	"github.com/tiergate/tiergate/config"
)

// transmitters are those of full.yaml.
func transmitters(at func(string) string) []config.SSF {
	return []config.SSF{
		{
			Name: "login", Issuer: "https://login.acme.example", Audiences: []string{"https://hooks.acme.example/ssf"},
			Algorithms: []string{"RS256", "ES256"}, JWKSURL: "https://login.acme.example/ssf/keys", CAFile: at("ca.pem"),
			Delivery: "push", PushTokenFiles: []string{at("secret"), at("secret.old")},
			Transmitter: &config.SSFTransmitter{
				MetadataURL:  "https://login.acme.example/.well-known/sse-configuration",
				AllowedHosts: []string{"ssf.acme.example"}, TokenURL: "https://login.acme.example/oauth2/token", ClientID: "tiergate",
				ClientSecretFile: at("secret"), Scope: "ssf.manage ssf.read", ReceiverURL: "https://hooks.acme.example/v1/ssf/login",
				StreamID: "f67e39a0", Events: []string{"https://schemas.openid.net/secevent/caep/event-type/session-revoked"},
			},
			SubjectInEvent: true, SubjectIssuers: []string{"https://old.acme.example"}, Tenant: "123",
			Users: &config.SSFUsers{Issuer: "corp", Revoke: []string{"session-revoked", "credential-change"}, RiskRevokes: "medium", RiskRefuses: "high",
				MaxTokenLife: 12 * time.Hour},
		},
		{
			Name: "posture", Issuer: "https://api.posture.example", Audiences: []string{"acme"}, Algorithms: []string{"RS256"},
			JWKSFile: at("jwks.json"), Delivery: "poll",
			Transmitter: &config.SSFTransmitter{TokenFile: at("secret"), Unmanaged: true, VerifyEvery: time.Hour},
			Poll: &config.SSFPoll{URL: "https://api.posture.example/ssf_streams/7/events", Every: 30 * time.Second, Max: 10,
				Dialect: "kolide", TokenFile: at("secret")},
			Devices: &config.SSFDevices{Names: "vendor", Source: "mdm"}, Attests: []string{"config_compliance", "threat_level"},
		},
		{
			Name: "plain", Issuer: "https://idp.cedar.example", Audiences: []string{"acme"}, Algorithms: []string{"RS256"},
			Delivery: "push", Users: &config.SSFUsers{Issuer: "cedar", RiskRevokes: "high", RiskRefuses: "never", MaxTokenLife: 24 * time.Hour},
			Devices: &config.SSFDevices{Names: "serial"},
		},
	}
}
