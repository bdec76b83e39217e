package findings

import (
	"fmt"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/policy"
)

// standingShare tells of tiers too many of whose decisions rest on exceptions.
func (f *finder) standingShare() {
	sums := map[string]policyUse{}
	from := f.at.Add(-shareOver)
	for i := range f.v.Use {
		day, err := time.Parse(time.DateOnly, f.v.Use[i].Day)
		if err != nil || !day.After(from.Add(-24*time.Hour)) || day.After(f.at) {
			continue
		}
		for tier, u := range f.v.Use[i].Tiers {
			sums[tier] = policyUse{sums[tier].allowed + u.Allowed, sums[tier].excused + u.ByException}
		}
	}
	share := f.share(ExceptionAbuse, nil, shareTier)
	for tier, sum := range sums {
		owner, there := f.who.tiers[tier]
		if !there || sum.allowed < shareFewest || sum.excused*100 < uint64(share)*sum.allowed {
			continue
		}
		f.add(Finding{Kind: ExceptionAbuse, Subject: "tier " + tier, Detail: detailShare, Owner: owner,
			Wait:    f.wait(ExceptionAbuse, nil, 0),
			Summary: "too much of what tier " + tier + " lets through rests on exceptions",
			Evidence: []string{fmt.Sprintf("%d of %d allowed decisions of the last %d days; at most %d %%", sum.excused, sum.allowed,
				int(shareOver/(24*time.Hour)), share)},
			Fix: policy.Fix{Text: "Mend what most exceptions excuse, or change what the tier requires."}})
	}
}

type policyUse struct{ allowed, excused uint64 }

// manyByOne tells who asked for many exceptions.
func (f *finder) manyByOne() {
	asked := map[approvals.Person][]requested{}
	for i := range f.v.Exceptions {
		e := &f.v.Exceptions[i]
		for _, h := range e.History {
			if h.Step == approvals.StepRequested && !h.At.After(f.at) && !f.lasted(h.At, manyOver) {
				asked[h.By] = append(asked[h.By], requested{at: h.At, name: e.Meta.Name, owner: e.Meta.Owner})
				break
			}
		}
	}
	many := f.count(ExceptionAbuse, nil, manyDefault)
	for person, all := range asked {
		if len(all) < many {
			continue
		}
		slices.SortFunc(all, func(a, b requested) int { return a.at.Compare(b.at) })
		owners, names := map[string]int{}, make([]string, 0, len(all))
		for _, r := range all {
			owners[r.owner]++
			names = append(names, "exception "+r.name)
		}
		slices.Sort(names)
		f.add(Finding{Kind: ExceptionAbuse, Subject: "person " + person.String(), Detail: detailMany, Since: all[many-1].at, Owner: most(owners),
			Summary: person.String() + " has asked for many exceptions", Evidence: few(names),
			Fix: policy.Fix{Text: "Ask them what stands behind it; it may be one cause that wants mending."}})
	}
}

type requested struct {
	at          time.Time
	name, owner string
}
