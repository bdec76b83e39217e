package policy_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
)

func TestTheStoreCannotGrantMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, of(theStoreCannotGrantMore, perPolicy/4))
}

// theStoreCannotGrantMore: whatever a store holds of exceptions, renewals and what was heard, it excuses no longer than
// the policy says, nothing that the policy never excuses, and it changes nothing that is judged before the posture.
func theStoreCannotGrantMore(t *rapid.T, requests int) {
	d, w := dice{t}, drawWorld(t)
	for range requests {
		in := d.input(w.reference)
		for i := range d.below(6, "more renewals") {
			in.Device.Renewals = append(in.Device.Renewals, policy.Renewal{At: base.Add(time.Duration(i) * step)})
		}
		verdict := w.policy.Evaluate(&in)
		for i := range verdict.Waived {
			w.bounded(t, in, &verdict, &verdict.Waived[i])
		}
		bare := in
		bare.Granted, bare.Device.Renewals, bare.Device.Heard, bare.Device.AsOf = nil, nil, nil, time.Time{}
		if plain := w.policy.Evaluate(&bare); denyUnless(&plain) != denyUnless(&verdict) ||
			plain.Reason != verdict.Reason && !openToExcuses(&plain) {
			t.Fatalf("%s\nbecame %s\ninput %s", text(plain), text(verdict), text(in))
		}
	}
}

// openToExcuses: only these an excuse can turn.
func openToExcuses(v *policy.Verdict) bool {
	return v.Reason == policy.ReasonPosture || v.Reason == policy.ReasonStepUp || v.Monitored != nil
}

// denyUnless counts the denyUnless demands that are not met.
func denyUnless(v *policy.Verdict) int {
	n := 0
	for _, u := range v.Unmet {
		if u.List == policy.ListDenyUnless {
			n++
		}
	}
	return n
}

// bounded holds one waiver against what the documents allow.
func (w compiled) bounded(t *rapid.T, in policy.Input, verdict *policy.Verdict, waived *policy.Waived) {
	tier := *w.tierNamed(verdict.Tier)
	fail := func(why string) { t.Fatalf("%s: %s\ninput %s\ntier %s", why, text(waived), text(in), text(tier)) }
	switch {
	case waived.List != policy.ListRequire && (waived.List != policy.ListStepUp || waived.By != policy.WaivedByException):
		fail("a list that nothing excuses")
	case !in.At.Before(waived.Until):
		fail("an excuse that is over")
	}
	var contact time.Time
	longest := time.Duration(0)
	for _, f := range w.permitted(in.Device.Posture) {
		if f.AgesFrom().After(contact) {
			contact = f.AgesFrom()
		}
	}
	for _, b := range w.spec.Baselines {
		for _, s := range b.Signals {
			longest = max(longest, s.MaxAge)
		}
	}
	switch waived.By {
	case policy.WaivedByGrace:
		if tier.Grace == nil ||
			waived.Until.After(contact.Add(longest+tier.Grace.Offline*time.Duration(1+tier.Grace.Renewals))) {
			fail("more grace than the tier has")
		}
	case policy.WaivedByLastKnown:
		if tier.OnGap.LastKnown == nil || waived.Until.After(contact.Add(longest+tier.OnGap.LastKnown.For)) {
			fail("last-known for longer than the tier says")
		}
	case policy.WaivedByException:
		w.accepted(t, in, waived)
	}
}

// accepted: the directory itself could have held the exception, with those that it renews; policy.New is asked.
func (w compiled) accepted(t *rapid.T, in policy.Input, waived *policy.Waived) {
	if slices.ContainsFunc(w.spec.Exceptions, func(e policy.Exception) bool { return e.Meta.Name == waived.Name }) {
		return
	}
	spec := w.spec
	spec.Exceptions = slices.Clone(spec.Exceptions)
	for name := waived.Name; name != ""; {
		at := slices.IndexFunc(in.Granted, func(e policy.Exception) bool { return e.Meta.Name == name })
		if at < 0 {
			break // one of the directory
		}
		spec.Exceptions = append(spec.Exceptions, in.Granted[at])
		name = in.Granted[at].Renews
	}
	_, faults := policy.New(spec, w.world)
	for _, f := range faults {
		if f.Kind == policy.KindException && f.Name == waived.Name {
			t.Fatalf("%s excuses, and the directory could not hold it: %+v\ninput %s", waived.Name, f, text(in))
		}
	}
}
