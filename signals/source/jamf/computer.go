package jamf

import (
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// readComputer reads a record of /api/vN/computers-inventory
// (https://developer.jamf.com/jamf-pro/reference/get_v1-computers-inventory).
//
// Certificates are not read: Jamf Pro gives their SHA-1 alone, and a name that two certificates can be made to
// share must not join devices; whether one of the many that a Mac holds is the one of its connections, it does not
// say.
func readComputer(a *Adapter, r *record) {
	platform := signals.Unknown
	if raw := r.get("general", "platform"); raw != nil {
		platform = source.Platform(textOf(raw))
		r.say("platform", platform, "general", "platform")
	}
	r.version(platform, "operatingSystem", "version")
	r.free("os_build", "operatingSystem", "build")
	r.free("patch_level", "operatingSystem", "rapidSecurityResponse")
	r.managed("general", "remoteManagement", "managed")
	r.truth("supervised", "general", "supervised")
	r.truth("firewall", "security", "firewallEnabled")
	r.fileVault()
	r.secureBoot()
	r.user(a.options.User, "email")
	r.compliance(a.groups[KindComputer], "groupMemberships")
}

// bootStates are the states of the boot partition (ComputerPartitionFileVault2State) that mean something; the
// documentation's own example has VALID, which is none, and INELIGIBLE, RESTART_NEEDED, OPTIMIZING and UNKNOWN say
// neither.
var bootStates = map[string]signals.Value{
	"ENCRYPTED":         signals.Bool(true),
	"UNENCRYPTED":       signals.Bool(false),
	"NOT_ENCRYPTED":     signals.Bool(false),
	"DECRYPTED":         signals.Bool(false),
	"DECRYPTING":        signals.Bool(false),
	"DECRYPTING_PAUSED": signals.Bool(false),
	"ENCRYPTING":        signals.Bool(false),
	"ENCRYPTING_PAUSED": signals.Bool(false),
}

// diskStates are those of all partitions together (FileVault2Status). SOME_ENCRYPTED and NOT_APPLICABLE say nothing
// of the boot partition.
var diskStates = map[string]signals.Value{
	"ALL_ENCRYPTED":  signals.Bool(true),
	"BOOT_ENCRYPTED": signals.Bool(true),
	"NOT_ENCRYPTED":  signals.Bool(false),
}

// fileVault adds disk_encryption. The boot partition's state has the word; the summary counts where that is absent, and
// where it contradicts a good one.
func (r *record) fileVault() {
	boot := []string{"diskEncryption", "bootPartitionEncryptionDetails", "partitionFileVault2State"}
	all := []string{"operatingSystem", "fileVault2Status"}
	bootWord, bootSaid := r.word(boot...)
	allWord, allSaid := r.word(all...)
	switch {
	case bootSaid && bootStates[bootWord] == signals.Bool(true) && diskStates[allWord] == signals.Bool(false):
		r.say("disk_encryption", signals.Bool(false), all...)
	case bootSaid:
		r.say("disk_encryption", bootStates[bootWord], boot...)
	case allSaid:
		r.say("disk_encryption", diskStates[allWord], all...)
	}
}

// bootLevels: only full security starts nothing but what Apple signs today. Of a Mac that has no such levels
// (NOT_SUPPORTED) nothing is known.
var bootLevels = map[string]signals.Value{
	"FULL_SECURITY":   signals.Bool(true),
	"MEDIUM_SECURITY": signals.Bool(false),
	"NO_SECURITY":     signals.Bool(false),
}

func (r *record) secureBoot() {
	path := []string{"security", "secureBootLevel"}
	if word, said := r.word(path...); said {
		r.say("secure_boot", bootLevels[word], path...)
	}
}
