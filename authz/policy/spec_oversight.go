package policy

import "time"

// Identity is an entry of the inventory of non-human identities: who answers for a service account, a workload or a key.
type Identity struct {
	Meta       Meta         `yaml:"-"`
	Type       IdentityType `yaml:"type"`
	SPIFFEIDs  []string     `yaml:"spiffeIDs,omitempty"` // patterns as audiences write them; no two entries overlap
	RecordedIn string       `yaml:"recordedIn"`          // the system that issues it
	// RecordedAs are its names in systems whose lists are imported, SYSTEM/ID or SYSTEM@PART/ID, as `tiergate identity list` shows
	// them; no two entries overlap. What a system lists by the name of the document, or by one of its SPIFFE IDs, needs none.
	RecordedAs []string `yaml:"recordedAs,omitempty"`
	ReviewBy   Date     `yaml:"reviewBy"`
	// Credentials bounds the age of those that it shows; nil: 7 days, of an agent 1, of a service account or key 90.
	Credentials *CredentialBound `yaml:"credentials,omitempty"`
}

// CredentialBound is how old a credential of an identity may become.
type CredentialBound struct {
	// MaxAge is the longest that one may be valid, or in use where nobody knows its end; at most 366 days.
	MaxAge time.Duration `yaml:"maxAge"`
}

// MaxCredentialAge is the most that an Identity document may allow: whatever it is, it is renewed once a year.
const MaxCredentialAge = 366 * 24 * time.Hour

// CredentialMaxAge is the longest that a credential of the identity may be valid, or old: what its document says, or what is
// usual for its type.
func (i *Identity) CredentialMaxAge() time.Duration {
	if i.Credentials != nil {
		return i.Credentials.MaxAge
	}
	return i.Type.CredentialMaxAge()
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

// CredentialMaxAge is the longest that a credential of this type is usually valid, or old; that of a type that is not known
// is a workload's.
func (t IdentityType) CredentialMaxAge() time.Duration {
	switch t {
	case IdentityOfAgent:
		return 24 * time.Hour
	case IdentityOfServiceAccount, IdentityOfKey:
		return 90 * 24 * time.Hour
	default:
		return 7 * 24 * time.Hour
	}
}

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
	// After is how long a trouble must have lasted before it counts. Default: by its kind, and by the type of an identity.
	After time.Duration `yaml:"after,omitempty,positive"`
	// Share is the part, in percent, of a population's devices that must be in the same trouble for it to be one of the
	// population (drift, conflict), or of a tier's decisions that may rest on exceptions (exception-abuse). Default: 20, 10.
	Share int `yaml:"share,omitempty"`
	// Count is from how many places one identity may call in a day (identity-misconfigured), or how many exceptions one person
	// may have asked for in 30 days (exception-abuse). Default: by the identity's type, and 5.
	Count int `yaml:"count,omitempty"`
	// Tell are the outlets of the settings that are told of what it watches. Default: those that are marked default there.
	Tell []string `yaml:"tell,omitempty"`
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
