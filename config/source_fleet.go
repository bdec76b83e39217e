package config

// SourceFleet is the type of a Fleet server.
const SourceFleet = "fleet"

// Fleet are the settings of a Fleet server; the README beside its source explains them.
type Fleet struct {
	Policies    map[string][]int64 `yaml:"policies,omitempty"`    // attribute: ids of the policies that tell it
	Compliance  []int64            `yaml:"compliance,omitempty"`  // ids of the policies that make config_compliance
	AllPolicies bool               `yaml:"allPolicies,omitempty"` // ... all that a host has
	Users       []string           `yaml:"users,omitempty"`       // sources of the device mapping, the best first
	ListOnly    bool               `yaml:"listOnly,omitempty"`    // do not ask for each host's details when listing
	PerPage     int                `yaml:"perPage,omitempty"`     // 1 to 500; default 50
}
