package policy

import "time"

// Identity is an entry of the inventory of non-human identities: who answers for a service account, a workload or a key.
type Identity struct {
	Meta       Meta         `yaml:"-"`
	Type       IdentityType `yaml:"type"`
	SPIFFEIDs  []string     `yaml:"spiffeIDs,omitempty"` // patterns as audiences write them; no two entries overlap
	RecordedIn string       `yaml:"recordedIn"`          // the system that issues it
	ReviewBy   Date         `yaml:"reviewBy"`
}

// IdentityType is what sort of non-human identity it is.
type IdentityType string

// The types.
const (
	IdentityOfWorkload       IdentityType = "workload"
	IdentityOfServiceAccount IdentityType = "service-account"
	IdentityOfPipeline       IdentityType = "pipeline"
	IdentityOfKey            IdentityType = "key"
	IdentityOfAgent          IdentityType = "agent"
)

var identityTypes = []IdentityType{
	IdentityOfAgent, IdentityOfKey, IdentityOfPipeline, IdentityOfServiceAccount, IdentityOfWorkload,
}

// recordedIn are the systems that identities are recorded in.
var recordedIn = []string{"ci-cd", "cloud-iam", "directory", "kubernetes", "secret-manager", "spire"}

// Monitor is written by security operations: what is watched, how severe it is, who looks after it and how fast.
type Monitor struct {
	Meta     Meta     `yaml:"-"`
	Watch    []string `yaml:"watch"` // kinds of findings
	Severity Severity `yaml:"severity"`
	Assign   string   `yaml:"assign,omitempty"` // a team; default: the owner of what was found
	// CloseWithin is the time from finding to closure.
	CloseWithin time.Duration `yaml:"closeWithin"`
	Audiences   []string      `yaml:"audiences,omitempty"` // only what concerns their members; default: everybody
}

// Severity is how much a finding matters.
type Severity string

// The severities.
const (
	SeverityLow      Severity = "low"
	SeverityMedium   Severity = "medium"
	SeverityHigh     Severity = "high"
	SeverityCritical Severity = "critical"
)

var severities = []Severity{SeverityLow, SeverityMedium, SeverityHigh, SeverityCritical}

// watchable are the kinds of findings, sorted.
var watchable = []string{
	"alarm-uncleared", "conflict", "contested-device", "credential-age", "drift", "exception-abuse", "grace-overrun",
	"identity-excessive", "identity-misconfigured", "identity-stale", "identity-unowned", "identity-unreviewed", "stale-device",
}
