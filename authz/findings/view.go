package findings

import (
	"iter"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// View is the world at an instant, as far as findings look at it. A nil part is unknown: nothing is found, nor closed, by
// what is unknown. A part that is empty and not nil is known to be empty.
type View struct {
	At     time.Time
	Policy *policy.Policy
	// Devices yields every device, in any order; it is called once. Nothing of one is kept but texts: the next may be written
	// over its Posture and its Standing.
	Devices iter.Seq[DeviceView]
	// Unread are the devices that are there and whose posture could not be read: their findings neither open nor close now.
	Unread map[signals.DeviceID]bool
	// Heard is the latest instant from which a fact of each source ages, on any device (policy.Device.Heard).
	Heard map[string]time.Time
	// Contested are the names that several devices carry, with those devices.
	Contested map[signals.Alias][]signals.DeviceID
	// Exceptions are those of run time, whatever their state; those of the directory stand in the policy.
	Exceptions []approvals.Exception
	Graces     []approvals.Grace
	Sightings  []inventory.Sighting
	Imported   []inventory.Entry
	Use        []inventory.Use
	Envoys     []EnvoyView
	// Blind are kinds that cannot be judged now, with the reason: they neither open nor close.
	Blind map[Kind]string
}

// DeviceView is one device and how it stands with the policy at the View's instant, as Policy.Troubles or Policy.Standing tells.
type DeviceView struct {
	Posture  *signals.Posture
	Standing policy.Standing
	// Audiences are those of the people who use the device, as far as decisions saw them. Find adds what the posture tells:
	// the audiences of its ownership, and of the user that it is enrolled for where a policy names them.
	Audiences []string
}

// EnvoyView is how one Envoy's configuration differs from what it was given.
type EnvoyView struct {
	ID          string    // the node's
	Since       time.Time // when the difference was seen first
	Differences []string  // empty: it is as intended
}

// sees tells whether the view knows enough to say that a trouble is not there.
func (v *View) sees(f *Finding) bool {
	if _, blind := v.Blind[f.Kind]; blind || v.Policy == nil {
		return false
	}
	about, name, _ := strings.Cut(f.Subject, " ")
	if about == "device" && v.Unread[signals.DeviceID(name)] {
		return false
	}
	if about == "envoy" {
		return v.Envoys != nil
	}
	switch f.Kind {
	case Drift, Conflict, AlarmUncleared:
		// Of a population nobody knows who counts while some of its devices cannot be read.
		return v.Devices != nil && (about == "device" || len(v.Unread) == 0)
	case ContestedDevice:
		return v.Contested != nil
	case StaleDevice:
		return v.Devices != nil && v.Heard != nil
	case GraceOverrun:
		return v.Devices != nil && v.Heard != nil && v.Graces != nil
	case ExceptionAbuse:
		return v.seesAbuse(f.Detail)
	default:
		return v.seesIdentities(f)
	}
}

// seesIdentities is sees for non-human identities.
func (v *View) seesIdentities(f *Finding) bool {
	switch f.Kind {
	case IdentityUnreviewed:
		return true
	case IdentityMisconfigured:
		return v.Sightings != nil || f.Detail == detailWildcard
	case IdentityExcessive:
		return v.Sightings != nil
	default:
		return v.Sightings != nil && v.Imported != nil
	}
}

// seesAbuse is sees for the parts that each sort of abuse is told by.
func (v *View) seesAbuse(detail string) bool {
	switch detail {
	case detailShare:
		return v.Use != nil
	case detailOutside, detailEdge, detailUnused:
		return v.Exceptions != nil && v.Use != nil
	case detailNeedless:
		return v.Exceptions != nil && v.Devices != nil
	}
	return v.Exceptions != nil
}
