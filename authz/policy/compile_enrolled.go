package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// tierEnrolled checks what a tier says of the user that a device is enrolled for, and returns what it comes to: empty
// where that is not judged.
func (c *compiler) tierEnrolled(t *Tier) EnrolledUser {
	fault := func(field, message, help string) { c.fault(KindTier, t.Meta.Name, field, message, help) }
	if t.EnrolledUser != "" && t.EnrolledUser != EnrolledRequired && t.EnrolledUser != EnrolledWhenKnown {
		fault("spec.enrolledUser", fmt.Sprintf("enrolledUser is %q", t.EnrolledUser), "write required or whenKnown")
	}
	switch {
	case t.Identify != IdentifyUserDevice:
		const help = "remove it, or identify: user+device"
		if t.EnrolledUser != "" {
			fault("spec.enrolledUser", "the tier does not identify a user and a device, so nobody is compared", help)
		}
		if t.SharedDevices {
			fault("spec.sharedDevices", "the tier does not identify a user and a device, so none is shared", help)
		}
		return ""
	case t.SharedDevices:
		if t.EnrolledUser != "" {
			fault("spec.enrolledUser", "devices of this tier are shared, so whom they are enrolled for is not judged",
				"remove enrolledUser or sharedDevices")
		}
		return ""
	case t.EnrolledUser == EnrolledWhenKnown:
		return EnrolledWhenKnown
	}
	if len(c.enrolling) == 0 && c.enrolling != nil {
		fault("spec.identify", c.nobodyNames()+", so this tier would refuse everybody",
			"set enrolledUser in a source's settings and add enrolled_user to its attests; "+
				"or write enrolledUser: whenKnown, or sharedDevices: true, in the tier")
	}
	return EnrolledRequired
}

func (c *compiler) nobodyNames() string {
	if len(c.world.Sources) == 0 {
		return "the settings have no source that could say for whom a device is enrolled"
	}
	names := slices.Sorted(maps.Keys(c.world.Sources))
	return "no source says for whom a device is enrolled (" + strings.Join(names, ", ") + ")"
}

// unenrolling are the sources that name no users, sorted, if a tier compares them.
func (c *compiler) unenrolling() []string {
	if c.enrolling == nil || !slices.ContainsFunc(c.tiers, func(t tier) bool { return t.enrolled != "" }) {
		return nil
	}
	var none []string
	for _, name := range slices.Sorted(maps.Keys(c.world.Sources)) {
		if c.enrolling[name] == nil {
			none = append(none, name)
		}
	}
	return none
}
