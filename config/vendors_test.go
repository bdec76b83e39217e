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
		{
			Name: "kolide", Type: "kolide", Attests: []string{"disk_encryption", "platform"}, SecretFiles: both,
			API:  &config.API{URL: "https://api.kolide.example", TokenFile: at("secret"), Rate: 5},
			Sync: hourly,
			Kolide: &config.Kolide{Checks: map[string][]string{"disk_encryption": {"3", "14"}}, Passing: true, Users: true,
				Window: 48 * time.Hour},
		},
		{
			Name: "falcon", Type: "crowdstrike", Attests: []string{"disk_encryption"}, SecretFiles: []string{at("secret")},
			API:  &config.API{URL: "https://api.us-2.crowdstrike.example", ClientID: "7c9e", ClientSecretFile: at("secret"), Rate: 5},
			Sync: hourly,
			CrowdStrike: &config.CrowdStrike{Signed: "timestamp+body", SignatureHeader: "X-Signature", TimestampHeader: "X-Time",
				Window: 10 * time.Minute, Points: []string{"host.id", "hosts[*].id"}, Assessments: true,
				Signals: map[string][]string{"disk_encryption": {"file_vault_enabled_mac", "bitlocker"}}, PageSize: 250},
		},
		{
			Name: "iru", Type: "kandji", Attests: []string{"disk_encryption", "platform"},
			API:  &config.API{URL: "https://acme.api.kandji.example", TokenFile: at("secret"), Rate: 2},
			Sync: hourly,
			Kandji: &config.Kandji{Tables: []string{"filevault", "startup_settings"}, Details: true,
				Items:      map[string][]string{"disk_encryption": {"4a98cb3d-0000-45bf-829d-000000000001"}},
				Compliance: []string{"4a98cb3d-0000-45bf-829d-000000000002"}, Threats: true, Quiet: true, Released: "low"},
		},
		{
			Name: "iru-all", Type: "kandji", Attests: []string{"platform"},
			API:  &config.API{URL: "https://acme.api.eu.kandji.example", TokenFile: at("secret"), Rate: 1},
			Sync: hourly, Kandji: &config.Kandji{AllItems: true},
		},
		{
			Name: "uem", Type: "workspace-one", Attests: []string{"disk_encryption", "enrolled_user"},
			Webhook: &config.Webhook{Basic: &config.WebhookBasic{Username: "uem", PasswordFiles: []string{at("secret")}}},
			API: &config.API{URL: "https://as123.awmdm.example", ClientID: "7c9e", ClientSecretFile: at("secret"),
				Token:       &config.APIToken{URL: "https://na.uemauth.workspaceone.example/connect/token"},
				HeaderFiles: map[string]string{"aw-tenant-code": at("secret")}, Rate: 5},
			Sync: hourly,
			WorkspaceOne: &config.WorkspaceOne{PageSize: 200, OrganizationGroup: "570", User: "username",
				Ownership: map[string]string{"S": "shared"}, Encryption: "DataEncryptionYN"},
		},
		{
			Name: "google", Type: "google", Attests: []string{"disk_encryption"},
			API: &config.API{URL: "https://cloudidentity.googleapis.example", ServiceAccountFile: at("secret"),
				Token: &config.APIToken{Subject: "reader@acme.example"}, Rate: 5},
			Sync: hourly,
			Google: &config.Google{Lists: []string{"devices", "chromeos"}, Customer: "C012abc34", Users: true,
				ChromeOSURL: "https://admin.googleapis.example"},
		},
		{
			Name: "intune", Type: "intune", Attests: []string{"disk_encryption", "platform"},
			Webhook: &config.Webhook{Header: &config.WebhookHeader{Name: "X-Forwarder-Secret", ValueFiles: []string{at("secret")}}},
			API: &config.API{URL: "https://graph.microsoft.example", ClientID: "7c9e", ClientSecretFile: at("secret"),
				Rate: 5},
			Sync: hourly,
			Intune: &config.Intune{Tenant: "72f988bf-0000-4000-8000-2d7cd011db47", APIVersion: "beta", ClientStateFiles: both,
				Policies:   map[string][]string{"disk_encryption": {"1aa3f0f3-d780-4349-885b-c86d273aa14e"}},
				SecureBoot: &config.IntuneSecureBoot{On: []string{"Enabled"}, Off: []string{"Disabled"}}, User: "emailAddress",
				Validation: &config.IntuneValidation{AppIDs: []string{"7c9e1a52-0000-4000-8000-000000000001"},
					Authority: "https://login.microsoft.example", CAFile: at("ca.pem")}},
		},
		{
			Name: "defender", Type: "defender", Attests: []string{"platform"},
			API: &config.API{URL: "https://api.securitycenter.microsoft.example", ClientID: "7c9e",
				ClientSecretFile: at("secret"), Rate: 5},
			Sync: hourly,
			Defender: &config.Defender{Tenant: "acme.onmicrosoft.example", PageSize: 500, SeenWithin: 720 * time.Hour,
				JoinDuplicates: true},
		},
		{
			Name: "okta", Type: "okta", Attests: []string{"disk_encryption", "platform"},
			Webhook: &config.Webhook{Header: &config.WebhookHeader{Name: "Authorization", ValueFiles: []string{at("secret")}}},
			API: &config.API{URL: "https://acme.okta.example", ClientID: "0oa1", KeyFile: at("key.pem"), KeyID: "k1",
				Rate: 5},
			Sync: hourly,
			Okta: &config.Okta{PageSize: 100, User: "email", Encrypted: []string{"FULL", "SYSTEM_VOLUME"}},
		},
		{
			Name: "osquery", Type: "osquery", Attests: []string{"platform"},
			Osquery: &config.Osquery{EnrollSecretFiles: both, KeyFile: at("secret"), Interval: 30 * time.Minute},
		},
	}
}
