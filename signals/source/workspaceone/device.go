package workspaceone

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// device is what counts of a record, in the search and of one device (version 1 of the API). Times have no zone; they are UTC.
type device struct {
	ID struct {
		Value json.Number `json:"Value"`
	} `json:"Id"`
	Serial          string          `json:"SerialNumber"`
	UDID            string          `json:"Udid"`     // 32 hex digits; Uuid is the console's own
	Platform        string          `json:"Platform"` // Apple, AppleOsX, WinRT, Android
	Model           string          `json:"Model"`
	OS              string          `json:"OperatingSystem"`
	Build           string          `json:"OSBuildVersion"`
	Seen            string          `json:"LastSeen"`
	Enrollment      string          `json:"EnrollmentStatus"`
	Compliance      string          `json:"ComplianceStatus"`
	ComplianceSeen  string          `json:"LastComplianceCheckOn"` // 0001-01-01: never
	Compromised     json.RawMessage `json:"CompromisedStatus"`     // true, false, ""
	CompromisedSeen string          `json:"LastCompromisedCheckOn"`
	Supervised      json.RawMessage `json:"IsSupervised"`
	Ownership       string          `json:"Ownership"`
	Email           string          `json:"UserEmailAddress"`
	User            string          `json:"UserName"`
	EncryptionYN    json.RawMessage `json:"DataEncryptionYN"`
	Encryption      json.RawMessage `json:"DataEncrypted"`
}

type sayer func(attribute string, value signals.Value, path string, at time.Time)

// observation puts a record into our words. What has no instant is not said.
func (a *Adapter) observation(d *device) (signals.Observation, error) {
	own, err := a.Alias(d.ID.Value.String())
	if err != nil {
		return signals.Observation{}, err
	}
	o := signals.Observation{Aliases: []signals.Alias{own}}
	// What is malformed or a placeholder identifies nothing, and the device has a name without it.
	if alias, err := signals.NewAlias(signals.AliasSerial, d.Serial); err == nil {
		o.Aliases = append(o.Aliases, alias)
	}
	if alias, err := signals.NewAlias(signals.AliasUUID, d.UDID); err == nil && udidShape.MatchString(alias.Value) {
		o.Aliases = append(o.Aliases, alias)
	}
	times := map[string]time.Time{}
	for name, text := range map[string]string{"LastSeen": d.Seen, "LastComplianceCheckOn": d.ComplianceSeen,
		"LastCompromisedCheckOn": d.CompromisedSeen} {
		if times[name], err = source.InstantUTC(text); err != nil {
			return o, fmt.Errorf("%s: %w", name, err)
		}
	}
	say := func(attribute string, value signals.Value, path string, at time.Time) {
		if !at.IsZero() {
			o.Facts = append(o.Facts, signals.Fact{Attribute: attribute, Value: value, Path: path, Observed: at})
		}
	}
	seen := times["LastSeen"]
	a.system(d, seen, say)
	a.management(d, seen, say)
	a.verdicts(d, times, say)
	return o, nil
}

// system says what the device is.
func (a *Adapter) system(d *device, seen time.Time, say sayer) {
	platform := platformOf(d)
	if d.Platform != "" {
		say("platform", platform, "Platform", seen)
	}
	if os := source.SplitOS(platform, d.OS); os.Version != "" {
		say("os_version", source.Text(os.Version), "OperatingSystem", seen)
	}
	if d.Build != "" {
		say("os_build", source.Text(d.Build), "OSBuildVersion", seen)
	}
	// On Windows and Android the member stands too, and is always false.
	if value, said := source.Truth(d.Supervised); said && slices.Contains(apple, platform) {
		say("supervised", value, "IsSupervised", seen)
	}
	member := map[string]json.RawMessage{EncryptionYN: d.EncryptionYN, Encryption: d.Encryption}[a.opts.Encryption]
	if value, said := source.Truth(member); said {
		var word string
		if !value.Known() && json.Unmarshal(member, &word) == nil {
			value = map[string]signals.Value{"Y": signals.Bool(true), "N": signals.Bool(false)}[word]
		}
		say("disk_encryption", value, a.opts.Encryption, seen)
	}
}

var apple = []signals.Value{signals.Text("macos"), signals.Text("ios"), signals.Text("ipados")}

// platformOf knows that Apple is iOS here; an iPad is told by its model.
func platformOf(d *device) signals.Value {
	if d.Platform != "Apple" {
		return source.Platform(d.Platform)
	}
	if strings.Contains(strings.ToLower(d.Model), "ipad") {
		return signals.Text("ipados")
	}
	return signals.Text("ios")
}

// management says whose the device is and whether it is managed. One that is to be wiped is not any more.
func (a *Adapter) management(d *device, seen time.Time, say sayer) {
	switch word := strings.ReplaceAll(d.Enrollment, " ", ""); {
	case word == "":
	case strings.EqualFold(word, "Enrolled"):
		say("mdm_managed", signals.Bool(true), "EnrollmentStatus", seen)
		say("lifecycle", signals.Text("enrolled"), "EnrollmentStatus", seen)
	case strings.EqualFold(word, "Unenrolled"):
		say("mdm_managed", signals.Bool(false), "EnrollmentStatus", seen)
		say("lifecycle", signals.Text("removed"), "EnrollmentStatus", seen)
	case strings.EqualFold(word, "EnterpriseWipePending"):
		say("mdm_managed", signals.Bool(false), "EnrollmentStatus", seen)
		say("lifecycle", signals.Text("retiring"), "EnrollmentStatus", seen)
	default:
		say("mdm_managed", signals.Unknown, "EnrollmentStatus", seen)
		say("lifecycle", signals.Unknown, "EnrollmentStatus", seen)
	}
	if d.Ownership != "" {
		meaning, found := a.opts.Ownership[d.Ownership]
		if !found {
			meaning = ownerships[d.Ownership]
		}
		say("ownership", source.Text(meaning), "Ownership", seen)
	}
	user, path := d.Email, "UserEmailAddress"
	if a.opts.User == UserName {
		user, path = d.User, "UserName"
	}
	if user != "" {
		say("enrolled_user", source.Text(user), path, seen)
	}
}

// compliances are the words of ComplianceStatus.
var compliances = map[string]signals.Value{
	"compliant": signals.Text("compliant"), "noncompliant": signals.Text("noncompliant"),
	"pendingcompliancecheck": signals.Text("pending"),
}

// verdicts says what the console has found, each by the time of its check. A good word without the time of any check is none: a
// device that was never looked at is Compliant too. A word that is not good counts as of LastSeen then, so that no fault hides it.
func (a *Adapter) verdicts(d *device, times map[string]time.Time, say sayer) {
	dated := func(check string, good bool) time.Time {
		if at := times[check]; !at.IsZero() || good {
			return at
		}
		return times["LastSeen"]
	}
	if word := strings.ToLower(strings.ReplaceAll(d.Compliance, " ", "")); word != "" {
		say("config_compliance", compliances[word], "ComplianceStatus", dated("LastComplianceCheckOn", word == "compliant"))
	}
	if value, said := source.Truth(d.Compromised); said {
		say("compromised", value, "CompromisedStatus", dated("LastCompromisedCheckOn", value == signals.Bool(false)))
	}
}
