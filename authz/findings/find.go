package findings

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// Find tells all that is wrong in a view: each trouble once, sorted by Key. It is a function of the view alone, and the order
// of the view's parts never matters.
func Find(v *View) []Finding {
	if v.Policy == nil {
		return nil
	}
	f := newFinder(v)
	f.exceptions = f.standingExceptions()
	f.devices()
	f.populations()
	f.contested()
	f.silentSources()
	f.envoys()
	f.abuse()
	f.identities()
	f.found = slices.DeleteFunc(f.found, func(x Finding) bool {
		_, blind := v.Blind[x.Kind]
		return blind
	})
	slices.SortFunc(f.found, func(a, b Finding) int {
		return cmp.Or(compareFindings(a, b), a.Since.Compare(b.Since), cmp.Compare(a.Owner, b.Owner), slices.Compare(a.Evidence, b.Evidence))
	})
	return slices.CompactFunc(f.found, func(a, b Finding) bool { return compareFindings(a, b) == 0 })
}

func compareFindings(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Detail, b.Detail))
}

// finder looks through one view.
type finder struct {
	v          *View
	at         time.Time
	spec       policy.Spec
	rules      *rules
	who        *who
	exceptions []*standingException
	shares     map[populationKey]*population
	ofPlatform map[string][]populationName
	seen       map[string]deviceNote // of the devices that carry a contested name
	byName     map[string]*standingException
	byAlias    map[signals.Alias][]*standingException
	routes     map[string][]string // by audience
	domains    map[string]bool     // trust domains that documents name
	found      []Finding
}

func newFinder(v *View) *finder {
	spec := v.Policy.Spec()
	return &finder{v: v, at: v.At, spec: spec, rules: newRules(v.Policy), who: newWho(spec), shares: map[populationKey]*population{},
		ofPlatform: map[string][]populationName{}, seen: map[string]deviceNote{}}
}

// add notes a trouble.
func (f *finder) add(x Finding) {
	if !x.Since.IsZero() {
		x.Since = x.Since.Round(0).UTC()
	}
	if x.Owner == "" {
		x.Owner = f.who.keeper
	}
	f.found = append(f.found, x)
}

// wait is how long a trouble must have lasted: what the monitors say, or else the default.
func (f *finder) wait(kind Kind, audiences []string, otherwise time.Duration) time.Duration {
	if rule, ok := f.rules.of(kind, audiences); ok && rule.After > 0 {
		return rule.After
	}
	return otherwise
}

// lasted tells whether something that began at an instant has lasted so long.
func (f *finder) lasted(since time.Time, wait time.Duration) bool {
	return !f.at.Before(since.Add(wait))
}

// share is the part, in percent, above which something is one trouble of many; count how many are too many.
func (f *finder) share(kind Kind, audiences []string, otherwise int) int {
	rule, _ := f.rules.of(kind, audiences)
	return cmp.Or(rule.Share, otherwise)
}

func (f *finder) count(kind Kind, audiences []string, otherwise int) int {
	rule, _ := f.rules.of(kind, audiences)
	return cmp.Or(rule.Count, otherwise)
}

// stamp writes an instant as evidence does.
func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// envoys tells which Envoys hold something else than they were given.
func (f *finder) envoys() {
	for _, e := range f.v.Envoys {
		if len(e.Differences) == 0 {
			continue
		}
		differences := slices.Clone(e.Differences)
		slices.Sort(differences)
		f.add(Finding{Kind: Drift, Subject: "envoy " + e.ID, Since: e.Since, Wait: f.wait(Drift, nil, waitDrift),
			Summary: "Envoy " + e.ID + " holds a configuration that differs from what the policy means", Evidence: few(differences),
			Fix: policy.Fix{Text: "Compare with `tiergate envoy config`, and let the Envoy take its configuration from tiergate anew."}})
	}
}

// contested tells which names several devices carry: nobody is admitted by such a name.
func (f *finder) contested() {
	for alias, devices := range f.v.Contested {
		x := Finding{Kind: ContestedDevice, Subject: "name " + alias.String(),
			Summary: "several devices carry the name " + alias.String() + ", so that none is admitted by it",
			Fix:     policy.Fix{Text: "Correct the source that reports the wrong name, or remove the copy of the device."}}
		owners := map[string]int{}
		for _, id := range devices {
			note := f.seen[string(id)]
			x.Evidence = append(x.Evidence, "device "+string(id))
			x.Audiences = append(x.Audiences, note.audiences...)
			if note.owner != "" {
				owners[note.owner]++
			}
		}
		slices.Sort(x.Evidence)
		slices.Sort(x.Audiences)
		x.Audiences = slices.Compact(x.Audiences)
		x.Owner = cmp.Or(most(owners), f.who.endpoint)
		x.Evidence = few(x.Evidence)
		x.Wait = f.wait(ContestedDevice, x.Audiences, 0)
		f.add(x)
	}
}

// most is the word that counts most, the lesser of equals.
func most(counts map[string]int) string {
	best := ""
	for word, n := range counts {
		if best == "" || n > counts[best] || n == counts[best] && word < best {
			best = word
		}
	}
	return best
}

// evidenceLines is the most that a finding lists.
const evidenceLines = 20

// few keeps the first of sorted lines and says that there are more.
func few(lines []string) []string {
	if len(lines) <= evidenceLines {
		return lines
	}
	return append(slices.Clone(lines[:evidenceLines]), "and more")
}

func list(words []string) string { return strings.Join(words, ", ") }
