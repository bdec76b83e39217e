package policydiff_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policydiff"
)

// TestDirections: one edit each, what is said of it and which way it goes, there and back.
func TestDirections(t *testing.T) {
	t.Parallel()
	const loosens, tightens, neither, unsure = policydiff.Loosens, policydiff.Tightens, policydiff.Neither, policydiff.CannotTell
	main := func(s *policy.Spec) *policy.Tier { return &s.Tiers[0] }
	for _, tt := range []struct {
		edit         func(*policy.Spec)
		there, back  policydiff.Direction
		said, saidTo string // of the edit, and of taking it back
	}{
		{func(s *policy.Spec) { main(s).Grace = &policy.GraceBound{Offline: 5 * time.Hour, Renewals: 1} }, loosens, tightens,
			"tier guarded gives a silent device 5h of grace instead of 4h", "4h of grace instead of 5h"},
		{func(s *policy.Spec) { main(s).Grace = &policy.GraceBound{Offline: 4 * time.Hour, Renewals: 2} }, loosens, tightens,
			"allows 2 renewals of grace instead of 1", "1 renewal of grace instead of 2"},
		{func(s *policy.Spec) { main(s).OnGap = policy.OnGap{} }, tightens, loosens, "no longer trusts the last known state", "trusts the last known state for 1h"},
		{func(s *policy.Spec) { main(s).OnGap.LastKnown = &policy.LastKnown{For: 2 * time.Hour} }, loosens, tightens, "for 2h instead of 1h", "for 1h instead of 2h"},
		{func(s *policy.Spec) {
			main(s).Exceptions = &policy.ExceptionBound{MaxDuration: 15 * 24 * time.Hour, MaxRenewals: 2}
		}, loosens, tightens,
			"allows exceptions of at most 15d instead of 14d", "14d instead of 15d"},
		{func(s *policy.Spec) { main(s).Stricter[0].Grace = &policy.GraceBound{} }, tightens, loosens, "of audience boss a silent device 0s of grace instead of 1h", "1h"},
		{func(s *policy.Spec) { main(s).Stricter[0].Grace = nil }, loosens, tightens, "has no grace of audience boss any more", ""},
		{func(s *policy.Spec) { main(s).Stricter[0].Exceptions = nil }, loosens, tightens, "no bound on exceptions of audience boss", ""},
		{func(s *policy.Spec) { main(s).Stricter = nil }, loosens, unsure, "no longer requires lock of audience boss", "now requires lock of audience boss"},
		{func(s *policy.Spec) { main(s).Mode = "" }, tightens, loosens, "is enforced; until now it only monitored", "only monitors"},
		{func(s *policy.Spec) { main(s).Evidence = "" }, loosens, tightens, "answers that cannot be recorded", ""},
		{func(s *policy.Spec) { main(s).EnrolledUser = policy.EnrolledRequired }, tightens, loosens, "as required instead of whenKnown", "as whenKnown instead of required"},
		{func(s *policy.Spec) { main(s).EnrolledUser, main(s).SharedDevices = "", true }, loosens, tightens, "lets users in on devices", "no longer lets users in"},
		{func(s *policy.Spec) { main(s).RecheckEvery = 0 }, loosens, tightens, "no longer asks streams again (it was 5m)", "asks streams again every 5m"},
		{func(s *policy.Spec) { main(s).StepUp.MaxAge = 0 }, loosens, tightens, "takes a login of any age (it was 1h)", "no older than 1h"},
		{func(s *policy.Spec) { main(s).StepUp.ACR = []string{"phr"} }, tightens, loosens, "no longer takes a login with acr phrh", "also takes a login with acr phrh"},
		{func(s *policy.Spec) { main(s).StepUp.AMR = nil }, loosens, tightens, "takes a login of any amr", "wants a login with amr hwk"},
		{func(s *policy.Spec) { main(s).StepUp.When = "" }, tightens, loosens, "when: always instead of signals", ""},
		{func(s *policy.Spec) { main(s).DenyUnless[0].OnUnknown = ""; main(s).Stricter[0].DenyUnless = nil }, loosens, loosens,
			"now denies what is unknown of clean", "now only notes what is unknown of clean"},
		{func(s *policy.Spec) { main(s).DenyUnless[0].MaxAge = 30 * time.Minute }, tightens, loosens, "denies unless clean no older than 30m instead of 1h", ""},
		{func(s *policy.Spec) { main(s).Advise = nil }, neither, neither, "no longer advises wall", "now advises wall"},
		{func(s *policy.Spec) { s.Tiers[2].Advise = demands("wall") }, tightens, loosens, "tier open now advises wall", ""},
		{func(s *policy.Spec) { s.Tiers[2].Identify = policy.IdentifyUserDevice }, tightens, loosens, "identifies user+device instead of user", ""},
		{func(s *policy.Spec) { s.Baselines[1].Platforms = []string{"ios", "ipados"} }, loosens, unsure, "is also for ipados", "is no longer for ipados"},
		{func(s *policy.Spec) {
			edit(s, "wall", func(w *policy.Signal) { w.Expr, w.MaxAge = "!device.firewall", time.Minute })
		}, neither, neither, "judges wall by `!device.firewall`", ""},
		{func(s *policy.Spec) { edit(s, "os", func(w *policy.Signal) { w.Expr = `device.os_version == "15.7"` }) }, unsure, unsure, "judges os by", ""},
		{func(s *policy.Spec) { edit(s, "os", func(w *policy.Signal) { w.MaxAge = time.Hour }) }, tightens, loosens, "wants os no older than 1h instead of 2h", ""},
		{func(s *policy.Spec) {
			s.Audiences[0].Isolated = true
			s.Routes[0].Audiences = s.Routes[0].Audiences[:1]
		}, tightens, loosens,
			"audience staff is isolated now", "audience staff is no longer isolated"},
		{func(s *policy.Spec) { s.Audiences[2].OwnershipUnknown = "" }, loosens, loosens, "nobody reported as a possible member", "as outside"},
		{func(s *policy.Spec) { s.Audiences[1].OwnershipUnknown = policy.OwnershipOutside }, loosens, unsure, "as outside", "as a possible member"},
		{func(s *policy.Spec) { s.Routes[0].WebSocket = false }, tightens, loosens, "no longer opens WebSockets", "opens WebSockets"},
		{func(s *policy.Spec) { s.Routes[0].Token = policy.TokenRemove }, tightens, loosens, "keeps the client's token from its upstream", "hands the client's token"},
		{func(s *policy.Spec) { s.Routes[0].Upstream = "lib" }, unsure, unsure, "leads to upstream lib instead of app", ""},
		{func(s *policy.Spec) { s.Routes[1].Tier = "open" }, loosens, tightens, "route admin moved from tier plain to open", ""},
		{func(s *policy.Spec) { s.Routes[1].Path = "/admin/*" }, unsure, unsure, "covers /admin/* instead of /admin/**", ""},
		{func(s *policy.Spec) { s.Routes = slices.Delete(s.Routes, 1, 2) }, unsure, loosens, "route admin was removed", "route admin was added"},
		{func(s *policy.Spec) { s.Exceptions[0].Until = noon.Add(98 * time.Hour) }, loosens, unsure,
			"exception loan now ends 2026-11-26 instead of 2026-11-22 (4 days longer)", "(4 days shorter)"},
		{func(s *policy.Spec) { s.Exceptions[0].Devices = []string{"C02", "C03"} }, loosens, tightens, "also covers device C03", "no longer covers device C03"},
		{func(s *policy.Spec) { s.Upstreams[0].SPIFFEID, s.Upstreams[0].Plaintext = "", true }, loosens, unsure, "is spoken to in plaintext", ""},
		{func(s *policy.Spec) {
			s.Governance[0].Teams = map[string]policy.Team{"iam": s.Governance[0].Teams["iam"]}
		}, neither, neither, "lost team ops", "gained team ops"},
	} {
		edited := world()
		tt.edit(&edited)
		for _, way := range []struct {
			was, is policy.Spec
			want    policydiff.Direction
			said    string
		}{{world(), edited, tt.there, tt.said}, {edited, world(), tt.back, tt.saidTo}} {
			changes := policydiff.CompareSpecs(way.was, way.is, sources)
			if d := policydiff.Fold(changes); d != way.want {
				t.Errorf("%q: %s, want %s%s", way.said, d, way.want, said(changes))
			}
			if !strings.Contains(said(changes), way.said) {
				t.Errorf("%q is not said:%s", way.said, said(changes))
			}
		}
	}
}

func edit(s *policy.Spec, name string, change func(*policy.Signal)) {
	signal := s.Baselines[0].Signals[name]
	change(&signal)
	s.Baselines[0].Signals[name] = signal
}
