package config_test

import (
	"errors"
	"strings"
	"time"

	"github.com/tiergate/tiergate/config"
)

// onePath stands for the path language, which this package does not know.
func onePath(text string) error {
	if strings.Count(text, "[") != strings.Count(text, "]") || strings.Contains(text, "..") || strings.Contains(text, " ") {
		return errors.New("that is no path")
	}
	return nil
}

// mapped are the sources of full.yaml that are read by a mapping.
func mapped(at func(string) string) []config.Source {
	hourly := &config.Sync{Every: time.Hour, MaxShrinkPercent: 50}
	seen := &config.MappingTime{Paths: []string{"seen", "inventory.at"}, Format: "layout", Layout: "2006-01-02 15:04:05",
		Zone: "+02:00", Never: []string{"never"}}
	names := config.MappingDevice{Serial: "serial", UUID: "uuid", Directory: "entra", ID: "id"}
	return []config.Source{
		{
			Name: "acme-mdm", Type: "mapping", Attests: []string{"disk_encryption", "platform"},
			Webhook: &config.Webhook{HMAC: &config.WebhookHMAC{Header: "X-Signature", Prefix: "v1=", Algorithm: "sha512",
				Encoding: "base64", Signed: "id.timestamp.body", TimestampHeader: "X-Time", IDHeader: "X-Id", Window: 2 * time.Minute,
				SecretFiles: []string{at("secret"), at("secret.old")}}},
			API: &config.API{URL: "https://mdm.acme.example", ClientID: "7c9e", KeyFile: at("key.pem"), KeyID: "k1", Rate: 5,
				Token:   &config.APIToken{URL: "https://login.acme.example/token", Scope: "read", Audience: "api"},
				Headers: map[string]string{"Accept": "application/json;version=2"}, HeaderFiles: map[string]string{"X-Tenant": at("secret")}},
			Sync:        hourly,
			CloudEvents: &config.CloudEvents{Types: []string{"com.acme.device"}, Origins: []string{"mdm.acme.example"}},
			Mapping: &config.Mapping{
				Delivery: &config.MappingDelivery{NDJSON: true, ID: "event.id", Points: "devices[*].id",
					Kind: &config.MappingKind{Path: "event.type", Read: []string{"changed"}, Ignore: []string{"ping"}}},
				Record: &config.MappingRecord{Devices: "items[*]", Device: names, Observed: seen,
					Facts: map[string]config.MappingFact{
						"platform":        {Path: "os.name"},
						"os_version":      {Path: "os.version", As: "version", Else: "error"},
						"enrolled_user":   {Always: "nobody", Observed: &config.MappingTime{Paths: []string{"at"}, Format: "seconds"}},
						"disk_encryption": {All: []config.MappingPart{{Path: "disk", As: "count", Values: map[string]string{"0": "true"}, Else: "worst"}}},
					}},
				List: &config.MappingList{Path: "/devices", Query: map[string]string{"limit": "100"}, Post: true, Page: "cursor",
					Parameter: "after", Next: "page.next", Total: "page.total"},
				Get: &config.MappingGet{Path: "/devices/{id}", Query: map[string]string{"view": "full"}, Device: "device"},
			},
		},
		{
			Name: "push", Type: "mapping", Attests: []string{"platform"},
			Webhook: &config.Webhook{Header: &config.WebhookHeader{Name: "X-Key", ValueFiles: []string{at("secret")}}},
			Mapping: &config.Mapping{Delivery: &config.MappingDelivery{Record: &config.MappingRecord{
				Device: names, Observed: &config.MappingTime{Received: true},
				Kind: &config.MappingKind{Path: "type", Read: []string{"device"}},
				Facts: map[string]config.MappingFact{"platform": {Path: "score", Factor: -1, Offset: 100,
					Values: map[string]string{"Mac": "macos"}}},
			}}},
		},
		{
			Name: "numbered", Type: "mapping", Attests: []string{"platform"}, Sync: hourly,
			API: &config.API{URL: "https://mdm.acme.example", ServiceAccountFile: at("secret"), Rate: 5,
				Token: &config.APIToken{Subject: "admin@acme.example"}},
			Mapping: &config.Mapping{
				Record: &config.MappingRecord{Device: names, Observed: seen, Facts: map[string]config.MappingFact{"platform": {Path: "os"}}},
				List:   &config.MappingList{Path: "/devices", Page: "number", Parameter: "page", First: 1},
			},
		},
		{
			Name: "offset", Type: "mapping", Attests: []string{"platform"}, Sync: hourly,
			API: &config.API{URL: "https://mdm.acme.example", ClientID: "a", ClientSecretFile: at("secret"), Rate: 5,
				Token: &config.APIToken{URL: "/token", InHeader: true}},
			Mapping: &config.Mapping{
				Record: &config.MappingRecord{Device: names, Observed: seen, Facts: map[string]config.MappingFact{"platform": {Path: "os"}}},
				List:   &config.MappingList{Path: "/devices", Page: "offset", Parameter: "offset", Size: 50},
			},
		},
		{
			Name: "s1", Type: "sentinelone", Attests: []string{"platform"}, Sync: hourly,
			Webhook:     &config.Webhook{Header: &config.WebhookHeader{Name: "X-Webhook-Secret", ValueFiles: []string{at("secret")}}},
			API:         &config.API{URL: "https://acme.sentinelone.example", TokenFile: at("secret"), Rate: 5},
			SentinelOne: &config.SentinelOne{Points: "agentid", Firewall: true, DiskEncryption: true},
		},
		{
			Name: "protect", Type: "jamf-protect", Attests: []string{"platform"},
			Webhook: &config.Webhook{Header: &config.WebhookHeader{Name: "Authorization", ValueFiles: []string{at("secret")}}},
		},
		{
			Name: "chrome-login", Type: "verified-access", Attests: []string{"platform"},
			Webhook: &config.Webhook{HMAC: &config.WebhookHMAC{Header: "X-Sig", SecretFiles: []string{at("secret")}}},
		},
	}
}
