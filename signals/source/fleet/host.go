package fleet

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// host is what counts of Fleet's record of a host, in the list and alone (fleetdm.com/docs/rest-api, "Get host").
// seen_time is left out on purpose: a host that is online has not been looked at anew.
type host struct {
	ID             int64           `json:"id"`
	UUID           string          `json:"uuid"`
	Serial         string          `json:"hardware_serial"` // may be ""
	Platform       string          `json:"platform"`        // darwin, windows, ubuntu, rhel, ios, ipados, chrome …
	PlatformLike   string          `json:"platform_like"`
	OSVersion      string          `json:"os_version"` // macOS 13.5
	Build          string          `json:"build"`
	DetailUpdated  json.RawMessage `json:"detail_updated_at"`
	PolicyUpdated  json.RawMessage `json:"policy_updated_at"`
	DiskEncryption json.RawMessage `json:"disk_encryption_enabled"` // alone only; null or absent on Linux
	MDM            struct {
		Status *string `json:"enrollment_status"`
	} `json:"mdm"`
	Policies []policy `json:"policies"` // alone, or with populate_policies
}

// mapped is one entry of a host's device mapping.
type mapped struct {
	Email  string `json:"email"`
	Source string `json:"source"`
}

// neverUpdated is what Fleet itself writes for "never": the start of the year 2000.
var neverUpdated = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// updated reads one of Fleet's instants; the zero Time: it does not say, so nothing can be dated by it.
func updated(raw json.RawMessage) time.Time {
	at, err := source.Instant(raw)
	if err != nil || !at.After(neverUpdated) {
		return time.Time{}
	}
	return at
}

// statements collects facts of one host. What has no instant is not said.
type statements struct {
	facts []signals.Fact
}

func (s *statements) say(attribute string, value signals.Value, path string, at time.Time) {
	if !at.IsZero() {
		s.facts = append(s.facts, signals.Fact{Attribute: attribute, Value: value, Path: path, Observed: at})
	}
}

// observation puts a host into our words.
func (a *Adapter) observation(ctx context.Context, h *host) (signals.Observation, error) {
	aliases, err := a.aliases(h)
	if err != nil {
		return signals.Observation{}, err
	}
	detail, judged := updated(h.DetailUpdated), updated(h.PolicyUpdated)
	var s statements
	h.system(&s, detail)
	// That Fleet has the host ends the "removed" of an earlier time.
	s.say("lifecycle", signals.Text("enrolled"), "id", detail)
	if h.MDM.Status != nil {
		s.say("mdm_managed", managed(*h.MDM.Status), "mdm.enrollment_status", detail)
	}
	encrypted, said := source.Truth(h.DiskEncryption)
	if said {
		s.say(diskEncryption, encrypted, "disk_encryption_enabled", detail)
	}
	a.judgements(h, said, &s, judged)
	if len(a.opts.Users) > 0 {
		users, err := a.mapping(ctx, strconv.FormatInt(h.ID, 10))
		if err != nil {
			return signals.Observation{}, err
		}
		if user, path, said := a.user(users); said {
			s.say("enrolled_user", user, path, detail)
		}
	}
	return signals.Observation{Aliases: aliases, Facts: s.facts}, nil
}

// aliases are Fleet's own id, and the serial and UUID where they are no placeholders.
func (a *Adapter) aliases(h *host) ([]signals.Alias, error) {
	own, err := a.Alias(strconv.FormatInt(h.ID, 10))
	if err != nil {
		return nil, err
	}
	var aliases []signals.Alias
	for _, name := range []signals.Alias{
		{Kind: signals.AliasSerial, Value: h.Serial}, {Kind: signals.AliasUUID, Value: h.UUID},
	} {
		// What is malformed identifies nothing either, and the host has a name without it.
		if alias, err := signals.NewAlias(name.Kind, name.Value); err == nil {
			aliases = append(aliases, alias)
		}
	}
	return append(aliases, own), nil
}

// system says which operating system the host has.
func (h *host) system(s *statements, at time.Time) {
	platform, path := source.Platform(h.Platform), "platform"
	if !platform.Known() && h.PlatformLike != "" { // a distribution that we do not know
		platform, path = source.Platform(h.PlatformLike), "platform_like"
	}
	if h.Platform != "" || h.PlatformLike != "" {
		s.say("platform", platform, path, at)
	}
	os := source.SplitOS(platform, h.OSVersion)
	if strings.TrimSpace(h.OSVersion) != "" {
		version, path := os.Version, "os_version"
		if version == "" && platform == signals.Text("windows") {
			version, path = source.SplitOS(platform, h.Build).Version, "build" // 10.0.22631.3593
		}
		s.say("os_version", source.Text(version), path, at)
	}
	switch {
	case strings.TrimSpace(h.Build) != "":
		s.say("os_build", source.Text(h.Build), "build", at)
	case os.Build != "":
		s.say("os_build", source.Text(os.Build), "os_version", at)
	}
}

// managed reads mdm.enrollment_status. Pending is a device that was bought and has not enrolled yet.
func managed(status string) signals.Value {
	switch status {
	case "On (automatic)", "On (manual)", "On (personal)":
		return signals.Bool(true)
	case "Off", "Pending":
		return signals.Bool(false)
	}
	return signals.Unknown
}

// user finds the one address of the best source that has any. Two different ones are nobody.
func (a *Adapter) user(users []mapped) (user signals.Value, path string, said bool) {
	for _, from := range a.opts.Users {
		for _, m := range users {
			if m.Source != from {
				continue
			}
			if email := source.Text(m.Email); !said {
				user, said = email, true
			} else if email != user {
				user = signals.Unknown
			}
		}
		if said {
			return user, "device_mapping[" + from + "].email", true
		}
	}
	return signals.Unknown, "", false
}
