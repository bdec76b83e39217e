package config

import "time"

// SourceKolide is the type of a Kolide organisation (1Password Device Trust).
const SourceKolide = "kolide"

// Kolide are the settings of a Kolide organisation; the README beside its source explains them.
type Kolide struct {
	Checks  map[string][]string `yaml:"checks,omitempty"`  // attribute: ids of the checks that tell it
	Passing bool                `yaml:"passing,omitempty"` // where none of them has an open issue, the attribute is healthy
	Users   bool                `yaml:"users,omitempty"`   // ask who the registered owner is
	Window  time.Duration       `yaml:"window,omitempty"`  // the oldest event that is taken, 1m to 96h; default 24h
}
