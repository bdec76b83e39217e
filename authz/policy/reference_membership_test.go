package policy_test

import (
	"slices"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
)

// membership of an audience is three-valued.
type membership int

const (
	outside membership = iota
	maybe
	member
)

// membership: entries are OR, the keys inside one are AND.
func (a *asked) membership(audience policy.Audience) membership {
	best := outside
	for _, entry := range slices.Concat(audience.Members, audience.Workloads) {
		if a.isPerson(entry) && a.isWorkload(entry) {
			best = max(best, a.byOwnership(entry.DeviceOwnership, audience.OwnershipUnknown))
		}
	}
	return best
}

func (a *asked) isPerson(entry policy.Member) bool {
	if entry.Issuer == "" {
		return true // without an issuer there is neither group nor user
	}
	user := a.in.Subject.User
	return user != nil && user.Issuer == entry.Issuer && (entry.User == "" || entry.User == user.Name) &&
		(entry.Group == "" || slices.Contains(user.Groups, entry.Group))
}

func (a *asked) isWorkload(entry policy.Member) bool {
	if entry.SPIFFE == "" {
		return true
	}
	pattern, err := identity.ParseSPIFFEPattern(entry.SPIFFE)
	return err == nil && a.in.Subject.Workload != "" && pattern.Match(a.in.Subject.Workload)
}

// byOwnership: no device, no member by device; ownership does not age; one that nobody knows counts where the tier
// identifies a device.
func (a *asked) byOwnership(wanted string, unknown policy.OwnershipUnknown) membership {
	fact, known := a.merged("ownership")
	owner, _ := fact.Value.AsText()
	switch {
	case wanted == "" || a.bound() && known && owner == wanted:
		return member
	case a.bound() && !known && a.tier.Identify == policy.IdentifyUserDevice && unknown != policy.OwnershipOutside:
		return maybe
	}
	return outside
}
