package policy_test

import (
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

func TestOrderNeverMatters(t *testing.T) {
	t.Parallel()
	rapid.Check(t, of(orderNeverMatters, perPolicy/4))
}

// orderNeverMatters shuffles documents, what stands in their lists, and what was delivered: the digest names the same
// documents, and two shuffled readers say the same of every request.
func orderNeverMatters(t *rapid.T, requests int) {
	d, w := dice{t}, drawWorld(t)
	documents := &reference{spec: shuffledDocuments(d, w.spec), world: w.world}
	again := documents.compile(t)
	if again.policy.Digest() != w.policy.Digest() || again.policy.Table().Digest() != w.policy.Table().Digest() {
		t.Fatal("the order of documents changes a digest")
	}
	lists := &reference{spec: shuffledLists(d, documents.spec), world: w.world}
	relisted := lists.compile(t)
	for range requests {
		in := d.input(w.reference)
		want := w.policy.Evaluate(&in)
		other := in
		other.Granted, other.Device.Renewals = shuffled(d, in.Granted), shuffled(d, in.Device.Renewals)
		if in.Device.Posture != nil {
			other = withFacts(other, shuffled(d, in.Device.Posture.Facts)...)
		}
		if got := again.policy.Evaluate(&other); text(got) != text(want) {
			t.Fatalf("in another order %s\nbecomes %s\ninput %s", text(want), text(got), text(in))
		}
		got := relisted.policy.Evaluate(&other)
		if rulingOf(&got).String() != rulingOf(&want).String() {
			t.Fatalf("with lists in another order %s\nbecomes %s\ninput %s", text(want), text(got), text(in))
		}
	}
}

func shuffled[T any](d dice, list []T) []T {
	if len(list) < 2 {
		return list
	}
	return rapid.Permutation(list).Draw(d.t, "order")
}

func shuffledDocuments(d dice, s policy.Spec) policy.Spec {
	return policy.Spec{
		Governance: s.Governance, Baselines: shuffled(d, s.Baselines), Tiers: shuffled(d, s.Tiers),
		Audiences: shuffled(d, s.Audiences), Upstreams: shuffled(d, s.Upstreams), Routes: shuffled(d, s.Routes),
		Exceptions: shuffled(d, s.Exceptions),
	}
}

// shuffledLists shuffles inside documents, where order says nothing: not prefer, which is a ranking.
func shuffledLists(d dice, s policy.Spec) policy.Spec {
	s.Tiers, s.Routes, s.Exceptions = slices.Clone(s.Tiers), slices.Clone(s.Routes), slices.Clone(s.Exceptions)
	for i := range s.Tiers {
		t := &s.Tiers[i]
		t.Require, t.DenyUnless, t.Advise = shuffled(d, t.Require), shuffled(d, t.DenyUnless), shuffled(d, t.Advise)
		t.Stricter = shuffled(d, t.Stricter)
	}
	for i := range s.Routes {
		s.Routes[i].Audiences, s.Routes[i].Methods = shuffled(d, s.Routes[i].Audiences), shuffled(d, s.Routes[i].Methods)
	}
	for i := range s.Exceptions {
		e := &s.Exceptions[i]
		e.Subjects, e.Devices, e.Signals = shuffled(d, e.Subjects), shuffled(d, e.Devices), shuffled(d, e.Signals)
		e.Routes = shuffled(d, e.Routes)
	}
	return s
}

func TestEvaluationIsRepeatable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, of(evaluationIsRepeatable, perPolicy/4))
}

// evaluationIsRepeatable: byte for byte, from the input as it was written down, by a policy compiled anew, with the
// assessment made ahead or not, from the posture or its packed form. What Evaluate is given it leaves as it was.
func evaluationIsRepeatable(t *rapid.T, requests int) {
	d, w := dice{t}, drawWorld(t)
	again := w.compile(t)
	for range requests {
		in := d.input(w.reference)
		written := asJSON(t, in)
		want := asJSON(t, w.policy.Evaluate(&in))
		if after := asJSON(t, in); after != written {
			t.Fatalf("evaluating %s\nmade it %s", written, after)
		}
		var read policy.Input
		if err := json.Unmarshal([]byte(written), &read); err != nil {
			t.Fatal(err)
		}
		ahead, packed := in, in
		if in.Device.Posture != nil {
			ahead.Device.Assessment = w.policy.Assess(in.Device.Posture)
			packed.Device.Posture, packed.Device.Packed = nil, signals.Pack(in.Device.Posture)
		}
		for i, x := range []policy.Input{in, read, ahead, packed} {
			for _, p := range []*policy.Policy{w.policy, again.policy} {
				if got := asJSON(t, p.Evaluate(&x)); got != want {
					t.Fatalf("way %d: %s\nwas %s\ninput %s", i, got, want, written)
				}
			}
		}
	}
}

func asJSON(t *rapid.T, v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestMonitorNeverWaivesMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, of(monitorNeverWaivesMore, perPolicy/4))
}

// monitorNeverWaivesMore puts one policy in both modes: identity, audience, path, method, a contested device and an
// unmet denyUnless are refused in either; the rest is admitted, and says what it would have been.
func monitorNeverWaivesMore(t *rapid.T, requests int) {
	d := dice{t}
	enforcing := redrawn(t, func(s *policy.Spec) { setMode(s, policy.ModeEnforce) })
	watching := &reference{spec: enforcing.spec, world: enforcing.world}
	watching.spec.Tiers = slices.Clone(enforcing.spec.Tiers)
	setMode(&watching.spec, policy.ModeMonitor)
	monitor := watching.compile(t)
	waivable := []policy.Reason{policy.ReasonPosture, policy.ReasonStepUp, policy.ReasonDeviceUnknown,
		policy.ReasonStoreUnreachable}
	for range requests {
		in := d.input(enforcing.reference)
		strict, watched := enforcing.policy.Evaluate(&in), monitor.policy.Evaluate(&in)
		if strict.Monitored != nil {
			t.Fatalf("an enforcing tier says %s", text(strict))
		}
		if !slices.Contains(waivable, strict.Reason) || denyUnless(&strict) > 0 {
			if watched.Outcome != strict.Outcome || watched.Reason != strict.Reason || watched.Monitored != nil {
				t.Fatalf("monitor turned %s\ninto %s\ninput %s", text(strict), text(watched), text(in))
			}
			continue
		}
		if watched.Outcome == policy.Allow && (watched.Monitored == nil || watched.Monitored.Outcome != strict.Outcome ||
			watched.Monitored.Reason != strict.Reason) {
			t.Fatalf("monitor does not say what %s was: %s\ninput %s", text(strict), text(watched), text(in))
		}
	}
}

func setMode(s *policy.Spec, mode policy.Mode) {
	for i := range s.Tiers {
		s.Tiers[i].Mode = mode
	}
}
