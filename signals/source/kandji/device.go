package kandji

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// device is what counts of a record of GET /api/v1/devices, and of GET /api/v1/devices/{id}.
type device struct {
	ID        string          `json:"device_id"`
	Serial    string          `json:"serial_number"`
	Platform  string          `json:"platform"` // Mac, iPad, iPhone, AppleTV
	OSVersion string          `json:"os_version"`
	Patch     string          `json:"supplemental_build_version"`
	CheckIn   json.RawMessage `json:"last_check_in"` // "": never
	User      json.RawMessage `json:"user"`          // an object, or ""
	MDM       json.RawMessage `json:"mdm_enabled"`
	Missing   json.RawMessage `json:"is_missing"`
	Removed   json.RawMessage `json:"is_removed"`
}

// statements collects what one record says, dated by that record. What has no instant is not said.
type statements struct {
	o    *signals.Observation
	at   time.Time
	from string // the record, as the beginning of each path
}

func (s *statements) say(attribute string, value signals.Value, path string) {
	if !s.at.IsZero() {
		s.o.Facts = append(s.o.Facts, signals.Fact{Attribute: attribute, Value: value, Path: s.from + path, Observed: s.at})
	}
}

func (s *statements) truth(attribute string, raw json.RawMessage, path string) {
	if value, said := source.Truth(raw); said {
		s.say(attribute, value, path)
	}
}

func (s *statements) free(attribute, text, path string) {
	if text != "" {
		s.say(attribute, source.Text(text), path)
	}
}

// system says platform, version and build. system_version has the build in brackets: 12.0.1 (21A559).
func (s *statements) system(platform, platformPath, version, versionPath string) {
	known := source.Platform(platform)
	if platform != "" {
		s.say("platform", known, platformPath)
	}
	os := source.SplitOS(known, version)
	s.free("os_version", os.Version, versionPath)
	s.free("os_build", os.Build, versionPath)
}

// listed puts a record of the list into our words.
func (a *Adapter) listed(d *device) (signals.Observation, error) {
	o, err := a.named(d.ID, d.Serial, "")
	if err != nil {
		return o, err
	}
	seen, err := source.Instant(d.CheckIn)
	if err != nil {
		return o, fmt.Errorf("last_check_in: %w", err)
	}
	s := &statements{o: &o, at: seen, from: "devices."}
	s.system(d.Platform, "platform", d.OSVersion, "os_version")
	s.free("patch_level", d.Patch, "supplemental_build_version")
	s.free("enrolled_user", email(d.User), "user.email")
	removed, _ := source.Truth(d.Removed)
	missing, said := source.Truth(d.Missing)
	switch {
	case d.isRemoved():
		s.say("lifecycle", signals.Text("removed"), "is_removed")
		s.say("mdm_managed", signals.Bool(false), "is_removed")
		return o, nil
	case missing == signals.Bool(true):
		s.say("lifecycle", signals.Text("missing"), "is_missing")
	case removed == signals.Bool(false) && missing == signals.Bool(false):
		s.say("lifecycle", signals.Text("enrolled"), "is_missing")
	case said:
		s.say("lifecycle", signals.Unknown, "is_missing")
	}
	s.truth("mdm_managed", d.MDM, "mdm_enabled")
	return o, nil
}

// isRemoved reports a device that Kandji manages no longer: what it says of it besides is history.
func (d *device) isRemoved() bool {
	removed, _ := source.Truth(d.Removed)
	return removed == signals.Bool(true)
}

// email reads a user: an object with an e-mail address, or "" where nobody is assigned.
func email(raw json.RawMessage) string {
	var user struct {
		Email string `json:"email"`
	}
	if json.Unmarshal(raw, &user) != nil {
		return ""
	}
	return user.Email
}

// details is what counts of GET /api/v1/devices/{id}/details. The booleans of mdm and kandji_agent are texts. Of the volumes
// nothing is read: on a Mac with FileVault the sealed system volume says encrypted "No".
type details struct {
	General struct {
		ID       string `json:"device_id"`
		Platform string `json:"platform"`
		Version  string `json:"os_version"`
		System   string `json:"system_version"`
		Patch    string `json:"supplemental_build_version"`
	} `json:"general"`
	MDM struct {
		Enabled    json.RawMessage `json:"mdm_enabled"`
		Supervised json.RawMessage `json:"supervised"`
		CheckIn    json.RawMessage `json:"last_check_in"`
	} `json:"mdm"`
	FileVault struct {
		Enabled json.RawMessage `json:"filevault_enabled"` // null on what has none
	} `json:"filevault"`
	Agent struct {
		Installed json.RawMessage `json:"agent_installed"`
		CheckIn   json.RawMessage `json:"last_check_in"`
	} `json:"kandji_agent"`
	Hardware struct {
		Serial string `json:"serial_number"`
		UDID   string `json:"udid"` // of a Mac
		UUID   string `json:"uuid"` // the same of other devices
	} `json:"hardware_overview"`
}

// detailed puts the details of a device into our words. What MDM says is dated by its check-in, what the agent says by the
// agent's; where no agent is installed MDM says it all.
func (a *Adapter) detailed(d *details) (signals.Observation, error) {
	udid := d.Hardware.UDID
	if udid == "" {
		udid = d.Hardware.UUID
	}
	o, err := a.named(d.General.ID, d.Hardware.Serial, udid)
	if err != nil {
		return o, err
	}
	mdm, err := source.Instant(d.MDM.CheckIn)
	if err != nil {
		return o, fmt.Errorf("mdm.last_check_in: %w", err)
	}
	agent, err := source.Instant(d.Agent.CheckIn)
	if err != nil {
		return o, fmt.Errorf("kandji_agent.last_check_in: %w", err)
	}
	if installed, _ := source.Truth(d.Agent.Installed); installed != signals.Bool(true) {
		agent = mdm
	}
	s := &statements{o: &o, at: mdm, from: "details."}
	if value, _ := source.Truth(d.MDM.Enabled); value == signals.Bool(false) {
		// That it is so the list says, by the instant of the list: else a later good word from here would overtake is_removed.
		s.say("mdm_managed", value, "mdm.mdm_enabled")
	}
	s.truth("supervised", d.MDM.Supervised, "mdm.supervised")
	s.at = agent
	version, path := d.General.System, "general.system_version"
	if version == "" {
		version, path = d.General.Version, "general.os_version"
	}
	s.system(d.General.Platform, "general.platform", version, path)
	s.free("patch_level", d.General.Patch, "general.supplemental_build_version")
	s.truth("disk_encryption", d.FileVault.Enabled, "filevault.filevault_enabled")
	return o, nil
}
