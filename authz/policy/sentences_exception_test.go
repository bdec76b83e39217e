package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

const waived, notWaived = "allowed +disk-encrypted:exception", "posture -disk-encrypted:failing"

// failing is ana with a disk that is not encrypted.
func failing() Input {
	in := ana()
	set(&in.Device, "disk_encryption", report("mdm", "disk_encryption", signals.Bool(false), 0))
	return in
}

// excepting is privileged with the exception in the directory.
func excepting(t *testing.T, change func(*Exception)) *Policy {
	t.Helper()
	e := loaner("disk-encrypted")
	if change != nil {
		change(&e)
	}
	return privileged(t, func(s *Spec) {
		route := s.Routes[0]
		route.Meta.Name, route.Path = "reports", "/reports-only/**"
		s.Routes, s.Exceptions = append(s.Routes, route), []Exception{e}
		s.Tiers[0].SharedDevices = true // the subject varies, the device stays
	})
}

// "an exception: a waiver of named signals for named subjects and devices on named routes; always with … start and
// end". Each of subject, device, route, signal and instant is varied alone; what is not named is not excused.
func TestAnExceptionCoversNothingElse(t *testing.T) {
	t.Parallel()
	group := func(e *Exception) { e.Subjects = []ExceptionSubject{{Issuer: "corp", Group: "staff"}} }
	alias := func(names ...string) func(*Exception) { return func(e *Exception) { e.Devices = names } }
	as := func(issuer, name string, groups ...string) func(*Input) {
		return func(in *Input) {
			in.Subject.User = person(issuer, name, groups...)
			login(in, "phr", nil, 0)
		}
	}
	known := func(aliases ...signals.Alias) func(*Input) {
		return func(in *Input) { in.Device.Posture.Aliases = aliases }
	}
	uuid := signals.Alias{Kind: signals.AliasUUID, Value: "0E2B6A53-57A5-4D06-8E7C-7B2F2B9D1A11"}
	for _, c := range []struct {
		name   string
		except func(*Exception)
		change func(*Input)
		want   string
	}{
		{"all as named", nil, func(*Input) {}, waived},
		{"subject: another user", nil, as("corp", "bob", "staff"), notWaived},
		{"subject: the name in capitals", nil, as("corp", "Ana", "staff"), notWaived},
		{"subject: the same name of another issuer", nil, as("partner", "ana", "staff"), "isolated"},
		{"subject: a group", group, func(*Input) {}, waived},
		{"subject: another in that group", group, as("corp", "bob", "staff"), waived},
		{"subject: that user of no such group", func(e *Exception) {
			e.Subjects[0] = ExceptionSubject{Issuer: "corp",
				Group: "board"}
		},
			func(*Input) {}, notWaived},
		{"subject: a user named like the group", group, as("corp", "staff", "staff2", "staff"), waived},
		{"subject: a group named like the user", nil, as("corp", "bob", "staff", "ana"), notWaived},
		{"subject: the second entry", func(e *Exception) {
			e.Subjects = append([]ExceptionSubject{{Issuer: "corp", User: "bob"}}, e.Subjects...)
		}, func(*Input) {}, waived},
		{"device: another", nil, func(in *Input) { in.Subject.Device.Value = "C02LAPTOP2" }, notWaived},
		{"device: the same text, another kind of name", nil, func(in *Input) { in.Subject.Device.Kind = signals.AliasUUID },
			notWaived},
		{"device: a name that its posture has", nil, func(in *Input) {
			known(laptop, uuid)(in)
			in.Subject.Device = uuid
		}, waived},
		{"device: by that other name", alias("uuid:" + uuid.Value), known(laptop, uuid), waived},
		{"device: by that other name, which the posture has not", alias("uuid:" + uuid.Value), known(laptop), notWaived},
		{"device: written in lower case", alias("c02laptop1"), func(*Input) {}, waived},
		{"device: written with its kind", alias("serial:C02LAPTOP1"), func(*Input) {}, waived},
		{"device: the second entry", alias("C02LAPTOP9", "C02LAPTOP1"), func(*Input) {}, waived},
		{"route: another of the same tier", nil, func(in *Input) { in.Request.Path = "/reports-only/x" }, notWaived},
		{"route: named besides", func(e *Exception) { e.Routes = []string{"reports", "app"} },
			func(in *Input) { in.Request.Path = "/reports-only/x" }, waived},
		{"signal: another", nil, func(in *Input) {
			set(&in.Device, "edr_healthy", report("mdm", "edr_healthy", signals.Bool(false), 0))
		}, "posture -edr-healthy:failing +disk-encrypted:exception"},
		{"signal: named besides", func(e *Exception) { e.Signals = []string{"edr-healthy", "disk-encrypted"} },
			func(in *Input) {
				set(&in.Device, "edr_healthy", report("mdm", "edr_healthy", signals.Bool(false), 0))
			}, "allowed +edr-healthy:exception +disk-encrypted:exception"},
		{"signal: an alarm besides", nil, func(in *Input) {
			set(&in.Device, "compromised", report("mdm", "compromised", signals.Bool(true), 0))
		}, "posture -not-compromised:failing +disk-encrypted:exception"},
		{"identity: none", nil, func(in *Input) { in.Subject.User = nil }, "identity-missing"},
		{"device: unknown to the store", nil, func(in *Input) { in.Device = Device{Gap: GapUnknown} }, "device-unknown"},
		{"device: nothing known of the store", nil, func(in *Input) { in.Device = Device{Gap: GapUnreachable} },
			"store-unreachable"},
	} {
		in := failing()
		c.change(&in)
		expect(t, c.name, excepting(t, c.except).Evaluate(&in), c.want)
	}
	var zero Exception
	for when, want := range map[time.Duration]string{
		-time.Hour - tick: notWaived, -time.Hour: waived, -time.Hour + tick: waived, 0: waived,
		time.Hour - tick: waived, time.Hour: notWaived, time.Hour + tick: notWaived, 1000 * time.Hour: notWaived,
	} {
		e := loaner()
		v, inForce := at(excepting(t, nil), failing(), noon.Add(when)), e.State(noon.Add(when)) == ExceptionInForce
		if fate := fateOf(v, "disk-encrypted"); (fate == "exception") != (want == waived) || inForce != (want == waived) {
			t.Errorf("instant, %s from noon: %s; the state is %s", when, brief(v), e.State(noon.Add(when)))
		}
		if zero.State(noon.Add(when)) == ExceptionInForce {
			t.Error("the zero exception is in force")
		}
	}
}

// "Runtime exceptions … are part of the Input", "nothing in the store can grant more than the policy's bound": what a
// document of the directory may not be, one that was granted may not be either.
func TestWhatIsGrantedIsBoundByThePolicy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		policy func(*Spec)
		change func(*Exception)
		want   string
	}{
		{"one that the directory could hold", nil, func(*Exception) {}, waived},
		{"exactly as long as the tier allows", nil, func(e *Exception) { e.From = e.Until.Add(-14 * day) }, waived},
		{"1 ns too long", nil, func(e *Exception) { e.From = e.Until.Add(-14*day - tick) }, notWaived},
		{"for ever", nil, func(e *Exception) { e.Until = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }, notWaived},
		{"without a start", nil, func(e *Exception) { e.From = time.Time{} }, notWaived},
		{"without an end", nil, func(e *Exception) { e.Until = time.Time{} }, notWaived},
		{"the tier allows none", func(s *Spec) { s.Tiers[0].Exceptions = nil }, func(*Exception) {}, notWaived},
		{"no owner", nil, func(e *Exception) { e.Meta.Owner = "" }, notWaived},
		{"an owner that is no team", nil, func(e *Exception) { e.Meta.Owner = "nobody" }, notWaived},
		{"no name", nil, func(e *Exception) { e.Meta.Name = "" }, notWaived},
		{"a name that is none", nil, func(e *Exception) { e.Meta.Name = "Loaner 1" }, notWaived},
		{"no approver", nil, func(e *Exception) { e.Approver = "" }, notWaived},
		{"a blank approver", nil, func(e *Exception) { e.Approver = " \t" }, notWaived},
		{"approved by its subject", nil, func(e *Exception) { e.Approver = "ana" }, notWaived},
		{"approved by another of its subjects", nil, func(e *Exception) {
			e.Subjects = append(e.Subjects, ExceptionSubject{Issuer: "corp", User: "cho@acme.example"})
		}, notWaived},
		{"approved by its subject, in capitals", nil, func(e *Exception) { e.Approver = "ANA" }, notWaived},
		{"no ticket", nil, func(e *Exception) { e.Ticket = "" }, notWaived},
		{"no reason", nil, func(e *Exception) { e.Reason = "" }, notWaived},
		{"nobody", nil, func(e *Exception) { e.Subjects = nil }, notWaived},
		{"everybody of an issuer", nil, func(e *Exception) { e.Subjects = []ExceptionSubject{{Issuer: "corp"}} }, notWaived},
		{"a user without an issuer", nil, func(e *Exception) { e.Subjects[0].Issuer = "" }, notWaived},
		{"an issuer that the settings have not, besides", nil, func(e *Exception) {
			e.Subjects = append(e.Subjects, ExceptionSubject{Issuer: "other", User: "x"})
		}, notWaived},
		{"no device", nil, func(e *Exception) { e.Devices = nil }, notWaived},
		{"a name that many devices carry, besides", nil, func(e *Exception) { e.Devices = append(e.Devices, "0") },
			notWaived},
		{"a route that is none, besides", nil, func(e *Exception) { e.Routes = append(e.Routes, "nowhere") }, notWaived},
		{"a signal that nothing requires, besides", nil, func(e *Exception) {
			e.Signals = append(e.Signals,
				"screen-locks")
		}, notWaived},
		{"a signal of denyUnless, besides", nil, func(e *Exception) { e.Signals = append(e.Signals, "not-compromised") },
			notWaived},
		{"a route whose tier allows none, besides", nil, func(e *Exception) { e.Routes = append(e.Routes, "handbook") },
			notWaived},
		{"it renews what is not there", nil, func(e *Exception) { e.Renews = "gone" }, notWaived},
		{"it renews itself", nil, func(e *Exception) { e.Renews = e.Meta.Name }, notWaived},
		{"longer than this audience may have", func(s *Spec) {
			s.Tiers[0].Stricter = []Stricter{{Audience: "employees", Exceptions: &ExceptionBound{MaxDuration: time.Hour}}}
		}, func(*Exception) {}, notWaived},
		{"denied for another audience of the tier", func(s *Spec) {
			s.Tiers[0].Stricter = []Stricter{{Audience: "contractors", DenyUnless: []DenyUnless{{Signal: "disk-encrypted"}}}}
		}, func(*Exception) {}, notWaived},
	} {
		e := loaner("disk-encrypted")
		c.change(&e)
		in := failing()
		in.Granted = []Exception{e}
		p := privileged(t, c.policy)
		expect(t, c.name, p.Evaluate(&in), c.want)
		var replayed Input
		if text, err := json.Marshal(in); err != nil || json.Unmarshal(text, &replayed) != nil {
			t.Fatal(c.name, err)
		}
		if again := p.Evaluate(&replayed); !reflect.DeepEqual(again, p.Evaluate(&in)) {
			t.Errorf("%s: replayed it is %s", c.name, brief(again))
		}
	}
}

// chained are exceptions of an hour each, one after the other; the last is in force at noon.
func chained(n int) (all []Exception) {
	for i := range n {
		e := loaner("disk-encrypted")
		e.Meta.Name = fmt.Sprintf("loaner-%d", i)
		e.From = noon.Add(-time.Duration(n-i)*time.Hour + time.Minute)
		e.Until = e.From.Add(time.Hour)
		if i > 0 {
			e.Renews = all[i-1].Meta.Name
		}
		all = append(all, e)
	}
	return all
}

// "renewed … a limited number of times": a chain counts as one, wherever its parts stand, and nobody escapes the count
// by not saying what an exception continues.
func TestRenewalsAreCounted(t *testing.T) {
	t.Parallel()
	unnamed := func(all []Exception) []Exception {
		for i := range all {
			all[i].Renews = ""
		}
		return all
	}
	later := func(all []Exception, gap time.Duration) []Exception {
		all[0].From, all[0].Until = all[0].From.Add(-gap), all[0].Until.Add(-gap)
		return all
	}
	renamed := func(all []Exception) []Exception { all[1].Meta.Name = all[0].Meta.Name; return all }
	respelt := func(all []Exception) []Exception { all[1].Devices = []string{"serial:c02laptop1"}; return all }
	circle := chained(2)
	circle[0].Renews = circle[1].Meta.Name
	for _, c := range []struct {
		name    string
		written []Exception
		granted []Exception
		want    string
	}{
		{"one", nil, chained(1), waived},
		{"renewed once, as the tier allows", nil, chained(2), waived},
		{"renewed twice", nil, chained(3), notWaived},
		{"renewed once, of the directory", chained(2)[:1], chained(2)[1:], waived},
		{"renewed twice, partly of the directory", chained(3)[:2], chained(3)[2:], notWaived},
		{"what it renews is gone", nil, chained(2)[1:], notWaived},
		{"in a circle", nil, circle, notWaived},
		{"it continues one of the directory and does not say so", chained(2)[:1], unnamed(chained(2))[1:], notWaived},
		{"it continues another that was granted and does not say so", nil, unnamed(chained(2)), notWaived},
		{"it continues one of the directory under another spelling of the device", chained(2)[:1],
			respelt(unnamed(chained(2)))[1:], notWaived},
		{"it continues one of the directory under its own name", chained(2)[:1], renamed(unnamed(chained(2)))[1:], notWaived},
		{"1 ns less than a day after", later(chained(2), day-tick)[:1], unnamed(chained(2))[1:], notWaived},
		{"a day after is no continuation", later(chained(2), day)[:1], unnamed(chained(2))[1:], waived},
	} {
		p := privileged(t, func(s *Spec) { s.Exceptions = c.written })
		in := failing()
		in.Granted = c.granted
		expect(t, c.name, p.Evaluate(&in), c.want)
	}
}

// Of several exceptions that fit, the one that lasts longest is named, then the first by name.
func TestTheLongestExceptionIsNamed(t *testing.T) {
	t.Parallel()
	named := func(name string, until time.Duration) Exception {
		e := loaner("disk-encrypted")
		e.Meta.Name, e.Until = name, noon.Add(until)
		return e
	}
	for want, granted := range map[string][]Exception{
		"b": {named("a", time.Minute), named("b", time.Hour)},
		"a": {named("b", time.Hour), named("a", time.Hour)},
		"d": {named("c", time.Hour-tick), named("d", time.Hour)},
	} {
		in := failing()
		in.Granted = granted
		for i := range granted { // apart, or one would continue the other
			in.Granted[i].Subjects = append(in.Granted[i].Subjects, ExceptionSubject{Issuer: "corp", Group: "staff"})
		}
		in.Granted[1].Subjects = in.Granted[1].Subjects[:1]
		in.Granted[0].Subjects = in.Granted[0].Subjects[1:]
		v := privileged(t, nil).Evaluate(&in)
		if len(v.Waived) != 1 || v.Waived[0].Name != want || !v.Waived[0].Until.Equal(noon.Add(time.Hour)) {
			t.Errorf("named is %+v, not %s", v.Waived, want)
		}
	}
}
