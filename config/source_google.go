package config

// SourceGoogle is the type of a Google Workspace or Cloud Identity account.
const SourceGoogle = "google"

// Google are the settings of a Google account; the README beside its source explains them.
type Google struct {
	Lists    []string `yaml:"lists,omitempty"`    // devices, chromeos; default devices
	Customer string   `yaml:"customer,omitempty"` // the account's id, C0…; default my_customer: that of the administrator
	Users    bool     `yaml:"users,omitempty"`    // ask who uses each device
	// ChromeOSURL is where the list chromeos is asked for, by the same credentials. Default https://admin.googleapis.com.
	ChromeOSURL string `yaml:"chromeOSURL,omitempty"`
}
