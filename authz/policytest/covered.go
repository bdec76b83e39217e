package policytest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
)

// Coverage tells which parts of a policy some case comes to. It says nothing of whether the cases expect the right
// thing.
type Coverage struct {
	Covered int `json:"covered"`
	Of      int `json:"of"`
	// Groups stand in the order of GroupNames; those of which the policy has nothing are left out.
	Groups []GroupCoverage `json:"groups"`
}

// GroupCoverage is the coverage of the parts of one sort.
type GroupCoverage struct {
	Group     string   `json:"group"`
	Covered   int      `json:"covered"`
	Of        int      `json:"of"`
	Uncovered []string `json:"uncovered,omitempty"` // NAME: CELL, in the order of the policy
}

// GroupNames are the sorts of parts:
//
//   - tiers, routes: each with a request that is allowed and one that is refused
//   - signals: each that a tier lists with a device on which it is passing, failing and unknown
//   - audiences: each with somebody inside and somebody outside, where that decided something
//   - exceptions: each document in force, before, after, and for another subject, device and route, where all else fits
//   - grace: of each tier that grants it inside, renewed and after; of onGap: last-known inside and after
//   - challenges: of each tier that steps up a login asked for, and one that sufficed
//   - reasons: every reason for which this policy can refuse
func GroupNames() []string {
	return []string{"tiers", "routes", "signals", "audiences", "exceptions", "grace", "challenges", "reasons"}
}

// cells are the parts of one group, each with whether a case came to it.
type cells struct {
	order []string
	hit   map[string]bool
}

func (c *cells) want(name string, each ...string) {
	for _, cell := range each {
		key := strings.TrimSuffix(name+": "+cell, ": ")
		if _, twice := c.hit[key]; !twice {
			c.order = append(c.order, key)
			c.hit[key] = false
		}
	}
}

// touch counts only what is wanted: that a tier without grace is past its grace is nothing that a case could leave out.
func (c *cells) touch(name, cell string) {
	key := strings.TrimSuffix(name+": "+cell, ": ")
	if _, wanted := c.hit[key]; wanted {
		c.hit[key] = true
	}
}

// Cover finds what the questions of the results come to in the policy.
func Cover(p *policy.Policy, results []Result) Coverage {
	all := map[string]*cells{}
	for _, group := range GroupNames() {
		all[group] = &cells{hit: map[string]bool{}}
	}
	wantCells(all, p.Spec())
	for i := range results {
		touchCells(all, p.Touch(&results[i].Input))
	}
	var c Coverage
	for _, group := range GroupNames() {
		g := GroupCoverage{Group: group, Of: len(all[group].order)}
		for _, key := range all[group].order {
			if all[group].hit[key] {
				g.Covered++
			} else {
				g.Uncovered = append(g.Uncovered, key)
			}
		}
		if g.Of > 0 {
			c.Covered, c.Of, c.Groups = c.Covered+g.Covered, c.Of+g.Of, append(c.Groups, g)
		}
	}
	return c
}

// The cells of tiers and routes, and of audiences.
const (
	allowed = "allowed"
	refused = "refused"
	inside  = "inside"
	outside = "outside"
)

func touchCells(all map[string]*cells, t policy.Touched) {
	v := &t.Verdict
	if v.Route != "" {
		answer := refused
		if v.Outcome == policy.Allow {
			answer = allowed
		}
		all["tiers"].touch(v.Tier, answer)
		all["routes"].touch(v.Route, answer)
	}
	for name, is := range t.Audiences {
		all["audiences"].touch(name, map[bool]string{true: inside, false: outside}[is])
	}
	for _, s := range t.Signals {
		all["signals"].touch(s.Signal, s.Status.String())
	}
	for _, e := range t.Exceptions {
		all["exceptions"].touch(e.Exception, string(e.Cell))
	}
	all["grace"].touch(v.Tier, string(t.Grace))
	for _, part := range t.LastKnown {
		all["grace"].touch(v.Tier, lastKnown+string(part))
	}
	all["challenges"].touch(v.Tier, string(t.Login))
	all["reasons"].touch(string(v.Reason), "")
}

// lastKnown sets the cells of onGap: last-known apart from those of grace.
const lastKnown = "last-known "

// Bar is the least coverage that is accepted: groups of which nothing may be left out, and a percentage of all parts.
type Bar struct {
	Groups  []string
	Percent int // 0: none
}

// ParseBar reads groups and a percentage, separated by commas: "tiers,routes", "80%", "signals,90%"; "all" is 100%.
func ParseBar(text string) (Bar, error) {
	var b Bar
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		digits, percent := strings.CutSuffix(word, "%")
		n, err := strconv.Atoi(digits)
		switch {
		case slices.Contains(GroupNames(), word):
			b.Groups = append(b.Groups, word)
		case word == "all":
			b.Percent = 100
		case percent && err == nil && 1 <= n && n <= 100:
			b.Percent = n
		default:
			return b, fmt.Errorf("%q is no coverage%s; say a percentage such as 80%%, all, or some of %s", word,
				nearest(word, GroupNames()), strings.Join(GroupNames(), ","))
		}
	}
	return b, nil
}

// Misses says in words where the coverage stays below the bar; empty: nowhere.
func (c *Coverage) Misses(b Bar) []string {
	var misses []string
	for _, g := range c.Groups {
		if slices.Contains(b.Groups, g.Group) && g.Covered < g.Of {
			misses = append(misses, fmt.Sprintf("%s: %d of %d are covered, all are wanted", g.Group, g.Covered, g.Of))
		}
	}
	if c.Covered*100 < b.Percent*c.Of {
		misses = append(misses, fmt.Sprintf("%d of %d are covered, which is %d %%; %d %% are wanted", c.Covered, c.Of,
			c.Covered*100/c.Of, b.Percent))
	}
	return misses
}
