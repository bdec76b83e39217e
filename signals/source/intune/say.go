package intune

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// statements collects what a record says. What has no instant is not said.
type statements struct {
	o  signals.Observation
	at time.Time
}

// begin names the device and dates what follows.
func (a *Adapter) begin(id string, at time.Time) (*statements, error) {
	own, err := a.Alias(id)
	return &statements{o: signals.Observation{Aliases: []signals.Alias{own}}, at: at}, err
}

// named adds a name. What is malformed identifies nothing, and the device has a name without it.
func (s *statements) named(kind signals.AliasKind, name string) {
	if kind == signals.AliasDirectory && !isGUID(name) {
		return
	}
	if alias, err := signals.NewAlias(kind, name); err == nil {
		s.o.Aliases = append(s.o.Aliases, alias)
	}
}

func (s *statements) say(attribute string, value signals.Value, path string) {
	s.sayAt(s.at, attribute, value, path)
}

func (s *statements) sayAt(at time.Time, attribute string, value signals.Value, path string) {
	if !at.IsZero() {
		s.o.Facts = append(s.o.Facts, signals.Fact{Attribute: attribute, Value: value, Path: path, Observed: at})
	}
}

// word says what a word of an enumeration means, in any case: Graph writes noncompliant here and nonCompliant there.
// Empty: it is not said; one that is not listed is unknown.
func (s *statements) word(attribute, word, path string, means map[string]signals.Value) {
	if word != "" {
		s.say(attribute, means[strings.ToLower(word)], path)
	}
}

func (s *statements) truth(attribute string, raw json.RawMessage, path string) {
	if value, said := source.Truth(raw); said {
		s.say(attribute, value, path)
	}
}

func (s *statements) system(os, osPath, version, versionPath, patch, patchPath string) {
	platform := source.Platform(os)
	if os != "" {
		s.say("platform", platform, osPath)
	}
	split := source.SplitOS(platform, version)
	if split.Version != "" {
		s.say("os_version", source.Text(split.Version), versionPath)
	}
	if split.Build != "" {
		s.say("os_build", source.Text(split.Build), versionPath)
	}
	if patch != "" {
		level := signals.Unknown
		if _, err := time.Parse(time.DateOnly, patch); err == nil {
			level = source.Text(patch)
		}
		s.say("patch_level", level, patchPath)
	}
}

// The words of Intune's enumerations, in lower case. Those that stand for "not known" are unknown.
var (
	states = map[string]signals.Value{
		"compliant": signals.Text("compliant"), "noncompliant": signals.Text("noncompliant"),
		"conflict": signals.Text("conflict"), "error": signals.Text("error"), "ingraceperiod": signals.Text("in_grace"),
	}
	owners = map[string]signals.Value{"company": signals.Text("corporate"), "corporate": signals.Text("corporate"),
		"personal": signals.Text("byod")}
	managed = map[string]signals.Value{
		"managed": signals.Bool(true), "retirepending": signals.Bool(false), "retireissued": signals.Bool(false),
		"wipepending": signals.Bool(false), "wipeissued": signals.Bool(false), "deletepending": signals.Bool(false),
	}
	lives = map[string]signals.Value{
		"managed": signals.Text("enrolled"), "deletepending": signals.Text("retiring"),
		"retirepending": signals.Text("retiring"), "retireissued": signals.Text("retiring"),
		"wipepending": signals.Text("retiring"), "wipeissued": signals.Text("retiring"),
	}
	threats = map[string]signals.Value{
		"secured": signals.Text("none"), "lowseverity": signals.Text("low"), "mediumseverity": signals.Text("medium"),
		"highseverity": signals.Text("high"), "compromised": signals.Text("high"),
	}
	// broken are the words of partnerReportedThreatState with which the partner does not watch. That it does is more than
	// one word can say.
	broken = map[string]signals.Value{"deactivated": signals.Bool(false), "unresponsive": signals.Bool(false),
		"misconfigured": signals.Bool(false), "compromised": signals.Bool(false)}
)

// compliance: a grace that had ended when the device was seen is none.
func (s *statements) compliance(word, path string, graceEnd time.Time) {
	if strings.EqualFold(word, "inGracePeriod") && !graceEnd.IsZero() && !graceEnd.After(s.at) {
		s.say("config_compliance", signals.Text("noncompliant"), path)
		return
	}
	s.word("config_compliance", word, path, states)
}

// management: a device that something else than Intune's MDM channel manages is at best not known to be managed.
func (s *statements) management(word, path string, byMDM bool) {
	if word == "" {
		return
	}
	value := managed[strings.ToLower(word)]
	if value == signals.Bool(true) && !byMDM {
		value = signals.Unknown
	}
	s.say("mdm_managed", value, path)
	s.word("lifecycle", word, path, lives)
}

// user: an empty name means that the device has no user.
func (s *statements) user(upn, upnPath, email, emailPath string, byEmail bool) {
	if byEmail {
		upn, upnPath = email, emailPath
	}
	if upn != "" {
		s.say("enrolled_user", source.Text(upn), upnPath)
	}
}
