package policytest

import (
	"slices"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// ownDevice makes the device the asker's own where the case does not speak of that: every source of its facts that, by
// the settings, names users of the asker's issuer has named this one, as long ago as it has reported the device at
// all.
func ownDevice(p *policy.Policy, in *policy.Input) {
	posture, user := in.Device.Posture, in.Subject.User
	if posture == nil || user == nil || slices.ContainsFunc(posture.Facts, func(f signals.Fact) bool {
		return f.Attribute == "enrolled_user"
	}) {
		return
	}
	oldest := map[string]signals.Fact{}
	for _, f := range posture.Facts {
		if first, ok := oldest[f.Source]; !ok || f.Observed.Before(first.Observed) {
			oldest[f.Source] = f
		}
	}
	for source, first := range oldest {
		as, ok := p.NamesUser(source)
		if !ok || as.Issuer != user.Issuer {
			continue
		}
		word := signals.Fact{Attribute: "enrolled_user", Source: source, Observed: first.Observed, Received: first.Received,
			Value: signals.Text(named(user, as.Is))}
		merged, _ := posture.Merge(signals.Observation{Facts: []signals.Fact{word}})
		posture = &merged
	}
	in.Device.Posture = posture
}

func named(user *identity.User, is policy.EnrolledClaim) string {
	switch is {
	case policy.EnrolledIsSubject:
		return user.Subject
	case policy.EnrolledIsEmail:
		return user.Email
	case policy.EnrolledIsName:
	}
	return user.Name
}
