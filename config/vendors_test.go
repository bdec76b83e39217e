package config_test

import (
	"time"

	"github.com/tiergate/tiergate/config"
)

// vendors are the sources of full.yaml that are asked.
func vendors(at func(string) string) []config.Source {
	both, hourly := []string{at("secret"), at("secret.old")}, &config.Sync{Every: time.Hour, MaxShrinkPercent: 50}
	return []config.Source{
		{
			Name: "jamf-prod", Type: "jamf", Attests: []string{"disk_encryption", "enrolled_user"},
			Webhook: &config.Webhook{Basic: &config.WebhookBasic{Username: "jamf", PasswordFiles: both}},
			API: &config.API{
				URL: "https://acme.jamfcloud.example", CAFile: at("ca.pem"),
				AllowedHosts: []string{"files.jamfcloud.example", "10.0.0.9:8443"},
				ClientID:     "7c9e", ClientSecretFile: at("secret"), Rate: 20, ProxyURL: "http://proxy.acme.example:3128",
			},
			Sync: &config.Sync{Every: 30 * time.Minute, MaxShrinkPercent: 100},
			Jamf: &config.Jamf{
				ComputersAPI: "v2", Kinds: []string{"computer"}, PageSize: 100, User: "emailOrUsername",
				ComputerGroups: &config.JamfGroups{Compliant: []string{"7"}, Noncompliant: []string{"8", "9"}},
				MobileGroups:   &config.JamfGroups{Compliant: []string{"7"}, Noncompliant: []string{"3"}},
				Ownership:      map[string]string{"AccountDrivenDeviceEnrollment": "byod"},
			},
		},
		{
			Name: "jamf-test", Type: "jamf", Attests: []string{"disk_encryption"},
			Webhook: &config.Webhook{Header: &config.WebhookHeader{Name: "X-Jamf-Secret", ValueFiles: []string{at("secret")}}},
			API: &config.API{URL: "http://127.0.0.1:8443/jss", Username: "reader", PasswordFile: at("secret"),
				Rate: 5},
			Sync: hourly,
		},
		{
			Name: "fleet", Type: "fleet", Attests: []string{"platform"},
			Webhook: &config.Webhook{URLSecretFiles: both},
			API:     &config.API{URL: "https://fleet.acme.example", TokenFile: at("secret"), Rate: 5},
			Sync:    hourly,
			Fleet: &config.Fleet{Policies: map[string][]int64{"disk_encryption": {12, 13}}, Compliance: []int64{4, 5},
				Users: []string{"mdm_idp_accounts"}, ListOnly: true, PerPage: 200},
		},
		{
			Name: "fleet-all", Type: "fleet", Attests: []string{"os_version"},
			Webhook: &config.Webhook{URLSecretFiles: []string{at("secret")}},
			API:     &config.API{URL: "https://fleet.lab.example", TokenFile: at("secret"), Rate: 5},
			Sync:    hourly, Fleet: &config.Fleet{AllPolicies: true},
		},
	}
}
