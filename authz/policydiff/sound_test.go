package policydiff_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policydiff"
)

// mutation changes a policy a little, by drawn choices.
type mutation func(t *rapid.T, s *policy.Spec)

func pick[T any](t *rapid.T, what string, from ...T) T { return rapid.SampledFrom(from).Draw(t, what) }

func tierOf(t *rapid.T, s *policy.Spec) *policy.Tier {
	return &s.Tiers[rapid.IntRange(0, 1).Draw(t, "tier")]
}

func toggled[T comparable](list []T, x T) []T {
	if slices.Contains(list, x) {
		return slices.DeleteFunc(slices.Clone(list), func(y T) bool { return x == y })
	}
	return append(slices.Clone(list), x)
}

// mutations are edits that authors make; in either direction, because a policy is drawn by some and changed by others.
var mutations = map[string]mutation{
	"move a signal": func(t *rapid.T, s *policy.Spec) {
		tier, signal := tierOf(t, s), pick(t, "signal", "disk", "edr", "os", "lock", "wall", "clean")
		other := func(d policy.Demand) bool { return d.Signal == signal }
		tier.Require = slices.DeleteFunc(slices.Clone(tier.Require), other)
		tier.Advise = slices.DeleteFunc(slices.Clone(tier.Advise), other)
		tier.DenyUnless = slices.DeleteFunc(slices.Clone(tier.DenyUnless), func(d policy.DenyUnless) bool { return d.Signal == signal })
		if tier.StepUp != nil {
			up := *tier.StepUp
			up.Signals = slices.DeleteFunc(slices.Clone(up.Signals), other)
			if tier.StepUp = &up; len(up.Signals) == 0 && up.When == policy.StepUpSignals {
				tier.StepUp.When = policy.StepUpAlways
			}
		}
		d := policy.Demand{Signal: signal, MaxAge: pick(t, "maxAge", 0, 0, time.Hour, 30*time.Minute)}
		switch pick(t, "list", policy.ListRequire, policy.ListRequire, policy.ListDenyUnless, policy.ListStepUp, policy.ListAdvise, "") {
		case policy.ListRequire:
			tier.Require = append(tier.Require, d)
		case policy.ListDenyUnless:
			tier.DenyUnless = append(tier.DenyUnless, policy.DenyUnless{Signal: signal, MaxAge: d.MaxAge,
				OnUnknown: pick(t, "onUnknown", "", policy.OnUnknownNote)})
		case policy.ListStepUp:
			if tier.StepUp == nil {
				tier.StepUp = &policy.StepUpDemand{When: policy.StepUpSignals, ACR: []string{"phr"}}
			}
			up := *tier.StepUp
			up.Signals, tier.StepUp = append(slices.Clone(up.Signals), d), &up
		case policy.ListAdvise:
			tier.Advise = append(tier.Advise, d)
		}
	},
	"change the login": func(t *rapid.T, s *policy.Spec) {
		tier := tierOf(t, s)
		up := policy.StepUpDemand{}
		if tier.StepUp != nil {
			up = *tier.StepUp
		}
		up.When = pick(t, "when", policy.StepUpAlways, policy.StepUpSignals)
		up.ACR = pick(t, "acr", []string{"phr"}, []string{"phr", "pwd"}, nil)
		up.MaxAge = pick(t, "login age", 0, time.Hour, 3*time.Hour)
		if tier.StepUp = &up; rapid.IntRange(0, 3).Draw(t, "no login") == 3 {
			tier.StepUp = nil
		}
	},
	"change grace": func(t *rapid.T, s *policy.Spec) {
		tierOf(t, s).Grace = pick(t, "grace", nil, nil, &policy.GraceBound{Offline: time.Hour}, &policy.GraceBound{Offline: 4 * time.Hour, Renewals: 1})
	},
	"change last-known": func(t *rapid.T, s *policy.Spec) {
		tierOf(t, s).OnGap.LastKnown = pick(t, "last-known", nil, nil, &policy.LastKnown{For: time.Hour}, &policy.LastKnown{For: 3 * time.Hour})
	},
	"change mode": func(t *rapid.T, s *policy.Spec) {
		tierOf(t, s).Mode = pick(t, "mode", policy.ModeEnforce, policy.ModeMonitor)
	},
	"change identify": func(t *rapid.T, s *policy.Spec) {
		tier := tierOf(t, s)
		tier.Identify = pick(t, "identify", policy.IdentifyUser, policy.IdentifyUserDevice)
		tier.EnrolledUser, tier.SharedDevices = "", tier.Identify == policy.IdentifyUserDevice
	},
	"change an age": func(t *rapid.T, s *policy.Spec) {
		b := &s.Baselines[0]
		name := pick(t, "signal", "disk", "edr", "os", "lock", "clean")
		signal := b.Signals[name]
		signal.MaxAge = pick(t, "age", time.Hour, 2*time.Hour, 4*time.Hour)
		signal.Prefer = pick(t, "prefer", nil, []string{"mdm"}, []string{"edr"})
		b.Signals = clone(b.Signals)
		b.Signals[name] = signal
	},
	"change platforms": func(t *rapid.T, s *policy.Spec) {
		s.Baselines[0].Platforms = pick(t, "platforms", []string{"macos"}, []string{"windows"}, []string{"macos", "windows"})
	},
	"change an audience": func(t *rapid.T, s *policy.Spec) {
		a := &s.Audiences[rapid.IntRange(0, 2).Draw(t, "audience")]
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0:
			a.Members = toggled(a.Members, pick(t, "member", policy.Member{Issuer: "corp", User: "ana"}, policy.Member{DeviceOwnership: "byod"},
				policy.Member{Issuer: "corp", Group: "boss"}))
		case 1:
			a.Isolated = !a.Isolated
		default:
			a.OwnershipUnknown = pick(t, "ownershipUnknown", "", policy.OwnershipOutside)
		}
	},
	"change a route": func(t *rapid.T, s *policy.Spec) {
		r := &s.Routes[rapid.IntRange(0, len(s.Routes)-1).Draw(t, "route")]
		switch rapid.IntRange(0, 5).Draw(t, "what") {
		case 0:
			r.Audiences = toggled(r.Audiences, pick(t, "audience", "staff", "boss", "owned"))
		case 1:
			r.Methods = pick(t, "methods", nil, []string{"GET"}, []string{"GET", "POST"}, []string{"POST"})
		case 2:
			r.Hosts = pick(t, "hosts", []string{"app.corp.example"}, []string{"*.corp.example"}, []string{"app.corp.example", "wiki.corp.example"})
		case 3:
			r.Path = pick(t, "path", "/**", "/*", "/admin/**", "/admin", "/{x}", "/x/**")
		case 4:
			r.Tier = pick(t, "route tier", "guarded", "plain", "open")
		default:
			r.Upstream = pick(t, "upstream", "app", "lib")
		}
	},
	"remove a route": func(t *rapid.T, s *policy.Spec) {
		at := rapid.IntRange(0, len(s.Routes)-1).Draw(t, "route")
		s.Routes = slices.Delete(slices.Clone(s.Routes), at, at+1)
	},
	"change the exception": func(t *rapid.T, s *policy.Spec) {
		if len(s.Exceptions) == 0 || rapid.IntRange(0, 3).Draw(t, "remove") == 3 {
			s.Exceptions = nil
			return
		}
		e := s.Exceptions[0]
		e.Until = pick(t, "until", noon.Add(2*time.Hour), noon.Add(48*time.Hour), noon.Add(-time.Hour))
		e.From = pick(t, "from", noon.Add(-2*time.Hour), noon.Add(-time.Minute), noon.Add(time.Hour))
		e.Signals = pick(t, "excused", []string{"disk"}, []string{"edr"}, []string{"disk", "edr"})
		e.Routes = pick(t, "on", []string{"app"}, []string{"admin"})
		s.Exceptions = []policy.Exception{e}
	},
	"change what is stricter": func(t *rapid.T, s *policy.Spec) {
		tier := tierOf(t, s)
		if len(tier.Stricter) > 0 && rapid.Bool().Draw(t, "none") {
			tier.Stricter = nil
			return
		}
		entry := policy.Stricter{Audience: pick(t, "asked", "boss", "staff"), Require: pick(t, "required", nil, demands("lock"), demands("os"))}
		if tier.Grace != nil {
			entry.Grace = pick(t, "grace", nil, &policy.GraceBound{}, &policy.GraceBound{Offline: 30 * time.Minute})
		}
		if tier.Exceptions != nil {
			entry.Exceptions = pick(t, "bound", nil, &policy.ExceptionBound{MaxDuration: 3 * time.Hour}, &policy.ExceptionBound{MaxDuration: 24 * time.Hour})
		}
		tier.Stricter = []policy.Stricter{entry}
	},
}

func clone[V any](m map[string]V) map[string]V {
	c := make(map[string]V, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// mended uses what is no longer used, as policy.New wants it.
func mended(s policy.Spec) (*policy.Policy, bool) {
	s.Tiers = slices.DeleteFunc(slices.Clone(s.Tiers), func(t policy.Tier) bool {
		return !slices.ContainsFunc(s.Routes, func(r policy.Route) bool { return r.Tier == t.Meta.Name })
	})
	s.Upstreams = slices.DeleteFunc(slices.Clone(s.Upstreams), func(u policy.Upstream) bool {
		return !slices.ContainsFunc(s.Routes, func(r policy.Route) bool { return r.Upstream == u.Meta.Name })
	})
	s.Routes = slices.Clone(s.Routes)
	for i := range s.Routes {
		r := &s.Routes[i]
		isolated := slices.ContainsFunc(r.Audiences, func(a string) bool {
			return slices.ContainsFunc(s.Audiences, func(b policy.Audience) bool { return b.Isolated && b.Meta.Name == a })
		})
		if r.Shared = isolated && len(r.Audiences) > 1; r.Shared {
			r.Reason = "both build"
		} else {
			r.Reason = ""
		}
		r.WebSocket = false
	}
	p, faults := policy.New(s, policy.World{Sources: sources})
	return p, len(faults) == 0
}

// plainer is the world without what would hide most changes: its tiers enforce.
func plainer(t *rapid.T) policy.Spec {
	s := world()
	s.Tiers[0].Mode = policy.ModeEnforce
	s.Upstreams[1].Protocol = ""
	edited(t, &s, rapid.IntRange(0, 5).Draw(t, "edits before"))
	return s
}

func edited(t *rapid.T, s *policy.Spec, n int) {
	names := make([]string, 0, len(mutations))
	for name := range mutations {
		names = append(names, name)
	}
	slices.Sort(names)
	s.Tiers, s.Baselines = slices.Clone(s.Tiers), slices.Clone(s.Baselines)
	s.Audiences, s.Routes = slices.Clone(s.Audiences), slices.Clone(s.Routes)
	for range n {
		before := *s
		before.Tiers, before.Baselines = slices.Clone(s.Tiers), slices.Clone(s.Baselines)
		before.Audiences, before.Routes = slices.Clone(s.Audiences), slices.Clone(s.Routes)
		mutations[rapid.SampledFrom(names).Draw(t, "edit")](t, s)
		if _, ok := mended(*s); !ok {
			*s = before
		}
	}
}

// TestDirectionsAreSound: while no change loosens and none cannot be told, no request gets a better answer.
func TestDirectionsAreSound(t *testing.T) {
	t.Parallel()
	judged, firm := 0, 0
	deadline := time.Now().Add(4 * time.Second)
	if os.Getenv("TIERGATE_PROVE") != "" {
		deadline = time.Now().Add(2 * time.Minute)
	}
	for time.Now().Before(deadline) && !t.Failed() {
		rapid.Check(t, func(t *rapid.T) {
			spec := plainer(t)
			older, ok := mended(spec)
			if !ok {
				t.Fatalf("the drawn policy has faults")
			}
			edited(t, &spec, rapid.IntRange(1, 3).Draw(t, "edits"))
			newer, _ := mended(spec)
			if older.Digest() == newer.Digest() {
				return
			}
			judged++
			changes := policydiff.Compare(older, newer, sources)
			switch policydiff.Fold(changes) {
			case policydiff.Loosens, policydiff.CannotTell:
				return
			}
			firm++
			for range 60 {
				in := anyInput().Draw(t, "input")
				before, after := older.Evaluate(&in), newer.Evaluate(&in)
				if after.Outcome > before.Outcome {
					raw, _ := json.Marshal(in)
					t.Fatalf("%s became %s\nold %+v\nnew %+v\nchanges %s\ninput %s", before.Outcome, after.Outcome, before, after, said(changes), raw)
				}
			}
		})
	}
	t.Logf("%d changes, of which %d are firmly no looser", judged, firm)
	if firm*20 < judged {
		t.Errorf("only %d of %d changes are firm: the property proves little", firm, judged)
	}
}

func said(changes []policydiff.Change) (text string) {
	for _, c := range changes {
		text += fmt.Sprintf("\n  %s: %s", c.Direction, c.Text)
	}
	return text
}
