package policyfile

import (
	"maps"
	"slices"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// decoder decodes the spec of one kind and adds the document to the policy.
type decoder func(d *strictyaml.Document, meta policy.Meta, into *policy.Spec) strictyaml.Problems

// kindOf decodes into a new element of one of the spec's lists.
func kindOf[T any](list func(*policy.Spec) *[]T, meta func(*T) *policy.Meta) decoder {
	return func(d *strictyaml.Document, m policy.Meta, into *policy.Spec) strictyaml.Problems {
		var v T
		problems := d.Decode("spec", &v)
		*meta(&v) = m
		all := list(into)
		*all = append(*all, v)
		return problems
	}
}

var kinds = map[string]decoder{
	policy.KindGovernance: kindOf(
		func(s *policy.Spec) *[]policy.Governance { return &s.Governance },
		func(v *policy.Governance) *policy.Meta { return &v.Meta }),
	policy.KindBaseline: kindOf(
		func(s *policy.Spec) *[]policy.Baseline { return &s.Baselines },
		func(v *policy.Baseline) *policy.Meta { return &v.Meta }),
	policy.KindTier: kindOf(
		func(s *policy.Spec) *[]policy.Tier { return &s.Tiers },
		func(v *policy.Tier) *policy.Meta { return &v.Meta }),
	policy.KindAudience: kindOf(
		func(s *policy.Spec) *[]policy.Audience { return &s.Audiences },
		func(v *policy.Audience) *policy.Meta { return &v.Meta }),
	policy.KindUpstream: kindOf(
		func(s *policy.Spec) *[]policy.Upstream { return &s.Upstreams },
		func(v *policy.Upstream) *policy.Meta { return &v.Meta }),
	policy.KindRoute: kindOf(
		func(s *policy.Spec) *[]policy.Route { return &s.Routes },
		func(v *policy.Route) *policy.Meta { return &v.Meta }),
}

var kindNames = slices.Sorted(maps.Keys(kinds))

// later are the kinds of the policy language that this version does not act on.
var later = map[string]bool{"Monitor": true, "Identity": true, "Exception": true}

// laterFields are its fields that this version does not act on.
var laterFields = map[string]bool{
	"Tier spec.stepUp":       true,
	"Tier spec.grace":        true,
	"Tier spec.onGap":        true,
	"Tier spec.exceptions":   true,
	"Tier spec.recheckEvery": true,
	"Tier spec.mode":         true,
	"Route spec.shared":      true,
	"Route spec.login":       true,
}
