package config

import "time"

// SourceCrowdStrike is the type of a CrowdStrike Falcon customer.
const SourceCrowdStrike = "crowdstrike"

// CrowdStrike are the settings of a Falcon customer; the README beside its source explains them. SecretFiles of the source
// are the webhook's; without any no delivery is taken.
type CrowdStrike struct {
	Signed          string        `yaml:"signed,omitempty"`          // body+timestamp (base64, the default) or timestamp+body (hex)
	SignatureHeader string        `yaml:"signatureHeader,omitempty"` // default X-CS-Primary-Signature
	TimestampHeader string        `yaml:"timestampHeader,omitempty"` // default X-CS-Delivery-Timestamp
	Window          time.Duration `yaml:"window,omitempty"`          // how far the timestamp may be from our clock; default 5m
	Points          []string      `yaml:"points,omitempty"`          // paths at which a workflow's body names hosts
	// Assessments asks for the Zero Trust Assessment of each host; Signals are attributes and the ids of the assessment's
	// signals that tell them.
	Assessments bool                `yaml:"assessments,omitempty"`
	Signals     map[string][]string `yaml:"signals,omitempty"`
	PageSize    int                 `yaml:"pageSize,omitempty"` // 1 to 500; default 100
}
