// Package lint finds in the configuration of an Envoy what lets a request pass without a decision of tiergate, what lets a
// client say what only others may say, and what is weaker than it need be. Each finding names the field, what may happen
// through it, what to write, and who says so. README.md lists the rules.
//
// It judges what is written, and no more: what comes over an xDS that was not looked at, what tiergate's policy says and how
// Envoy was started (its drain time, for one) cannot be seen from here.
package lint

import (
	"cmp"
	"slices"

	"github.com/tiergate/tiergate/xds/dump"
)

// Severity says how bad a finding is.
type Severity string

// From the worst.
const (
	Hole Severity = "hole" // requests or names pass that tiergate has not decided about
	Weak Severity = "weak" // one mistake elsewhere, or one patient client, makes a hole or an outage of it
	Note Severity = "note" // worth knowing; may be meant so
)

var severities = []Severity{Hole, Weak, Note}

// AtLeast reports whether s is as bad as other, or worse.
func (s Severity) AtLeast(other Severity) bool {
	return slices.Index(severities, s) <= slices.Index(severities, other)
}

// Known reports whether there is such a severity.
func (s Severity) Known() bool { return slices.Contains(severities, s) }

// Finding is one place that should be written otherwise.
type Finding struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Where    string   `json:"where"`  // the field, as a path into what was read
	What     string   `json:"what"`   // what may happen
	Fix      string   `json:"fix"`    // the field to change and the value to write
	Source   string   `json:"source"` // the field of Envoy's API, the CVE or page
}

// say records a finding at a field.
type say func(where dump.Value, what, fix string)

// rule finds one kind of fault. It looks at one kind of place; the other functions are nil.
type rule struct {
	code     string
	severity Severity
	source   string

	whole   func(c *dump.Config, s say)
	manager func(m *manager, s say)                // every HTTP connection manager that leads somewhere
	guard   func(m *manager, g dump.Filter, s say) // every ext_authz filter of these
	route   func(m *manager, r *reached, s say)    // every route, once a table
	chain   func(l dump.Listener, c dump.Chain, s say)
	cluster func(c *dump.Config, cluster dump.Cluster, s say)
}

// rules are all there are, each code once.
var rules = slices.Concat(placeRules, guardRules, corsRules, wordRules, identityRules, pathRules, routeRules, tlsRules, transportRules,
	limitRules, processRules, logRules)

// Check applies all rules; findings are sorted, the worst first, and each place stands once for each code.
func Check(c *dump.Config) []Finding {
	var found []Finding
	seen := map[[2]string]bool{}
	managers := managersOf(c)
	for _, r := range rules {
		record := func(where dump.Value, what, fix string) {
			if key := [2]string{r.code, where.Path()}; !seen[key] {
				seen[key] = true
				found = append(found, Finding{Code: r.code, Severity: r.severity, Where: where.Path(), What: what, Fix: fix,
					Source: r.source})
			}
		}
		r.apply(c, managers, record)
	}
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity)),
			cmp.Compare(a.Code, b.Code))
	})
	return found
}

func (r rule) apply(c *dump.Config, managers []*manager, s say) {
	if r.whole != nil {
		r.whole(c, s)
	}
	for _, m := range managers {
		r.atManager(m, s)
	}
	for _, l := range c.Listeners {
		for _, chain := range l.Chains {
			if r.chain != nil {
				r.chain(l, chain, s)
			}
		}
	}
	for _, cluster := range c.Clusters {
		if r.cluster != nil {
			r.cluster(c, cluster, s)
		}
	}
}

func (r rule) atManager(m *manager, s say) {
	if r.manager != nil && !m.alone && m.leads {
		r.manager(m, s)
	}
	if r.guard != nil && m.leads {
		for _, g := range m.guards {
			r.guard(m, g, s)
		}
	}
	if r.route != nil {
		for i := range m.routes {
			r.route(m, &m.routes[i], s)
		}
	}
}

// Codes lists all codes, sorted, with their severities and sources.
func Codes() []Finding {
	out := make([]Finding, 0, len(rules))
	for _, r := range rules {
		out = append(out, Finding{Code: r.code, Severity: r.severity, Source: r.source})
	}
	slices.SortFunc(out, func(a, b Finding) int { return cmp.Compare(a.Code, b.Code) })
	return out
}
