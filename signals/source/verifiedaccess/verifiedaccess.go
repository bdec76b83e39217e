// Package verifiedaccess is a mapping of the device signals of Chrome Enterprise's Verified Access (v2, challenge:verify),
// which a login flow asks for and hands on. It is experimental: the README beside this file says what was never seen.
package verifiedaccess

import "github.com/tiergate/tiergate/signals/source/mapping"

// Doubt is what is not known of this vendor.
const Doubt = "made from one recorded answer, of a browser derived from Chrome: the words of the other states were never seen"

// Spec is the mapping. The answer has no time, and is of the moment of the login: it is dated by its receipt, so the login
// flow must hand it on at once. A good word is taken only where it was seen.
func Spec() mapping.Spec {
	on := func(enabled, disabled string) map[string]string {
		return map[string]string{enabled: "true", disabled: "false"}
	}
	return mapping.Spec{
		Doubt: Doubt,
		Delivery: &mapping.Delivery{Record: &mapping.Record{
			Serial: "deviceSignals.serialNumber", ID: "devicePermanentId",
			Observed: mapping.Observed{Received: true},
			Facts: map[string]mapping.Fact{
				"platform":   {Path: "deviceSignals.operatingSystem"},
				"os_version": {Path: "deviceSignals.osVersion"},
				"disk_encryption": {Path: "deviceSignals.diskEncryption",
					Values: on("DISK_ENCRYPTION_ENABLED", "DISK_ENCRYPTION_DISABLED")},
				"firewall":    {Path: "deviceSignals.osFirewall", Values: on("OS_FIREWALL_ENABLED", "OS_FIREWALL_DISABLED")},
				"screen_lock": {Path: "deviceSignals.screenLockSecured", Values: on("SCREEN_LOCK_ENABLED", "SCREEN_LOCK_DISABLED")},
				"secure_boot": {Path: "deviceSignals.secureBootMode", Values: map[string]string{"SECURE_BOOT_DISABLED": "false"}},
			},
		}},
	}
}
