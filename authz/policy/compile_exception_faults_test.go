package policy

import (
	"testing"
	"time"
)

func exceptionOf(change func(*Exception)) func(*Spec) {
	return func(s *Spec) { change(&s.Exceptions[0]) }
}

const atException = "Exception/loaner spec."

func TestFaultsOfExceptions(t *testing.T) {
	t.Parallel()
	refuse(t, []broken{
		{"Exception/loaner metadata.owner", "has no owner", exceptionOf(func(e *Exception) { e.Meta.Owner = "" })},
		{"Exception/loaner metadata.owner", "is no team", exceptionOf(func(e *Exception) { e.Meta.Owner = "nobody" })},
		{atException + "approver", "has no approver", exceptionOf(func(e *Exception) { e.Approver = "" })},
		{atException + "approver", "has no approver", exceptionOf(func(e *Exception) { e.Approver = " \t" })},
		{atException + "ticket", "has no ticket", exceptionOf(func(e *Exception) { e.Ticket = "" })},
		{atException + "reason", "has no reason", exceptionOf(func(e *Exception) { e.Reason = "\u00a0" })},
		{atException + "from", "has no start", exceptionOf(func(e *Exception) { e.From = time.Time{} })},
		{atException + "until", "has no end", exceptionOf(func(e *Exception) { e.Until = time.Time{} })},
		{atException + "until", "ends before it starts", exceptionOf(func(e *Exception) { e.Until = e.From })},
		{atException + "until", "ends before it starts", exceptionOf(func(e *Exception) {
			e.From, e.Until = e.Until,
				e.From
		})},
		{atException + "until", `tier "internal" allows 14d`,
			exceptionOf(func(e *Exception) { e.Until = e.From.Add(14*day + tick) })},
		{atException + "until", `tier "internal" allows 14d`,
			func(s *Spec) { // said once, however many routes have that tier
				route := s.Routes[0]
				route.Meta.Name, route.Path = "more", "/more"
				s.Routes, s.Exceptions[0].Routes = append(s.Routes, route), []string{"app", "more"}
				s.Exceptions[0].Until = s.Exceptions[0].From.Add(15 * day)
			}},
		{atException + "subjects", "names nobody", exceptionOf(func(e *Exception) { e.Subjects = nil })},
		{atException + "subjects[0]", "everybody of issuer corp",
			exceptionOf(func(e *Exception) { e.Subjects[0].User = "" })},
		{atException + "subjects[0]", "without its issuer", exceptionOf(func(e *Exception) { e.Subjects[0].Issuer = "" })},
		{atException + "subjects[0]", "two entries", exceptionOf(func(e *Exception) { e.Subjects[0].Group = "staff" })},
		{atException + "subjects[0].issuer", `no issuer "crop"`,
			exceptionOf(func(e *Exception) { e.Subjects[0].Issuer = "crop" })},
		{atException + "approver", "for themselves", exceptionOf(func(e *Exception) { e.Approver = "ana" })},
		{atException + "approver", "for themselves", exceptionOf(func(e *Exception) { e.Approver = "Ana" })},
		{atException + "approver", "for themselves", exceptionOf(func(e *Exception) { e.Approver = "ana " })},
		{atException + "approver", "for themselves", exceptionOf(func(e *Exception) {
			e.Subjects = append(e.Subjects, ExceptionSubject{Issuer: "corp", User: e.Approver})
		})},
		{atException + "devices", "names no device", exceptionOf(func(e *Exception) { e.Devices = nil })},
		{atException + "devices[1]", "is a placeholder", exceptionOf(func(e *Exception) {
			e.Devices = append(e.Devices,
				"To be filled by O.E.M.")
		})},
		{atException + "devices[0]", "no kind of device name",
			exceptionOf(func(e *Exception) { e.Devices[0] = "mac:00:11:22:33:44:55" })},
		{atException + "routes", "names no route", exceptionOf(func(e *Exception) { e.Routes = nil })},
		{atException + "routes[1]", `no Route "ap"`, exceptionOf(func(e *Exception) { e.Routes = append(e.Routes, "ap") })},
		{atException + "routes[0]", `no Route "ap"`, exceptionOf(func(e *Exception) { e.Routes[0] = "ap" })},
		{atException + "routes[1]", `tier "person" allows no exceptions`,
			exceptionOf(func(e *Exception) { e.Routes = append(e.Routes, "handbook") })},
		{atException + "signals", "names no signal", exceptionOf(func(e *Exception) { e.Signals = nil })},
		{atException + "signals[1]", "no tier of these routes requires",
			exceptionOf(func(e *Exception) { e.Signals[1] = "screen-locks" })},
		{atException + "signals[2]", "which nothing excuses", exceptionOf(func(e *Exception) {
			e.Signals = append(e.Signals,
				"not-compromised")
		})},
		{atException + "signals[0]", "which nothing excuses", func(s *Spec) { // denied to some audience only
			s.Tiers[0].Stricter[0].DenyUnless = append(s.Tiers[0].Stricter[0].DenyUnless, DenyUnless{Signal: "disk-encrypted"})
		}},
		{atException + "signals[2]", "no tier of these routes requires", func(s *Spec) { // advised of only
			s.Tiers[0].Require, s.Tiers[0].Advise = s.Tiers[0].Require[1:], demandsOf("edr-healthy")
			s.Exceptions[0].Signals = append(s.Exceptions[0].Signals, "edr-healthy")
		}},
	})
}

// renewing appends exceptions to the whole policy's one, each an hour long and each renewing the one before it.
func renewing(n int, change func([]Exception)) func(*Spec) {
	return func(s *Spec) {
		for i := range n {
			e := s.Exceptions[i]
			e.Meta.Name, e.Renews = "loaner-"+string(rune('2'+i)), e.Meta.Name
			e.From = e.Until
			e.Until = e.From.Add(time.Hour)
			s.Exceptions = append(s.Exceptions, e)
		}
		if change != nil {
			change(s.Exceptions)
		}
	}
}

func TestFaultsOfRenewals(t *testing.T) {
	t.Parallel()
	spec := wholeSpec()
	renewing(1, nil)(&spec)
	if _, faults := New(spec, wholeWorld()); faults != nil {
		t.Errorf("renewed once, as the tier allows: %+v", faults)
	}
	refuse(t, []broken{
		{"Exception/loaner-3 spec.renews", `renewal 2; tier "internal" allows 1`, renewing(2, nil)},
		{"Exception/loaner spec.renews", `no Exception "gone"`, exceptionOf(func(e *Exception) { e.Renews = "gone" })},
		{"Exception/loaner spec.renews", "in a circle", exceptionOf(func(e *Exception) { e.Renews = "loaner" })},
		{"Exception/loaner-2 spec.renews", "without saying so", renewing(1, func(all []Exception) { all[1].Renews = "" })},
		{"Exception/loaner-2 spec.renews", "without saying so", renewing(1, func(all []Exception) { // within a day
			all[1].Renews, all[1].From = "", all[0].Until.Add(day-tick)
			all[1].Until = all[1].From.Add(time.Hour)
		})},
		{"Exception/loaner-2 spec.renews", "without saying so", renewing(1, func(all []Exception) { // another spelling
			all[1].Renews, all[1].Devices = "", []string{"serial:c02laptop1"}
		})},
		{"Exception/loaner-2 spec.renews", "starts no earlier", renewing(1,
			func(all []Exception) { all[1].From = all[0].From })},
	})
}

// What shares neither subject, device, route, signal nor time with another exception continues none.
func TestWhatContinuesNothing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Exception){
		"another subject":   func(e *Exception) { e.Subjects = []ExceptionSubject{{Issuer: "corp", User: "bob"}} },
		"another device":    func(e *Exception) { e.Devices = []string{"C02LAPTOP2"} },
		"another signal":    func(e *Exception) { e.Signals = []string{"edr-healthy"} },
		"a day later":       func(e *Exception) { e.From, e.Until = e.Until.Add(day-time.Hour), e.Until.Add(day) },
		"and it says what":  func(e *Exception) { e.Renews = "loaner" },
		"long before, even": func(e *Exception) { e.From, e.Until = e.From.Add(-9*day), e.From.Add(-8*day) },
	} {
		spec := wholeSpec()
		renewing(1, func(all []Exception) { all[1].Renews = ""; change(&all[1]) })(&spec)
		if _, faults := New(spec, wholeWorld()); faults != nil {
			t.Errorf("%s: %+v", name, faults)
		}
	}
}
