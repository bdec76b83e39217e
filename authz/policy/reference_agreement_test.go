package policy_test

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// perPolicy is how many requests one drawn policy judges: with rapid's 100 policies that is 2,000 cases.
const perPolicy = 20

// TestCompiledAgreesWithReference draws policies and requests and has both evaluators judge them: with the assessment
// made on the spot, made ahead, and from the packed posture. RAPID_CHECKS=5000 makes 100,000 cases of it.
func TestCompiledAgreesWithReference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, of(compiledAgreesWithReference, perPolicy))
}

func compiledAgreesWithReference(t *rapid.T, requests int) {
	w := drawWorld(t)
	for range requests {
		in := dice{t}.input(w.reference)
		w.agree(t, in, w.judge(in))
	}
}

// agree compares the two readers of one input.
func (w compiled) agree(t rapid.TB, in policy.Input, want ruling) {
	ahead, packed := in, in
	if in.Device.Posture != nil {
		ahead.Device.Assessment = w.policy.Assess(in.Device.Posture)
		packed.Device.Posture, packed.Device.Packed = nil, signals.Pack(in.Device.Posture)
	}
	for _, x := range []policy.Input{in, ahead, packed} {
		verdict := w.policy.Evaluate(&x)
		if got := rulingOf(&verdict); got.String() != want.String() {
			t.Fatalf("compiled:  %s\nreference: %s\ninput: %s\nverdict: %s\npolicy: %s", got, want, text(in), text(verdict),
				text([]any{w.tierNamed(want.Tier), w.spec.Exceptions, w.spec.Audiences[2:4], w.spec.Baselines, w.world}))
		}
	}
}

func (r *reference) tierNamed(name string) *policy.Tier {
	for i := range r.spec.Tiers {
		if r.spec.Tiers[i].Meta.Name == name {
			return &r.spec.Tiers[i]
		}
	}
	return nil
}

// text writes a value down, what is empty left out.
func text(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	var plain any
	if err := json.Unmarshal(raw, &plain); err != nil {
		return err.Error()
	}
	raw, _ = json.Marshal(pruned(plain)) // of what was JSON
	return string(raw)
}

func pruned(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for key, value := range x {
			if x[key] = pruned(value); x[key] == nil {
				delete(x, key)
			}
		}
		if len(x) == 0 {
			return nil
		}
	case []any:
		for i := range x {
			x[i] = pruned(x[i])
		}
	case string:
		if x == "" {
			return nil
		}
	case float64:
		if x == 0 {
			return nil
		}
	}
	return v
}
