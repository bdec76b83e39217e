package defender

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// machine is what counts of a machine (learn.microsoft.com/defender-endpoint/api/machine). It has no serial number.
type machine struct {
	ID           string          `json:"id"`
	MergedInto   string          `json:"mergedIntoMachineId"`
	Duplicate    json.RawMessage `json:"isPotentialDuplication"`
	Directory    string          `json:"aadDeviceId"`
	LastSeen     json.RawMessage `json:"lastSeen"` // of the last full report, about daily
	Platform     string          `json:"osPlatform"`
	Version      string          `json:"version"` // of Windows a marketing name: 22H2
	Build        json.RawMessage `json:"osBuild"`
	Onboarding   string          `json:"onboardingStatus"`
	HealthStatus string          `json:"healthStatus"`
	Antivirus    string          `json:"defenderAvStatus"`
	Risk         string          `json:"riskScore"`
}

var guid = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// observed puts a machine into our words. All is dated by lastSeen.
func (a *Adapter) observed(m *machine) (signals.Observation, error) {
	own, err := a.Alias(m.ID)
	if err != nil {
		return signals.Observation{}, err
	}
	seen, err := source.Instant(m.LastSeen)
	if err != nil {
		return signals.Observation{}, err
	}
	o := signals.Observation{Aliases: []signals.Alias{own}}
	// What isPotentialDuplication should be and is not true or false may be either.
	duplicate, said := source.Truth(m.Duplicate)
	sure := !said || duplicate == signals.Bool(false) || a.opts.JoinDuplicates
	if sure && guid.MatchString(m.Directory) {
		// Nobody's id (all zeros) identifies nothing, and the machine has a name without it.
		if alias, err := signals.NewAlias(signals.AliasDirectory, m.Directory); err == nil {
			o.Aliases = append(o.Aliases, alias)
		}
	}
	if seen.IsZero() {
		return o, nil
	}
	o.Facts = m.facts(seen)
	return o, nil
}

func (m *machine) facts(seen time.Time) []signals.Fact {
	var facts []signals.Fact
	say := func(attribute string, value signals.Value, path string) {
		facts = append(facts, signals.Fact{Attribute: attribute, Value: value, Path: path, Observed: seen})
	}
	platform := source.Platform(m.Platform)
	if m.Platform != "" {
		say("platform", platform, "osPlatform")
	}
	if os := source.SplitOS(platform, m.Version); os.Version != "" {
		say("os_version", source.Text(os.Version), "version")
	}
	if build := number(m.Build); build != "" {
		say("os_build", signals.Text(build), "osBuild")
	}
	if m.Onboarding != "" {
		say("edr_present", onboarded(m.Onboarding), "onboardingStatus")
	}
	if m.HealthStatus != "" {
		say("edr_healthy", m.healthy(), "healthStatus")
	}
	if m.Risk != "" {
		say("threat_level", m.threat(), "riskScore")
	}
	return facts
}

// number reads osBuild: 19045. Anything else says nothing.
func number(raw json.RawMessage) string {
	build, err := strconv.ParseUint(string(raw), 10, 32)
	if err != nil || build == 0 {
		return ""
	}
	return strconv.FormatUint(build, 10)
}

// onboarded: InsufficientInfo and what is not known here are unknown.
func onboarded(word string) signals.Value {
	switch strings.ToLower(word) {
	case "onboarded":
		return signals.Bool(true)
	case "canbeonboarded", "unsupported":
		return signals.Bool(false)
	}
	return signals.Unknown
}

// healthy: presence is not health. A sensor that is onboarded, active, and whose antivirus is not said to be off is
// healthy; of words that are not known here nothing is.
func (m *machine) healthy() signals.Value {
	switch strings.ToLower(m.Antivirus) {
	case "disabled", "notupdated", "notreporting":
		return signals.Bool(false)
	}
	switch strings.ToLower(m.HealthStatus) {
	case "active":
		return onboarded(m.Onboarding)
	case "inactive", "impairedcommunication", "nosensordata", "nosensordataimpairedcommunication":
		return signals.Bool(false)
	}
	return signals.Unknown
}

var risks = map[string]signals.Value{"informational": signals.Text("low"), "low": signals.Text("low"),
	"medium": signals.Text("medium"), "high": signals.Text("high")}

// threat: None from a sensor that sends nothing means that there are no data, and not that there is no threat.
func (m *machine) threat() signals.Value {
	word := strings.ToLower(m.Risk)
	if word == "none" && strings.EqualFold(m.HealthStatus, "Active") && onboarded(m.Onboarding) == signals.Bool(true) {
		return signals.Text("none")
	}
	return risks[word] // the zero Value is unknown
}
