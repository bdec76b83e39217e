package config

import "time"

// SourceDefender is the type of a tenant of Microsoft Defender for Endpoint.
const SourceDefender = "defender"

// Defender are the settings of a tenant of Microsoft Defender for Endpoint; the README beside its source explains them.
type Defender struct {
	Tenant         string        `yaml:"tenant"`                   // the tenant's GUID or domain
	PageSize       int           `yaml:"pageSize,omitempty"`       // machines asked for at once, 1 to 10000; default 1000
	SeenWithin     time.Duration `yaml:"seenWithin,omitempty"`     // who was silent for longer is gone, 48h to 4320h
	JoinDuplicates bool          `yaml:"joinDuplicates,omitempty"` // also what may be a duplicate
}
