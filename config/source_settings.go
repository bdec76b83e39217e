package config

import "time"

// Webhook says how a vendor that signs nothing shows who it is. Every file holds one secret, mode 0600; each of several
// counts, so that a secret can be rotated. Exactly one of the three ways stands.
type Webhook struct {
	Basic  *WebhookBasic  `yaml:"basic,omitempty"`
	Header *WebhookHeader `yaml:"header,omitempty"`
	// URLSecretFiles: the sender is given the URL /v1/sources/NAME/SECRET (or .../NAME?secret=SECRET). A secret has at least
	// 22 characters (128 bits): openssl rand -hex 16. Proxies on the way log URLs, so this is for vendors that can do
	// nothing else.
	URLSecretFiles []string `yaml:"urlSecretFiles,omitempty"`
}

// WebhookBasic is a user and password in Authorization: Basic (RFC 7617).
type WebhookBasic struct {
	Username      string   `yaml:"username"`
	PasswordFiles []string `yaml:"passwordFiles"`
}

// WebhookHeader is a header whose whole value is the secret.
type WebhookHeader struct {
	Name       string   `yaml:"name"`
	ValueFiles []string `yaml:"valueFiles"`
}

// API is where a vendor is asked: for one device when a webhook points at it, for all of them by Sync. The environment's
// proxy is not used. Credentials are one of clientID with clientSecretFile (OAuth 2.0 client credentials, RFC 6749 section
// 4.4), username with passwordFile, and tokenFile; a token is renewed before it expires.
type API struct {
	URL    string `yaml:"url"`              // https://host[:port][/path]; http only on a loopback host
	CAFile string `yaml:"caFile,omitempty"` // who signs its certificate (PEM); default: the system's CAs
	// AllowedHosts are other hosts that the vendor may redirect to; credentials never go there. Default: none.
	AllowedHosts     []string `yaml:"allowedHosts,omitempty"`
	ClientID         string   `yaml:"clientID,omitempty"`
	ClientSecretFile string   `yaml:"clientSecretFile,omitempty"`
	Username         string   `yaml:"username,omitempty"`
	PasswordFile     string   `yaml:"passwordFile,omitempty"`
	TokenFile        string   `yaml:"tokenFile,omitempty"`
	Rate             int      `yaml:"rate,omitempty"`     // requests per second, 1 to 1000; default 5
	ProxyURL         string   `yaml:"proxyURL,omitempty"` // an HTTP proxy for these requests; default: none
}

// Sync says how all devices of a vendor are listed, so that what was never delivered is found.
type Sync struct {
	// Every is from the start of one listing to the next, 1m to 7d. Default 1h.
	Every time.Duration `yaml:"every,omitempty"`
	// MaxShrinkPercent of the devices of the last complete listing may be gone from the next, 0 to 100. If more are, none is
	// withdrawn until somebody says so (tiergate source sync NAME --accept-shrink). Default 50.
	MaxShrinkPercent int `yaml:"maxShrinkPercent,omitempty"`
}

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

// Fleet are the settings of a Fleet server; the README beside its source explains them.
type Fleet struct {
	Policies    map[string][]int64 `yaml:"policies,omitempty"`    // attribute: ids of the policies that tell it
	Compliance  []int64            `yaml:"compliance,omitempty"`  // ids of the policies that make config_compliance
	AllPolicies bool               `yaml:"allPolicies,omitempty"` // ... all that a host has
	Users       []string           `yaml:"users,omitempty"`       // sources of the device mapping, the best first
	ListOnly    bool               `yaml:"listOnly,omitempty"`    // do not ask for each host's details when listing
	PerPage     int                `yaml:"perPage,omitempty"`     // 1 to 500; default 50
}

// The types of sources.
const (
	SourceStandard = "standard"
	SourceJamf     = "jamf"
	SourceFleet    = "fleet"
)

// Defaults of what is said of a vendor that is asked.
const (
	DefaultRate             = 5
	DefaultSyncEvery        = time.Hour
	DefaultMaxShrinkPercent = 50
)

// setDefaults fills in how a vendor is asked, of a source that is.
func (s *Source) setDefaults(written interface{ Has(path string) bool }, at string) {
	if s.API == nil {
		return
	}
	if !written.Has(at + ".api.rate") {
		s.API.Rate = DefaultRate
	}
	if s.Sync == nil {
		s.Sync = &Sync{}
	}
	if !written.Has(at + ".sync.every") {
		s.Sync.Every = DefaultSyncEvery
	}
	if !written.Has(at + ".sync.maxShrinkPercent") {
		s.Sync.MaxShrinkPercent = DefaultMaxShrinkPercent
	}
}
