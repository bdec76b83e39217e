package config

// SourceKandji is the type of a Kandji (Iru) tenant.
const SourceKandji = "kandji"

// Kandji are the settings of a Kandji tenant; the README beside its source explains them.
type Kandji struct {
	// Tables of Prism that are read: filevault, application_firewall, startup_settings, device_information. Default: all.
	Tables     []string            `yaml:"tables,omitempty"`
	Details    bool                `yaml:"details,omitempty"`    // ask for each device's details too
	Items      map[string][]string `yaml:"items,omitempty"`      // attribute: item_ids of the library items and parameters that tell it
	Compliance []string            `yaml:"compliance,omitempty"` // item_ids that make config_compliance
	AllItems   bool                `yaml:"allItems,omitempty"`   // all items of a device make it
	Threats    bool                `yaml:"threats,omitempty"`    // read threat_level from what Avert found
	Quiet      bool                `yaml:"quiet,omitempty"`      // a device without a threat has the level none
	Released   string              `yaml:"released,omitempty"`   // the level of what was let out of quarantine; default: unknown
}
