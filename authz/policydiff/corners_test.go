package policydiff_test

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policydiff"
	"github.com/tiergate/tiergate/signals"
)

// said by a source so long ago.
type word struct {
	source, attribute string
	value             signals.Value
	ago               time.Duration
}

// admin is what a member of staff asks of the tier that the route admin has.
func admin(heard time.Duration, words ...word) policy.Input {
	in := asked("/admin/x")
	var o signals.Observation
	for _, w := range append(words, word{words[0].source, "platform", signals.Text("macos"), words[0].ago}) {
		at := noon.Add(-w.ago)
		o.Facts = append(o.Facts, signals.Fact{Attribute: w.attribute, Value: w.value, Source: w.source, Observed: at, Received: at})
	}
	posture, _ := signals.Posture{Device: "d1", Revision: 1}.Merge(o)
	in.Device = policy.Device{Posture: &posture, AsOf: noon, Heard: map[string]time.Time{"mdm": noon.Add(-heard), "edr": noon.Add(-heard)}}
	return in
}

// TestWhatLooksTighterAndIsNot: edits that look as if they only asked for more, each with the request that gets a better
// answer by it. Nobody may call them tightening.
func TestWhatLooksTighterAndIsNot(t *testing.T) {
	t.Parallel()
	yes, no := signals.Bool(true), signals.Bool(false)
	at := func(s *policy.Spec, name string, change func(*policy.Signal)) {
		signal := s.Baselines[0].Signals[name]
		change(&signal)
		s.Baselines[0].Signals[name] = signal
	}
	lock := func(s *policy.Spec) *policy.Tier {
		s.Tiers[1].Require, s.Tiers[1].Grace = demands("lock"), &policy.GraceBound{Offline: 4 * time.Hour}
		return &s.Tiers[1]
	}
	for name, tt := range map[string]struct {
		before, after func(*policy.Spec)
		in            policy.Input
	}{
		"a shorter age, where an old bad word of one source hides a new good one of another": {
			func(s *policy.Spec) {
				s.Tiers[1].Require = []policy.Demand{{Signal: "disk", MaxAge: 0}}
				at(s, "disk", noPreference)
			},
			func(s *policy.Spec) {
				s.Tiers[1].Require = []policy.Demand{{Signal: "disk", MaxAge: time.Hour}}
				at(s, "disk", noPreference)
			},
			admin(0, word{"mdm", "disk_encryption", no, 90 * time.Minute}, word{"edr", "disk_encryption", yes, time.Minute},
				word{"edr", "platform", signals.Text("macos"), time.Minute}),
		},
		"a shorter age of the baseline, the same way": {
			func(s *policy.Spec) {
				s.Tiers[1].Require = demands("disk")
				at(s, "disk", noPreference)
				s.Tiers[0].Require, s.Exceptions = demands("edr"), nil
			},
			func(s *policy.Spec) {
				s.Tiers[1].Require, s.Tiers[0].Require, s.Exceptions = demands("disk"), demands("edr"), nil
				at(s, "disk", func(d *policy.Signal) { noPreference(d); d.MaxAge = 80 * time.Minute })
			},
			admin(0, word{"mdm", "disk_encryption", no, 90 * time.Minute}, word{"edr", "disk_encryption", yes, time.Minute},
				word{"edr", "platform", signals.Text("macos"), time.Minute}),
		},
		"a demand more, which starts the grace earlier, so that the sources are seen to have reported others since": {
			func(s *policy.Spec) { lock(s) },
			func(s *policy.Spec) {
				tier := lock(s)
				tier.Require = append(tier.Require, policy.Demand{Signal: "wall", MaxAge: time.Hour})
			},
			admin(time.Hour, word{"mdm", "screen_lock", yes, 150 * time.Minute}, word{"mdm", "firewall", yes, 150 * time.Minute}),
		},
		"a source that is preferred, or no longer": {
			func(s *policy.Spec) { s.Tiers[1].Require = demands("disk") },
			func(s *policy.Spec) { s.Tiers[1].Require = demands("disk"); at(s, "disk", noPreference) },
			admin(0, word{"mdm", "disk_encryption", yes, 5 * time.Hour}, word{"edr", "disk_encryption", yes, time.Minute},
				word{"edr", "platform", signals.Text("macos"), time.Minute}),
		},
		"a signal that moves from require to denyUnless, where preferences do not count": {
			func(s *policy.Spec) { s.Tiers[1].Require = demands("disk"); s.Exceptions = nil },
			func(s *policy.Spec) {
				s.Tiers[1].Require, s.Tiers[1].DenyUnless, s.Exceptions = nil, []policy.DenyUnless{{Signal: "disk"}}, nil
			},
			admin(0, word{"mdm", "disk_encryption", yes, 5 * time.Hour}, word{"edr", "disk_encryption", yes, time.Minute},
				word{"edr", "platform", signals.Text("macos"), time.Minute}),
		},
		"a strict route that goes away from before a lax one": {
			func(s *policy.Spec) { s.Routes[0].Tier = "open"; s.Exceptions = nil; s.Tiers = s.Tiers[1:] },
			func(s *policy.Spec) {
				s.Routes[0].Tier, s.Exceptions, s.Tiers = "open", nil, s.Tiers[1:]
				s.Routes = append(s.Routes[:1:1], s.Routes[2:]...)
			},
			admin(0, word{"edr", "edr_healthy", no, time.Minute}),
		},
		"a member that leaves an isolated audience": {
			func(s *policy.Spec) {
				s.Audiences[2].Members = append(s.Audiences[2].Members, policy.Member{Issuer: "corp", User: "ana"})
			},
			func(*policy.Spec) {},
			admin(0, word{"edr", "edr_healthy", yes, time.Minute}, word{"mdm", "ownership", signals.Text("corporate"), time.Minute}),
		},
		"a tier that identifies devices, where those of unknown ownership may be members": {
			func(s *policy.Spec) { ownershipCounts(s, policy.IdentifyUser) },
			func(s *policy.Spec) { ownershipCounts(s, policy.IdentifyUserDevice) },
			func() policy.Input {
				in := admin(0, word{"edr", "edr_healthy", yes, time.Minute})
				in.Request.Host, in.Request.Path, in.Subject.User.Groups = "wiki.corp.example", "/page", nil
				return in
			}(),
		},
		"an exception that is now short enough to count for an audience": {
			func(s *policy.Spec) { shortened(s, 48*time.Hour) },
			func(s *policy.Spec) { shortened(s, time.Hour) },
			func() policy.Input {
				in := admin(0, word{"edr", "edr_healthy", no, time.Minute}, word{"mdm", "screen_lock", yes, time.Minute})
				in.Subject.User.Groups = []string{"staff", "boss"}
				return in
			}(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := world(), world()
			tt.before(&before)
			tt.after(&after)
			older, newer := compile(t, before), compile(t, after)
			was, is := older.Evaluate(&tt.in), newer.Evaluate(&tt.in)
			if was.Outcome != policy.Deny || is.Outcome != policy.Allow {
				t.Fatalf("the example is none: %+v\n%+v", was, is)
			}
			changes := policydiff.Compare(older, newer, sources)
			if d := policydiff.Fold(changes); d != policydiff.Loosens && d != policydiff.CannotTell {
				t.Errorf("%s: %s", d, said(changes))
			}
			for _, c := range changes {
				if c.Direction == policydiff.CannotTell && c.Why == "" {
					t.Errorf("%s: why that cannot be told is not said", c.Text)
				}
			}
		})
	}
}

func noPreference(s *policy.Signal) { s.Prefer = nil }

// shortened has an exception on the route admin, whose tier lets only those of a day or less count for the bosses.
func shortened(s *policy.Spec, rest time.Duration) {
	tier, e := &s.Tiers[1], &s.Exceptions[0]
	tier.Exceptions = &policy.ExceptionBound{MaxDuration: 14 * 24 * time.Hour}
	tier.Stricter = []policy.Stricter{{Audience: "boss", Exceptions: &policy.ExceptionBound{MaxDuration: 24 * time.Hour}}}
	e.Routes, e.Signals, e.Until = []string{"admin"}, []string{"edr"}, noon.Add(rest)
}

// ownershipCounts has a route for an isolated audience alone, whose members are named by ownership.
func ownershipCounts(s *policy.Spec, identify policy.Identify) {
	s.Audiences[2].OwnershipUnknown = ""
	s.Routes[2].Audiences, s.Tiers[2].Identify = []string{"owned"}, identify
	s.Tiers[2].SharedDevices = identify == policy.IdentifyUserDevice
}

// TestWhatIsFirmlyTighter: the everyday tightenings are called so, or the word is of no use.
func TestWhatIsFirmlyTighter(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*policy.Spec){
		"a demand more": func(s *policy.Spec) { s.Tiers[1].Require = demands("edr", "lock") },
		"a shorter age": func(s *policy.Spec) { s.Tiers[1].Require = []policy.Demand{{Signal: "edr", MaxAge: time.Hour}} },
		"enforced":      func(s *policy.Spec) { s.Tiers[0].Mode = policy.ModeEnforce },
		"less grace":    func(s *policy.Spec) { s.Tiers[0].Grace = &policy.GraceBound{Offline: 2 * time.Hour} },
		"a member less": func(s *policy.Spec) { s.Audiences[0].Members = s.Audiences[0].Members[:1] },
		"a method less": func(s *policy.Spec) { s.Routes[0].Methods = []string{"GET"} },
		"an audience less": func(s *policy.Spec) {
			s.Routes[0].Hosts = []string{"app.corp.example"}
			s.Routes[0].Audiences = []string{"staff"}
		},
		"no exception":             func(s *policy.Spec) { s.Exceptions = nil },
		"a route to stricter tier": func(s *policy.Spec) { s.Routes[2].Tier = "plain"; s.Tiers = s.Tiers[:2] },
	} {
		spec := world()
		edit(&spec)
		changes := policydiff.Compare(compile(t, world()), compile(t, spec), sources)
		if d := policydiff.Fold(changes); d != policydiff.Tightens {
			t.Errorf("%s: %s%s", name, d, said(changes))
		}
	}
}
