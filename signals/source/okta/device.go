package okta

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// device is what counts of Okta's record of a device (developer.okta.com, "Devices API").
type device struct {
	ID          string          `json:"id"`
	Status      string          `json:"status"`      // CREATED, ACTIVE, SUSPENDED, DEACTIVATED
	LastUpdated json.RawMessage `json:"lastUpdated"` // when the record was changed
	Profile     struct {
		Platform   string          `json:"platform"` // ANDROID, IOS, MACOS, WINDOWS
		Model      string          `json:"model"`
		OSVersion  string          `json:"osVersion"`
		Serial     string          `json:"serialNumber"`
		UDID       string          `json:"udid"` // of Macs
		Encryption *string         `json:"diskEncryptionType"`
		Jailbreak  json.RawMessage `json:"integrityJailbreak"`
		Managed    json.RawMessage `json:"managed"`
	} `json:"profile"`
	Embedded struct {
		Users *[]deviceUser `json:"users"` // nil: they were not asked for
	} `json:"_embedded"`
}

// deviceUser is what counts of a user of a device.
type deviceUser struct {
	Management *string `json:"managementStatus"` // MANAGED, NOT_MANAGED
	ScreenLock *string `json:"screenLockType"`   // NONE, PASSCODE, BIOMETRIC
	User       struct {
		Profile struct {
			Login string `json:"login"`
			Email string `json:"email"`
		} `json:"profile"`
	} `json:"user"`
}

// said collects what is said of one device, all at one instant.
type said struct {
	o  signals.Observation
	at time.Time
}

func (s *said) say(attribute string, value signals.Value, path string) {
	if s.at.IsZero() {
		return // what has no instant is not said
	}
	s.o.Facts = append(s.o.Facts, signals.Fact{Attribute: attribute, Value: value, Path: path, Observed: s.at})
}

// observed puts a device into our words.
func (a *Adapter) observed(d *device) (signals.Observation, error) {
	own, err := a.Alias(d.ID)
	if err != nil {
		return signals.Observation{}, err
	}
	s := said{o: signals.Observation{Aliases: []signals.Alias{own}}}
	for _, name := range []signals.Alias{
		{Kind: signals.AliasSerial, Value: d.Profile.Serial}, {Kind: signals.AliasUUID, Value: d.Profile.UDID},
	} {
		// What is malformed identifies nothing either, and the device has a name without it.
		if alias, err := signals.NewAlias(name.Kind, name.Value); err == nil {
			s.o.Aliases = append(s.o.Aliases, alias)
		}
	}
	if s.at, err = source.Instant(d.LastUpdated); err != nil {
		return signals.Observation{}, err
	}
	if d.Status != "" {
		s.say("lifecycle", lifecycle(d.Status), "status")
	}
	s.profile(d, a.opts.Encrypted)
	if d.Embedded.Users != nil {
		s.users(*d.Embedded.Users, a.opts.User)
	}
	s.managed(d)
	return s.o, nil
}

// lifecycle is what the status means. A device that was only CREATED was never enrolled by anybody; one that was DEACTIVATED has
// lost its users and enrolments.
func lifecycle(status string) signals.Value {
	switch status {
	case "ACTIVE":
		return signals.Text("enrolled")
	case "SUSPENDED":
		return signals.Text("blocked")
	case "DEACTIVATED":
		return signals.Text("removed")
	}
	return signals.Unknown
}

// profile says what Okta Verify found. secureHardwarePresent is about a chip and not about how the device was started.
func (s *said) profile(d *device, encrypted []string) {
	p := &d.Profile
	platform := source.Platform(p.Platform)
	if platform == signals.Text("ios") && strings.HasPrefix(p.Model, "iPad") {
		platform = signals.Text("ipados") // Okta has one word for both; the model is Apple's own: iPad13,1
	}
	if p.Platform != "" {
		s.say("platform", platform, "profile.platform")
	}
	os := source.SplitOS(platform, p.OSVersion)
	for _, part := range []struct{ attribute, text string }{
		{"os_version", os.Version}, {"os_build", os.Build}, {"patch_level", os.Patch},
	} {
		if part.text != "" {
			s.say(part.attribute, source.Text(part.text), "profile.osVersion")
		}
	}
	if p.Encryption != nil {
		value := signals.Unknown
		switch {
		case slices.Contains(encrypted, *p.Encryption):
			value = signals.Bool(true)
		case *p.Encryption == notEncrypted:
			value = signals.Bool(false)
		}
		s.say("disk_encryption", value, "profile.diskEncryptionType")
	}
	value, there := source.Truth(p.Jailbreak)
	// Okta looks for it on phones and tablets alone: elsewhere a false means that nobody has looked.
	looked := slices.Contains([]signals.Value{signals.Text("android"), signals.Text("ios"), signals.Text("ipados")}, platform)
	if there && (looked || value == signals.Bool(true)) {
		s.say("compromised", value, "profile.integrityJailbreak")
	}
}

// users says what stands with each user of the device: the worst of them counts.
func (s *said) users(users []deviceUser, name string) {
	var locks []signals.Value
	names := map[string]bool{}
	for i := range users {
		u := &users[i]
		if u.ScreenLock != nil {
			locks = append(locks, word(*u.ScreenLock, "NONE", "PASSCODE", "BIOMETRIC"))
		}
		text := u.User.Profile.Login
		if name == UserEmail {
			text = u.User.Profile.Email
		}
		names[text] = true
	}
	if len(locks) > 0 {
		s.say("screen_lock", worst(locks), "_embedded.users[].screenLockType")
	}
	if len(names) == 1 && names[""] {
		return // summaries of users have no names
	}
	owner := signals.Unknown // a device of nobody any more, or of several people, is nobody's in particular
	if len(names) == 1 {
		for text := range names {
			owner = source.Text(text)
		}
	}
	s.say("enrolled_user", owner, "_embedded.users[].user.profile."+name)
}

// managed joins what the profile says with what stands with each user.
func (s *said) managed(d *device) {
	var all []signals.Value
	path := "profile.managed"
	if value, there := source.Truth(d.Profile.Managed); there {
		all = append(all, value)
	}
	if d.Embedded.Users != nil {
		for _, u := range *d.Embedded.Users {
			if u.Management != nil {
				all = append(all, word(*u.Management, "NOT_MANAGED", "MANAGED"))
				path = "_embedded.users[].managementStatus"
			}
		}
	}
	if len(all) > 0 {
		s.say("mdm_managed", worst(all), path)
	}
}

// word is false for the bad word, true for a good one, and else unknown.
func word(text, bad string, good ...string) signals.Value {
	switch {
	case text == bad:
		return signals.Bool(false)
	case slices.Contains(good, text):
		return signals.Bool(true)
	}
	return signals.Unknown
}

// worst is false if one is, else unknown if one is.
func worst(values []signals.Value) signals.Value {
	switch {
	case slices.Contains(values, signals.Bool(false)):
		return signals.Bool(false)
	case slices.Contains(values, signals.Unknown):
		return signals.Unknown
	}
	return signals.Bool(true)
}
