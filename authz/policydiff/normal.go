package policydiff

import (
	"cmp"
	"slices"

	"github.com/tiergate/tiergate/authz/policy"
)

// normal copies a spec with its defaults written out, so that to write one down changes nothing.
func normal(spec policy.Spec) policy.Spec {
	spec.Tiers = slices.Clone(spec.Tiers)
	for i := range spec.Tiers {
		t := &spec.Tiers[i]
		t.Mode = cmp.Or(t.Mode, policy.ModeEnforce)
		t.EnrolledUser = cmp.Or(t.EnrolledUser, policy.EnrolledRequired)
		t.DenyUnless, t.StepUp = normalDenyUnless(t.DenyUnless), normalStepUp(t.StepUp)
		t.Stricter = slices.Clone(t.Stricter)
		for j := range t.Stricter {
			s := &t.Stricter[j]
			s.DenyUnless, s.StepUp = normalDenyUnless(s.DenyUnless), normalStepUp(s.StepUp)
		}
	}
	spec.Upstreams = slices.Clone(spec.Upstreams)
	for i := range spec.Upstreams {
		spec.Upstreams[i].Protocol = cmp.Or(spec.Upstreams[i].Protocol, policy.ProtocolHTTP1)
	}
	spec.Routes = slices.Clone(spec.Routes)
	for i := range spec.Routes {
		spec.Routes[i].Token = cmp.Or(spec.Routes[i].Token, policy.TokenForward)
		spec.Routes[i].CORS = normalCORS(&spec.Routes[i])
	}
	return spec
}

func normalDenyUnless(list []policy.DenyUnless) []policy.DenyUnless {
	list = slices.Clone(list)
	for i := range list {
		list[i].OnUnknown = cmp.Or(list[i].OnUnknown, policy.OnUnknownDeny)
	}
	return list
}

func normalStepUp(d *policy.StepUpDemand) *policy.StepUpDemand {
	if d == nil {
		return nil
	}
	written := *d
	written.When = cmp.Or(d.When, policy.StepUpAlways)
	return &written
}
