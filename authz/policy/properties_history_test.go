package policy_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// TestHistories lives through the days of one device as a state machine: its sources report it, fall silent, come back;
// its grace is renewed, exceptions are granted and taken back, time passes to right before, at and right after what was
// promised. After every step both evaluators agree, and what was promised holds.
func TestHistories(t *testing.T) {
	t.Parallel()
	rapid.Check(t, histories)
}

func histories(t *rapid.T) {
	h := &history{compiled: drawWorld(t), at: base, heard: map[string]time.Time{}}
	h.posture.Device, h.posture.Aliases = "d1", []signals.Alias{serial, uuid}
	h.report(t)
	t.Repeat(map[string]func(*rapid.T){
		"report": h.report, "others are heard": h.others, "time passes": h.pass, "to a promised end": h.toTheEnd,
		"renew": h.renew, "grant": h.grant, "take back": h.takeBack, "": h.check,
	})
}

// history is what a store holds of one device.
type history struct {
	compiled
	at       time.Time
	posture  signals.Posture
	heard    map[string]time.Time
	renewals []policy.Renewal
	granted  []policy.Exception
	last     policy.Verdict
	quiet    bool // since the last verdict nothing came in: only time passed
}

// report: one source delivers what it knows of the device now.
func (h *history) report(t *rapid.T) {
	d := dice{t}
	source := pick(d, "source", "mdm", "edr")
	var facts []signals.Fact
	for _, a := range telling {
		value := a.good
		switch d.below(16, "value") {
		case 5:
			value = a.bad
		case 6:
			value = signals.Unknown
		case 7:
			continue
		}
		facts = append(facts, signals.Fact{Attribute: a.name, Value: value, Source: source, Observed: h.at, Received: h.at})
	}
	if said := d.below(16, "enrolled_user"); said != 1 {
		word := signals.Fact{Attribute: "enrolled_user", Source: source, Observed: h.at, Received: h.at,
			Value: h.called(source, "ana")}
		switch said {
		case 2:
			word.Value = signals.Text("somebody")
		case 3:
			word.Value = signals.Unknown
		}
		facts = append(facts, word)
	}
	if d.oneIn(16, "certificate_status") {
		facts = append(facts, signals.Fact{Attribute: "certificate_status", Source: source, Observed: h.at, Received: h.at,
			Value: signals.Text(pick(d, "status", "valid", "revoked"))})
	}
	h.posture, _ = h.posture.Merge(signals.Observation{Facts: facts})
	h.posture.Revision++
	h.heard[source], h.quiet = h.at, false
}

// others: a source reports other devices, and not this one.
func (h *history) others(t *rapid.T) {
	h.heard[pick(dice{t}, "source", "mdm", "edr")], h.quiet = h.at, false
}

func (h *history) pass(t *rapid.T) {
	h.at = h.at.Add(pick(dice{t}, "passes", step, 1, step-1, 2*step, time.Minute))
}

// toTheEnd goes to the end of something that was excused, or 1 ns around it.
func (h *history) toTheEnd(t *rapid.T) {
	if len(h.last.Waived) == 0 {
		h.pass(t)
		return
	}
	end := pick(dice{t}, "end of", h.last.Waived...).Until.Add(pick(dice{t}, "ns", time.Duration(0), -1, 1))
	if end.After(h.at) {
		h.at = end
	}
}

func (h *history) renew(*rapid.T) {
	h.renewals, h.quiet = append(h.renewals, policy.Renewal{At: h.at, By: "cho"}), false
}

func (h *history) grant(t *rapid.T) {
	d := dice{t}
	e := d.exception(h.reference, pick(d, "name", "granted-0", "granted-1", "granted-2"), []string{"granted-0"})
	h.takenBack(e.Meta.Name)
	e.From, e.Until = h.at, h.at.Add(e.Until.Sub(e.From))
	h.granted = append(h.granted, e)
}

func (h *history) takeBack(t *rapid.T) { h.takenBack(pick(dice{t}, "name", "granted-0", "granted-1")) }

func (h *history) takenBack(name string) {
	h.granted, h.quiet = slices.DeleteFunc(slices.Clone(h.granted), func(e policy.Exception) bool {
		return e.Meta.Name == name
	}), false
}

// check asks both evaluators, and holds the answer against the one before.
func (h *history) check(t *rapid.T) {
	wide := identity.Validity{NotBefore: base.Add(-step), NotAfter: base.Add(10_000 * step)}
	posture := h.posture
	in := policy.Input{
		At: h.at, Request: policy.Request{Method: "GET", Host: "app.example", Path: "/reports"}, Granted: h.granted,
		Subject: identity.Subject{Device: serial, Certificate: wide, User: &identity.User{Issuer: "corp", Name: "ana",
			Subject: "subject-ana", Email: "ana@acme.example", Groups: []string{"staff", "executives"}, Token: wide, ACR: "phr", AMR: []string{"hwk"}, AuthTime: base}},
		Device: policy.Device{Posture: &posture, AsOf: h.at, Heard: h.heard, Renewals: h.renewals},
	}
	h.agree(t, in, h.judge(in))
	verdict := h.policy.Evaluate(&in)
	if h.quiet {
		h.promised(t, &verdict)
	}
	h.last, h.quiet = verdict, true
}

// promised: while only time passes, what grace or last-known was said to excuse until an instant it excuses until then,
// unless an exception takes its place, and nothing is excused any longer.
func (h *history) promised(t *rapid.T, now *policy.Verdict) {
	for _, w := range now.Waived {
		if !h.at.Before(w.Until) {
			t.Fatalf("%s was excused until %s and still is at %s", w.Signal, w.Until, h.at)
		}
	}
	for _, before := range h.last.Waived {
		kept := slices.ContainsFunc(now.Waived, func(w policy.Waived) bool {
			return w.Signal == before.Signal && w.List == before.List &&
				(w.By == before.By && w.Until.Equal(before.Until) || w.By == policy.WaivedByException)
		})
		if !kept && before.By != policy.WaivedByException && h.at.Before(before.Until) {
			t.Fatalf("%s was promised until %s and at %s it is %s", before.Signal, before.Until, h.at, text(now))
		}
	}
}
