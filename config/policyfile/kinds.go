package policyfile

import (
	"maps"
	"reflect"
	"slices"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// kind is one kind of document.
type kind struct {
	spec reflect.Type // what its spec is decoded into
	// decode decodes the spec and adds the document to the policy.
	decode func(d *strictyaml.Document, meta policy.Meta, into *policy.Spec) strictyaml.Problems
}

// kindOf decodes into a new element of one of the spec's lists.
func kindOf[T any](list func(*policy.Spec) *[]T, meta func(*T) *policy.Meta) kind {
	return kind{
		spec: reflect.TypeFor[T](),
		decode: func(d *strictyaml.Document, m policy.Meta, into *policy.Spec) strictyaml.Problems {
			var v T
			problems := d.Decode("spec", &v)
			*meta(&v) = m
			all := list(into)
			*all = append(*all, v)
			return problems
		},
	}
}

var kinds = map[string]kind{
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
	policy.KindIdentity: kindOf(
		func(s *policy.Spec) *[]policy.Identity { return &s.Identities },
		func(v *policy.Identity) *policy.Meta { return &v.Meta }),
	policy.KindException: kindOf(
		func(s *policy.Spec) *[]policy.Exception { return &s.Exceptions },
		func(v *policy.Exception) *policy.Meta { return &v.Meta }),
	policy.KindMonitor: kindOf(
		func(s *policy.Spec) *[]policy.Monitor { return &s.Monitors },
		func(v *policy.Monitor) *policy.Meta { return &v.Meta }),
}

var kindNames = slices.Sorted(maps.Keys(kinds))
