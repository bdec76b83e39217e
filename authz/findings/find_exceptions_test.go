package findings_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

func use(day time.Time, exceptions map[string]inventory.ExceptionUse, tier inventory.TierUse) inventory.Use {
	return inventory.Use{Day: day.Format(time.DateOnly), Sidecar: "a", Exceptions: exceptions, Tiers: map[string]inventory.TierUse{"guarded": tier}}
}

// TestFindAbuse: the sorts of exception abuse, each with what is still none.
func TestFindAbuse(t *testing.T) {
	t.Parallel()
	p := compile(t, spec())
	broken := with(healthy("X"), "disk_encryption", signals.Bool(false))
	until := noon.Add(5 * day)
	usedAt := func(at time.Time) []inventory.Use {
		return []inventory.Use{use(at, map[string]inventory.ExceptionUse{"e": {Count: 1, Last: at}}, inventory.TierUse{})}
	}
	one := func(e approvals.Exception, uses []inventory.Use, devices ...device) *findings.View {
		v := viewOf(p, noon, devices...)
		v.Exceptions, v.Use = []approvals.Exception{e}, uses
		return v
	}
	revoked := granted("e", noon.Add(-day), until)
	revoked.History = append(revoked.History, approvals.Event{At: noon.Add(-2 * time.Hour), Step: approvals.StepRevoked})
	renewal := granted("e2", noon.Add(-time.Hour), until)
	renewal.Renews = "e"
	for _, tt := range []struct {
		name string
		view *findings.View
		want []string
	}{
		{"needed", one(granted("e", noon.Add(-day), until), usedAt(noon.Add(-time.Hour)), broken), nil},
		{"needed no more", one(granted("e", noon.Add(-day), until), usedAt(noon.Add(-time.Hour)), healthy("X")),
			[]string{"exception-abuse|exception e|needless @iam"}},
		{"of a device that nobody knows", one(granted("e", noon.Add(-day), until), usedAt(noon.Add(-time.Hour))), nil},
		{"not used for 6 days", one(granted("e", noon.Add(-6*day), until), []inventory.Use{use(noon.Add(-9*day), nil, inventory.TierUse{})}, broken), nil},
		{"not used for 8", one(granted("e", noon.Add(-8*day), until), []inventory.Use{use(noon.Add(-9*day), nil, inventory.TierUse{})}, broken),
			[]string{"exception-abuse|exception e|unused @iam"}},
		{"used since, as far as is known", one(granted("e", noon.Add(-8*day), until), []inventory.Use{use(noon.Add(-day), nil, inventory.TierUse{})}, broken), nil},
		{"used after its end", one(granted("e", noon.Add(-5*day), noon.Add(-time.Hour)), usedAt(noon.Add(-50*time.Minute)), broken),
			[]string{"exception-abuse|exception e|used-outside @iam"}},
		{"used after it was revoked", one(revoked, usedAt(noon.Add(-time.Hour)), broken), []string{"exception-abuse|exception e|used-outside @iam"}},
		{"used until it was revoked", one(revoked, usedAt(noon.Add(-2*time.Hour-time.Minute)), broken), nil},
		{"used before its start", one(granted("e", noon.Add(-time.Hour), until), usedAt(noon.Add(-2*time.Hour)), broken),
			[]string{"exception-abuse|exception e|used-outside @iam"}},
		{"used at its end", one(granted("e", noon.Add(-5*day), noon.Add(-time.Hour)), usedAt(noon.Add(-61*time.Minute)), broken),
			[]string{"exception-abuse|exception e|used-at-edge @iam"}},
		{"used shortly before", one(granted("e", noon.Add(-5*day), noon.Add(-time.Hour)), usedAt(noon.Add(-76*time.Minute)), broken), nil},
		{"long ago", one(granted("e", noon.Add(-14*day), noon.Add(-8*day)), usedAt(noon.Add(-8*day)), broken), nil},
		{"the last renewal", func() *findings.View {
			v := one(granted("e", noon.Add(-5*day), noon.Add(-time.Hour)), usedAt(noon.Add(-61*time.Minute)), broken)
			v.Exceptions = append(v.Exceptions, renewal)
			return v
		}(), []string{"exception-abuse|exception e2|renewed-to-bound @iam"}},
		{"one decision of 10 rests on exceptions", func() *findings.View {
			v := viewOf(p, noon)
			v.Use = []inventory.Use{use(noon, nil, inventory.TierUse{Allowed: 60, ByException: 4}), use(noon.Add(-day), nil, inventory.TierUse{Allowed: 40, ByException: 6})}
			return v
		}(), []string{"exception-abuse|tier guarded|standing-share @iam"}},
		{"9 of 100", func() *findings.View {
			v := viewOf(p, noon)
			v.Use = []inventory.Use{use(noon, nil, inventory.TierUse{Allowed: 100, ByException: 9})}
			return v
		}(), nil},
		{"8 days ago", func() *findings.View {
			v := viewOf(p, noon)
			v.Use = []inventory.Use{use(noon.Add(-8*day), nil, inventory.TierUse{Allowed: 100, ByException: 90})}
			return v
		}(), nil},
		{"many by one", func() *findings.View {
			v := viewOf(p, noon)
			for i := range 5 {
				e := granted(fmt.Sprint("e", i), noon.Add(-20*day), noon.Add(-15*day))
				v.Exceptions = append(v.Exceptions, e)
			}
			return v
		}(), []string{"exception-abuse|person ben (corp)|many-by-one @iam"}},
	} {
		// What an exception excuses is still wrong.
		got := slices.DeleteFunc(keys(findings.Find(tt.view)), func(key string) bool { return key == "drift|device X|disk @endpoint" })
		if diff := cmp.Diff(append([]string{}, tt.want...), got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

// TestFindAbuseOfTheDirectory: exceptions of the directory are looked at as those of run time are.
func TestFindAbuseOfTheDirectory(t *testing.T) {
	t.Parallel()
	s := spec()
	s.Exceptions = []policy.Exception{granted("e", noon.Add(-day), noon.Add(5*day)).Exception}
	if diff := cmp.Diff([]string{"exception-abuse|exception e|needless @iam"}, keys(findings.Find(viewOf(compile(t, s), noon, healthy("X"))))); diff != "" {
		t.Error(diff)
	}
}
