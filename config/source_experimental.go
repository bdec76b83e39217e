package config

// The types that rest on thin evidence; each README says what was never seen.
const (
	SourceSentinelOne    = "sentinelone"
	SourceJamfProtect    = "jamf-protect"
	SourceVerifiedAccess = "verified-access"
)

// SentinelOne are the settings of a SentinelOne console; the README beside its source explains them.
type SentinelOne struct {
	Points         string `yaml:"points,omitempty"`         // path of the agent's id in a notification; needed with webhook
	Firewall       bool   `yaml:"firewall,omitempty"`       // take firewallEnabled for firewall
	DiskEncryption bool   `yaml:"diskEncryption,omitempty"` // take encryptedApplications for disk_encryption
}
