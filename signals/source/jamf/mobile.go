package jamf

import (
	"cmp"
	"strings"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// readMobile reads a record of /api/v2/mobile-devices/detail
// (https://developer.jamf.com/jamf-pro/reference/get_v2-mobile-devices-detail).
func readMobile(a *Adapter, r *record) {
	platform := r.platform()
	r.version(platform, "general", "osVersion")
	r.free("os_build", "general", "osBuild")
	r.free("patch_level", "general", "osRapidSecurityResponse")
	r.managed("general", "managed")
	r.truth("supervised", "general", "supervised")
	r.truth("compromised", "security", "jailBreakDetected")
	r.passcode()
	r.dataProtection()
	r.ownership(a.options.Ownership)
	r.user(a.options.User, "emailAddress")
	r.compliance(a.groups[KindMobile], "groups")
}

// platform tells an iPad from an iPhone by its model, since deviceType is iOS for both. Where the model does not
// say, it is not guessed: a demand on versions differs by platform.
func (r *record) platform() signals.Value {
	path := []string{"deviceType"}
	kind := r.get(path...)
	if kind == nil {
		return signals.Unknown
	}
	platform := source.Platform(textOf(kind))
	if platform == signals.Text("ios") {
		platform = signals.Unknown
		model := ""
		for _, name := range []string{"model", "modelIdentifier"} { // the latter counts if it says anything
			if said := textOf(r.get("hardware", name)); said != "" {
				model, path = said, []string{"hardware", name}
			}
		}
		switch {
		case strings.HasPrefix(model, "iPad"):
			platform = signals.Text("ipados")
		case strings.HasPrefix(model, "iPhone"), strings.HasPrefix(model, "iPod"):
			platform = signals.Text("ios")
		}
	}
	r.say("platform", platform, path...)
	return platform
}

// passcode adds screen_lock: there is a passcode, and nothing says that it is too weak.
func (r *record) passcode() {
	path := []string{"security", "passcodePresent"}
	present, said := source.Truth(r.get(path...))
	if !said {
		return
	}
	for _, name := range []string{"passcodeCompliant", "passcodeCompliantWithProfile"} {
		compliant, said := source.Truth(r.get("security", name))
		if said && present == signals.Bool(true) && compliant != present {
			present, path = compliant, []string{"security", name}
		}
	}
	r.say("screen_lock", present, path...)
}

// dataProtection adds disk_encryption. Apple (SecurityInfo of the MDM protocol): data is protected where hardware
// encrypts both blocks and files (3), and there is a passcode. The word is dataProtected; what contradicts it takes
// it back.
func (r *record) dataProtection() {
	path := []string{"security", "dataProtected"}
	protected, said := source.Truth(r.get(path...))
	if !said {
		return
	}
	if protected == signals.Bool(true) {
		if hardware := r.get("security", "hardwareEncryption"); hardware != nil && textOf(hardware) != "3" {
			protected, path = signals.Unknown, []string{"security", "hardwareEncryption"}
		}
		if passcode, _ := source.Truth(r.get("security", "passcodePresent")); passcode == signals.Bool(false) {
			protected, path = signals.Bool(false), []string{"security", "passcodePresent"}
		}
	}
	r.say("disk_encryption", protected, path...)
}

// owners are the values of deviceOwnershipType. An account-driven device enrollment may be of either's device.
var owners = map[string]string{
	"Institutional":               "corporate",
	"UserEnrollment":              "byod",
	"AccountDrivenUserEnrollment": "byod",
	"PersonalDeviceProfile":       "byod", // until Jamf Pro 11.25
}

// ownership adds whose device it is.
func (r *record) ownership(own map[string]string) {
	path := []string{"general", "deviceOwnershipType"}
	raw := r.get(path...)
	if raw == nil {
		return
	}
	word := strings.TrimSpace(textOf(raw))
	meaning := signals.Unknown
	if known := cmp.Or(own[word], owners[word]); known != "" {
		meaning = signals.Text(known)
	}
	shared, _ := source.Truth(r.get("general", "sharedIpad"))
	if shared == signals.Bool(true) && meaning == signals.Text("corporate") {
		meaning, path = signals.Text("shared"), []string{"general", "sharedIpad"}
	}
	r.say("ownership", meaning, path...)
}
