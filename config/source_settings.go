package config

import (
	"cmp"
	"time"
)

// Webhook says how a vendor that signs nothing shows who it is. Every file holds one secret, mode 0600; each of several
// counts, so that a secret can be rotated. Exactly one of the ways stands.
type Webhook struct {
	Basic  *WebhookBasic  `yaml:"basic,omitempty"`
	Header *WebhookHeader `yaml:"header,omitempty"`
	// URLSecretFiles: the sender is given the URL /v1/sources/NAME/SECRET (or .../NAME?secret=SECRET). A secret has at least
	// 22 characters (128 bits): openssl rand -hex 16. Proxies on the way log URLs, so this is for vendors that can do
	// nothing else.
	URLSecretFiles []string `yaml:"urlSecretFiles,omitempty"`
	// HMAC is for the types that are built on the mapping source: the others sign in a way of their own, or not at all.
	HMAC *WebhookHMAC `yaml:"hmac,omitempty"`
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

// Sync says how all devices of a vendor are listed, so that what was never delivered is found.
type Sync struct {
	// Every is from the start of one listing to the next, 1m to 7d. Default 1h.
	Every time.Duration `yaml:"every,omitempty"`
	// MaxShrinkPercent of the devices of the last complete listing may be gone from the next, 0 to 100. If more are, none is
	// withdrawn until somebody says so (tiergate source sync NAME --accept-shrink). Default 50.
	MaxShrinkPercent int `yaml:"maxShrinkPercent,omitempty"`
}

// SourceStandard is the type of a source of tiergate's own body. Each other type stands beside its settings.
const SourceStandard = "standard"

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
		s.API.Rate = cmp.Or(sourceTypes[s.Type].rate, DefaultRate)
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
