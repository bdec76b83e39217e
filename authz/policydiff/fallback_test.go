package policydiff_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policydiff"
)

// withFallback lets the guarded tier lead to the wiki for six days.
func withFallback(spec *policy.Spec) {
	for i := range spec.Tiers {
		if spec.Tiers[i].Meta.Name == "guarded" {
			spec.Tiers[i].Fallback = &policy.Fallback{Route: "wiki", From: policy.Date{Time: noon.Add(-72 * time.Hour)},
				Until: policy.Date{Time: noon.Add(72 * time.Hour)}}
		}
	}
	spec.Routes[2].FallbackFor = "guarded"
}

// TestDirectionsOfFallbacks: what opens the route for longer loosens, and to say that it ends at all tightens.
func TestDirectionsOfFallbacks(t *testing.T) {
	t.Parallel()
	guarded := func(s *policy.Spec) *policy.Fallback { return s.Tiers[0].Fallback }
	for field, c := range map[string]struct {
		change      func(*policy.Spec)
		there, back policydiff.Direction
	}{
		"spec.fallback.until": {func(s *policy.Spec) { guarded(s).Until.Time = noon.Add(96 * time.Hour) }, policydiff.Loosens, policydiff.Tightens},
		"spec.fallback.from":  {func(s *policy.Spec) { guarded(s).From.Time = noon.Add(-96 * time.Hour) }, policydiff.Loosens, policydiff.Tightens},
		"spec.fallback":       {func(s *policy.Spec) { s.Tiers[0].Fallback = nil }, policydiff.Neither, policydiff.Neither},
		"spec.fallback.route": {func(s *policy.Spec) { guarded(s).Route = "kit" }, policydiff.Neither, policydiff.Neither},
		"spec.fallbackFor":    {func(s *policy.Spec) { s.Routes[2].FallbackFor = "" }, policydiff.Loosens, policydiff.Tightens},
	} {
		was, is := world(), world()
		withFallback(&was)
		withFallback(&is)
		c.change(&is)
		for _, way := range []struct {
			from, to policy.Spec
			want     policydiff.Direction
		}{{was, is, c.there}, {is, was, c.back}} {
			changes := policydiff.CompareSpecs(way.from, way.to, sources)
			if !slices.ContainsFunc(changes, func(x policydiff.Change) bool { return x.Field == field && x.Direction == way.want }) {
				t.Errorf("%s: %+v, want %s", field, changes, way.want)
			}
		}
	}
}
