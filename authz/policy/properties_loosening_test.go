package policy_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// Each property is a function of drawn data, checked by a test beside it and by a fuzz target in
// fuzz_properties_test.go: it draws a policy, and so many requests.
type property func(t *rapid.T, requests int)

// of binds the number of requests.
func of(p property, requests int) func(*rapid.T) { return func(t *rapid.T) { p(t, requests) } }

func TestAFailingSignalNeverLoosens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, of(aFailingSignalNeverLoosens, perPolicy/4))
}

// aFailingSignalNeverLoosens: bad news of a known device, from any source, leaves the outcome or makes it worse. The
// tiers have no last-known here: news ends a device's silence, and another source's outage may be what is left then.
func aFailingSignalNeverLoosens(t *rapid.T, requests int) {
	d := dice{t}
	w := redrawn(t, func(spec *policy.Spec) {
		for i := range spec.Tiers {
			spec.Tiers[i].OnGap = policy.OnGap{}
		}
	})
	for range requests {
		in := d.input(w.reference)
		if in.Device.Posture == nil {
			continue
		}
		bad := pick(d, "bad attribute", telling[1:len(telling)-1]...) // a platform or an ownership is not worse than another
		news := signals.Fact{Source: pick(d, "bad source", sources...), Observed: in.At, Received: in.At,
			Attribute: bad.name, Value: bad.bad}
		if d.oneIn(4, "bad news of the bearer") {
			news = pick(d, "news of the bearer", borrowed(news.Source, in.At)...)
		}
		in.Device.Heard[news.Source] = in.At // it reported something, of this device or of another
		before := w.policy.Evaluate(&in)
		worse := withFacts(in, append(slices.Clone(in.Device.Posture.Facts), news)...)
		after := w.policy.Evaluate(&worse)
		if before.Reason != policy.ReasonDeviceUnknown && after.Outcome > before.Outcome {
			t.Fatalf("%v turned %s\ninto %s\ninput %s", news, text(before), text(after), text(in))
		}
	}
}

// redrawn draws a policy, changes it and compiles it again.
func redrawn(t *rapid.T, change func(*policy.Spec)) compiled {
	r := drawWorld(t).reference
	change(&r.spec)
	return r.compile(t)
}

// withFacts is the same input with a posture of these facts alone.
func withFacts(in policy.Input, facts ...signals.Fact) policy.Input {
	posture := signals.Posture{Device: "d1", Revision: in.Device.Posture.Revision + 1, Aliases: in.Device.Posture.Aliases}
	posture, _ = posture.Merge(signals.Observation{Facts: facts})
	in.Device.Posture = &posture
	return in
}

func TestADemandNeverLoosens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, of(aDemandNeverLoosens, perPolicy/4))
}

// aDemandNeverLoosens: a signal more in any list, of everybody or of one audience, refuses the same or more. Exceptions
// that name the signal stand aside.
func aDemandNeverLoosens(t *rapid.T, requests int) {
	d, w := dice{t}, drawWorld(t)
	tier := d.below(2, "tier")
	base := &w.spec.Tiers[tier]
	free := slices.DeleteFunc(slices.Clone(signalNames), func(signal string) bool {
		return standsIn(*base, signal) != nil || slices.ContainsFunc(base.Advise, demands(signal)) ||
			slices.ContainsFunc(w.spec.Exceptions, func(e policy.Exception) bool { return slices.Contains(e.Signals, signal) })
	})
	if len(free) == 0 {
		return
	}
	harder := &reference{spec: w.spec, world: w.world}
	harder.spec.Tiers = slices.Clone(w.spec.Tiers)
	added := policy.Demand{Signal: pick(d, "added", free...)}
	demandMore(d, &harder.spec.Tiers[tier], added)
	h := harder.compile(t)
	for range requests {
		in := d.input(w.reference)
		in.Granted = slices.DeleteFunc(in.Granted, func(e policy.Exception) bool {
			return slices.Contains(e.Signals, added.Signal)
		})
		before, after := w.policy.Evaluate(&in), h.policy.Evaluate(&in)
		if after.Outcome > before.Outcome {
			t.Fatalf("demanding %s turned %s\ninto %s\ninput %s", added.Signal, text(before), text(after), text(in))
		}
	}
}

func demands(signal string) func(policy.Demand) bool {
	return func(d policy.Demand) bool { return d.Signal == signal }
}

// demandMore puts a signal into a list of a tier, or of an entry for an audience that has none yet.
func demandMore(d dice, t *policy.Tier, added policy.Demand) {
	entry := policy.Stricter{Audience: "byod"}
	lists := policy.Stricter{}
	switch pick(d, "list", policy.ListRequire, policy.ListDenyUnless, policy.ListStepUp, policy.ListAdvise) {
	case policy.ListRequire:
		lists.Require = []policy.Demand{added}
	case policy.ListDenyUnless:
		lists.DenyUnless = []policy.DenyUnless{d.denyUnless(added)}
	case policy.ListStepUp:
		lists.StepUp = d.login(policy.StepUpDemand{Signals: []policy.Demand{added}})
	default:
		t.Advise = append(slices.Clone(t.Advise), added)
		return
	}
	if !slices.ContainsFunc(t.Stricter, func(s policy.Stricter) bool { return s.Audience == "byod" }) &&
		(d.oneIn(2, "of one audience") || lists.StepUp != nil && t.StepUp != nil) {
		entry.Require, entry.DenyUnless, entry.StepUp = lists.Require, lists.DenyUnless, lists.StepUp
		t.Stricter = append(slices.Clone(t.Stricter), entry)
		return
	}
	t.Require = slices.Concat(t.Require, lists.Require)
	t.DenyUnless = slices.Concat(t.DenyUnless, lists.DenyUnless)
	if lists.StepUp != nil && t.StepUp == nil {
		t.StepUp = lists.StepUp
	}
}

func TestRemovingAFactNeverLoosensADenyUnless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, of(removingAFactNeverLoosensADenyUnless, perPolicy/4))
}

// removingAFactNeverLoosensADenyUnless: with less known, what denied denies. What is removed is no word against the
// device: to keep those is the store's promise (an alarm survives everything but a newer healthy value). The signals
// read one attribute: of two, what a source never reported comes from the others, so less of its own may be more of
// theirs.
func removingAFactNeverLoosensADenyUnless(t *rapid.T, requests int) {
	d := dice{t}
	w := redrawn(t, func(spec *policy.Spec) {
		spec.Exceptions = nil
		for i := range spec.Tiers[:2] {
			spec.Tiers[i] = policy.Tier{Meta: spec.Tiers[i].Meta, Fallback: spec.Tiers[i].Fallback,
				Identify: policy.IdentifyUserDevice, SharedDevices: true,
				DenyUnless: []policy.DenyUnless{{Signal: "clean"}, {Signal: "risk"}, {Signal: "disk"}}}
		}
	})
	for range requests {
		in := d.input(w.reference)
		if in.Device.Posture == nil {
			continue
		}
		facts := slices.Clone(in.Device.Posture.Facts)
		for i := range facts {
			facts[i].Received = facts[i].Observed // else the newest word may be the older one to age
		}
		in = withFacts(in, facts...)
		before := w.policy.Evaluate(&in)
		if before.Reason != policy.ReasonPosture {
			continue
		}
		at := d.below(len(facts), "removed")
		if !saysNothingBad(facts[at]) {
			continue
		}
		less := withFacts(in, slices.Delete(facts, at, at+1)...)
		after := w.policy.Evaluate(&less)
		if after.Outcome != policy.Deny || after.Reason == policy.ReasonPosture && denyUnless(&after) < denyUnless(&before) {
			t.Fatalf("without %v %s\nbecame %s\ninput %s", in.Device.Posture.Facts[at], text(before), text(after), text(in))
		}
	}
}

// saysNothingBad: neither a bad value, nor "cannot tell", nor a platform, of which two sources may say two things.
func saysNothingBad(f signals.Fact) bool {
	if !saysNothingOfTheBearer(f) {
		return false
	}
	at := slices.IndexFunc(telling, func(a attribute) bool { return a.name == f.Attribute })
	return f.Value == telling[at].good && f.Attribute != "platform"
}
