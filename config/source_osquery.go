package config

import "time"

// SourceOsquery is the type of a fleet of devices with osquery.
const SourceOsquery = "osquery"

// Osquery are the settings of a fleet of devices with osquery; the README beside its source explains them. Each file holds one
// secret of 16 bytes or more, mode 0600.
type Osquery struct {
	EnrollSecretFiles []string      `yaml:"enrollSecretFiles"`  // any of them enrols, so that a secret can be rotated
	KeyFile           string        `yaml:"keyFile"`            // signs node keys; all receivers of one store have the same
	Interval          time.Duration `yaml:"interval,omitempty"` // between two snapshots, 1m to 24h; default 15m
}
