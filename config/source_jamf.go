package config

// SourceJamf is the type of a Jamf Pro server.
const SourceJamf = "jamf"

// Jamf are the settings of a Jamf Pro server; the README beside its source explains them.
type Jamf struct {
	ComputersAPI   string      `yaml:"computersAPI,omitempty"` // v1 (the default) to v4
	Kinds          []string    `yaml:"kinds,omitempty"`        // computer, mobile; default both
	PageSize       int         `yaml:"pageSize,omitempty"`     // 1 to 2000; default 200
	User           string      `yaml:"user,omitempty"`         // email (the default), username, emailOrUsername
	ComputerGroups *JamfGroups `yaml:"computerGroups,omitempty"`
	MobileGroups   *JamfGroups `yaml:"mobileGroups,omitempty"`
	// Ownership says what a word of deviceOwnershipType means.
	Ownership map[string]string `yaml:"ownership,omitempty"`
}

// JamfGroups are ids of groups from which config_compliance is read.
type JamfGroups struct {
	Compliant    []string `yaml:"compliant,omitempty"`
	Noncompliant []string `yaml:"noncompliant,omitempty"`
}
