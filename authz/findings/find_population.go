package findings

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
)

// A trouble that is the trouble of many is one finding. Of each population, which is the devices of a platform or those that
// concern an audience, those count that have said something of a signal and are not silent. Where at least shareDefault
// percent of them, and at least fewest, are in the same trouble, the population has a finding of its own, and those of its
// devices stand under it: no case is opened for them while that one is followed, and those that have one already keep it.
const (
	shareDefault = 20 // percent
	fewest       = 10
)

// populationKey names a trouble of a population.
type populationKey struct {
	of     string // "population macos" or "audience executives"
	kind   Kind
	signal string
}

// population counts its devices.
type population struct {
	audience string
	total    int
	bad      int
	members  []int // the findings of those that are bad
}

func (p *population) count(bad bool) {
	p.total++
	if bad {
		p.bad++
	}
}

// populationName is one population of a device.
type populationName struct{ of, audience string }

// populationsOf lists the populations of a device. That of its platform is had once for all of them.
func (f *finder) populationsOf(platform string, audiences []string) []populationName {
	all, known := f.ofPlatform[platform]
	if !known {
		if platform != "" {
			all = []populationName{{of: "population " + platform}}
		}
		f.ofPlatform[platform] = all
	}
	all = slices.Clip(all)
	for _, audience := range audiences {
		all = append(all, populationName{"audience " + audience, audience})
	}
	return all
}

func (f *finder) sharing(of string, kind Kind, signal string) *population {
	key := populationKey{of, kind, signal}
	p := f.shares[key]
	if p == nil {
		p = &population{}
		f.shares[key] = p
	}
	return p
}

// member notes a finding of a device that may be one of its population.
func (f *finder) member(n *deviceNote, x Finding) {
	f.add(x)
	for _, name := range n.populations {
		p := f.sharing(name.of, x.Kind, x.Detail)
		p.audience = name.audience
		p.members = append(p.members, len(f.found)-1)
	}
}

// populations adds their findings: platforms first. An audience is in trouble by itself where its devices are that no
// platform stands for; otherwise its trouble is a part of that of the platform.
func (f *finder) populations() {
	keys := make([]populationKey, 0, len(f.shares))
	for key := range f.shares {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b populationKey) int {
		return -strings.Compare(a.of+"|"+string(a.kind)+"|"+a.signal, b.of+"|"+string(b.kind)+"|"+b.signal) // "population" before "audience"
	})
	for _, key := range keys {
		p := f.shares[key]
		var audiences []string
		if p.audience != "" {
			audiences = []string{p.audience}
		}
		share := f.share(key.kind, audiences, shareDefault)
		if !p.exceeds(p.bad, share) {
			continue
		}
		f.population(key, p, audiences, share)
	}
}

// exceeds tells whether so many are a trouble of the population.
func (p *population) exceeds(bad, share int) bool { return bad >= fewest && bad*100 >= share*p.total }

func (f *finder) population(key populationKey, p *population, audiences []string, share int) {
	free, above, first := 0, "", ""
	owners := map[string]int{}
	fix := policy.Fix{}
	lines := make([]string, 0, len(p.members))
	for _, i := range p.members {
		x := &f.found[i]
		owners[x.Owner]++
		lines = append(lines, x.Subject)
		if x.Under == "" {
			free++
		} else if above == "" || x.Under < above {
			above = x.Under
		}
		if first == "" || x.Subject < first {
			first, fix = x.Subject, x.Fix
		}
	}
	slices.Sort(lines)
	_, name, _ := strings.Cut(key.of, " ")
	what, wait := "have left their baseline: "+key.signal+" is not passing", waitDrift
	if key.kind == Conflict {
		what, wait = "are in dispute between sources: "+key.signal, waitConflict
	}
	x := Finding{Kind: key.kind, Subject: key.of, Detail: key.signal, Audiences: audiences, Owner: most(owners), Fix: fix,
		Wait:     f.wait(key.kind, audiences, wait),
		Summary:  "many devices of " + name + " " + what,
		Evidence: append([]string{fmt.Sprintf("%d of %d devices; from %d %% on it is one trouble", p.bad, p.total, share)}, few(lines)...)}
	if p.exceeds(free, share) {
		above = ""
	}
	x.Under = above
	f.add(x)
	parent := x.Key()
	for _, i := range p.members {
		if f.found[i].Under == "" {
			f.found[i].Under = parent
		}
	}
}
