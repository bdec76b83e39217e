package config

// SourceOkta is the type of an Okta organisation's inventory of devices.
const SourceOkta = "okta"

// Okta are the settings of an Okta organisation; the README beside its source explains them.
type Okta struct {
	PageSize  int      `yaml:"pageSize,omitempty"`  // devices asked for at once, 1 to 200; default 200
	User      string   `yaml:"user,omitempty"`      // what enrolled_user is: login (the default) or email
	Encrypted []string `yaml:"encrypted,omitempty"` // words of an encrypted disk; default FULL, USER, ALL_INTERNAL_VOLUMES
}
