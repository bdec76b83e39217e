package crowdstrike

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// host is what counts of Falcon's record of a host.
type host struct {
	Serial      string          `json:"serial_number"` // not in older records
	Platform    string          `json:"platform_name"` // Mac, Windows, Linux
	OSVersion   string          `json:"os_version"`    // "Monterey (12)", "Windows 11", "Ubuntu 24.04"
	OSBuild     string          `json:"os_build"`
	Build       string          `json:"build_number"`
	LastSeen    json.RawMessage `json:"last_seen"`
	Status      string          `json:"status"`
	Reduced     string          `json:"reduced_functionality_mode"` // yes, no, unknown; not in older records
	Provisioned string          `json:"provision_status"`
	Policies    struct {
		Prevention *struct {
			Applied *bool `json:"applied"`
		} `json:"prevention"`
	} `json:"device_policies"`
}

// assessment is what counts of a Zero Trust Assessment.
type assessment struct {
	Modified json.RawMessage `json:"modified_time"`
	Scores   struct {
		Overall *int `json:"overall"` // 0 to 100, higher is better
	} `json:"assessment"`
	Items struct {
		OS []zeroTrustSignal `json:"os_signals"`
	} `json:"assessment_items"`
}

// zeroTrustSignal is one thing that the sensor looked at.
type zeroTrustSignal struct {
	ID    string `json:"signal_id"`
	Meets string `json:"meets_criteria"` // yes, no, unknown
}

// observation puts a host into our words. What Falcon says of the host is dated by last_seen, the sensor's last contact; what
// it assessed by modified_time. One that cannot be read is there without facts: what was known of it goes on ageing.
func (a *Adapter) observation(id string, raw, assessed json.RawMessage) (signals.Observation, error) {
	own, err := a.Alias(id)
	if err != nil {
		return signals.Observation{}, err
	}
	s := statements{o: signals.Observation{Aliases: []signals.Alias{own}}}
	var h host
	if err := json.Unmarshal(raw, &h); err != nil {
		a.opts.Unreadable(id, fmt.Errorf("the record does not have Falcon's shape: %w", err))
		return s.o, nil
	}
	// What is malformed identifies nothing either, and the host has a name without it.
	if alias, err := signals.NewAlias(signals.AliasSerial, h.Serial); err == nil {
		s.o.Aliases = append(s.o.Aliases, alias)
	}
	seen, err := source.Instant(h.LastSeen)
	if err != nil {
		return signals.Observation{}, fmt.Errorf("host %s: last_seen: %w", id, err)
	}
	h.say(&s, seen)
	if len(assessed) == 0 {
		return s.o, nil
	}
	var z assessment
	if err := json.Unmarshal(assessed, &z); err != nil {
		a.opts.Unreadable(id, fmt.Errorf("the assessment does not have Falcon's shape: %w", err))
		return s.o, nil
	}
	at, err := source.Instant(z.Modified)
	if err != nil {
		return signals.Observation{}, fmt.Errorf("host %s: modified_time: %w", id, err)
	}
	a.assessed(&s, &z, at)
	return s.o, nil
}

// statements collects what a record says. What has no instant is not said.
type statements struct{ o signals.Observation }

func (s *statements) say(attribute string, value signals.Value, path string, at time.Time) {
	if !at.IsZero() {
		s.o.Facts = append(s.o.Facts, signals.Fact{Attribute: attribute, Value: value, Path: path, Observed: at})
	}
}

// say tells what the host is, and whether its sensor works.
func (h *host) say(s *statements, at time.Time) {
	platform := source.Platform(h.Platform)
	if h.Platform != "" {
		s.say("platform", platform, "platform_name", at)
	}
	if os := source.SplitOS(platform, h.OSVersion); os.Version != "" {
		s.say("os_version", source.Text(os.Version), "os_version", at)
	}
	if h.OSBuild != "" {
		s.say("os_build", source.Text(h.OSBuild), "os_build", at)
	} else if h.Build != "" {
		s.say("os_build", source.Text(h.Build), "build_number", at)
	}
	s.say("edr_present", signals.Bool(true), "device_id", at)
	s.say("edr_healthy", h.healthy(), "reduced_functionality_mode & device_policies.prevention.applied", at)
	switch h.Status {
	case "normal":
		s.say("lifecycle", signals.Text("enrolled"), "status", at)
	case "contained", "containment_pending", "lift_containment_pending":
		s.say("lifecycle", signals.Text("blocked"), "status", at)
	case "":
	default:
		s.say("lifecycle", signals.Unknown, "status", at)
	}
}

// healthy: the sensor has its full functions and its prevention policy. One of the two that says no is enough for no; one
// that does not say leaves it unknown.
func (h *host) healthy() signals.Value {
	applied := h.Policies.Prevention
	said := applied != nil && applied.Applied != nil
	switch {
	case h.Reduced == "yes" || said && !*applied.Applied || h.Provisioned == "NotProvisioned":
		return signals.Bool(false)
	case h.Reduced == "no" && said && (h.Provisioned == "" || h.Provisioned == "Provisioned"):
		return signals.Bool(true)
	}
	return signals.Unknown
}

// assessed tells what the assessment found.
func (a *Adapter) assessed(s *statements, z *assessment, at time.Time) {
	if score := z.Scores.Overall; score != nil {
		value := signals.Unknown
		if *score >= 0 && *score <= 100 {
			value = signals.Number(float64(100 - *score)) // ours rises with the risk
		}
		s.say("edr_risk_score", value, "assessment.overall", at)
	}
	for _, name := range slices.Sorted(maps.Keys(a.opts.Signals)) {
		attribute, _ := signals.LookupAttribute(name)
		if worst := worstOf(z.Items.OS, a.opts.Signals[name]); worst != "" {
			value := signals.Unknown
			if worst != "unknown" {
				value = signals.Bool((worst == "yes") == attribute.Healthy)
			}
			s.say(name, value, "assessment_items.os_signals", at)
		}
	}
}

// worstOf is the worst word on some signals: no, then unknown, which is each word that is not known, then yes; empty: the
// host has none of them.
func worstOf(all []zeroTrustSignal, ids []string) (worst string) {
	for i := range all {
		switch meets := all[i].Meets; {
		case !slices.Contains(ids, all[i].ID):
		case meets == "no":
			return "no"
		case meets == "yes" && worst == "":
			worst = "yes"
		case meets != "yes":
			worst = "unknown"
		}
	}
	return worst
}
