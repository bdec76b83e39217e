package prove

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policytest"
	"github.com/tiergate/tiergate/signals"
)

// shown is a golden case with what the policy answers to it.
type shown struct {
	who          class
	text, answer string
	outcome      policy.Outcome
	reason       policy.Reason
}

// fact is one word of every source that a case names.
type fact struct{ attribute, value string }

// attempt is what a case says besides the asker and the request.
type attempt struct {
	at      time.Time
	sources []string
	facts   []fact
	device  string
	acr     string
	amr     []string
}

// caseOf looks for a device and a login with which the policy lets the asker in, and failing that shows the asker with
// nothing.
func (p *prover) caseOf(a *population, r *policy.Route, c *class) shown {
	tier := p.tiers[r.Tier]
	first := attempt{at: p.in.At.UTC().Truncate(time.Second), device: boundDevice.String()}
	best := p.show(a, r, c, first)
	try := func(c *class, x attempt) bool {
		if got := p.show(a, r, c, x); got.outcome > best.outcome {
			best = got
		}
		return best.outcome == policy.Allow
	}
	devices := []attempt{first}
	if c.bound {
		facts := p.healthy(tier, c.ownership, first.at)
		for _, sources := range p.sourcesFor() {
			x := first
			x.facts, x.sources = facts, sources
			devices = append(devices, x)
		}
	}
	for _, d := range devices {
		for _, x := range p.logins(tier, d) {
			if try(c, x) {
				return best
			}
		}
	}
	for i := range p.spec.Exceptions {
		if e := &p.spec.Exceptions[i]; p.excepted(e, r, c, devices, tier, try) {
			return best
		}
	}
	return best
}

// excepted tries the asker as one whom an exception excuses.
func (p *prover) excepted(e *policy.Exception, r *policy.Route, c *class, devices []attempt, tier *policy.Tier,
	try func(*class, attempt) bool) bool {
	if !slices.Contains(e.Routes, r.Meta.Name) || e.State(p.in.At) == policy.ExceptionEnded {
		return false
	}
	for _, s := range e.Subjects {
		if s.Issuer != c.issuer || s.User != "" && c.user != anyUser && c.user != s.User {
			continue
		}
		as := *c
		as.groups = slices.Clone(c.groups)
		if s.User != "" {
			as.user = s.User
		} else {
			as.groups = append(as.groups, s.Group)
		}
		for _, d := range devices {
			if e.From.After(d.at) {
				d.at = e.From.UTC().Add(time.Second).Truncate(time.Second)
			}
			for _, name := range e.Devices {
				if d.device = name; !strings.Contains(name, ":") {
					d.device = signals.Alias{Kind: signals.AliasSerial, Value: name}.String()
				}
				for _, x := range p.logins(tier, d) {
					if try(&as, x) {
						return true
					}
				}
			}
		}
	}
	return false
}

// logins are the attempt with each login that a tier may want; all of them are of this instant.
func (p *prover) logins(tier *policy.Tier, x attempt) []attempt {
	demands := []*policy.StepUpDemand{tier.StepUp}
	for i := range tier.Stricter {
		demands = append(demands, tier.Stricter[i].StepUp)
	}
	acrs := []string{""}
	for _, d := range demands {
		if d != nil {
			acrs, x.amr = append(acrs, d.ACR...), append(slices.Clone(x.amr), d.AMR...)
		}
	}
	var all []attempt
	for _, acr := range acrs {
		x.acr = acr
		all = append(all, x)
	}
	return all
}

// sourcesFor are the sources that may say all at once: every known one, then each alone.
func (p *prover) sourcesFor() [][]string {
	names := []string{}
	for name := range p.in.World.Sources {
		names = append(names, name)
	}
	for _, b := range p.spec.Baselines {
		for _, s := range b.Signals {
			names = append(names, s.Prefer...)
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		names = []string{anySource}
	}
	all := [][]string{names}
	for _, name := range names {
		all = append(all, []string{name})
	}
	return all
}

// show writes the case, asks the policy, and writes down the answer as what is expected.
func (p *prover) show(a *population, r *policy.Route, c *class, x attempt) shown {
	text := p.write(a, r, c, x, "{outcome: deny}")
	parsed, problems := policytest.Parse("counterexample.yaml", []byte(text))
	if len(problems) > 0 {
		return shown{who: *c, text: text, answer: "the case cannot be read: " + problems.Error()}
	}
	results, err := policytest.Run(p.in.Policy, parsed)
	if err != nil || len(results) != 1 {
		return shown{who: *c, text: text, answer: fmt.Sprintf("the case cannot be asked: %v", err)}
	}
	v := results[0].Verdict
	s := shown{who: *c, outcome: v.Outcome, reason: v.Reason, answer: "the answer is " + v.Outcome.String()}
	if v.Outcome != policy.Allow {
		s.answer += ", " + string(v.Reason)
	}
	s.text = p.write(a, r, c, x, fmt.Sprintf("{outcome: %s, reason: %s}", v.Outcome, v.Reason))
	return s
}

func (p *prover) write(a *population, r *policy.Route, c *class, x attempt, expect string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "cases:\n  - name: %s\n    at: %s\n    request: %s\n", quoted(r.Meta.Name+" and isolated audience "+a.name),
		x.at.Format(time.RFC3339), quoted(lineOf(p.requests[r.Meta.Name])))
	if c.user != "" || c.workload != "" || c.bound {
		b.WriteString("    who:\n")
	}
	if c.user != "" {
		fmt.Fprintf(&b, "      user: {issuer: %s, name: %s, groups: %s, login: 0s", quoted(c.issuer), quoted(c.user), list(c.groups))
		if x.acr != "" {
			b.WriteString(", acr: " + quoted(x.acr))
		}
		b.WriteString(", amr: " + list(x.amr) + "}\n")
	}
	if c.workload != "" {
		fmt.Fprintf(&b, "      workload: %s\n", quoted(c.workload))
	}
	if c.bound {
		fmt.Fprintf(&b, "      device: %s\n", quoted(x.device))
		p.writeFacts(&b, c, x)
	}
	return b.String() + "    expect: " + expect + "\n"
}

// writeFacts has each source say what it may.
func (p *prover) writeFacts(b *strings.Builder, c *class, x attempt) {
	facts, sources := x.facts, x.sources
	if len(sources) == 0 && c.ownership != "" {
		facts, sources = []fact{{"ownership", c.ownership}}, []string{p.sourceOf("ownership")}
	}
	var lines []string
	for _, source := range sources {
		var said []string
		for _, f := range facts {
			if known, ok := p.in.World.Sources[source]; !ok || slices.Contains(known.Attests, f.attribute) {
				said = append(said, f.attribute+": "+quoted(f.value))
			}
		}
		if len(said) > 0 {
			lines = append(lines, fmt.Sprintf("      - {source: %s, attributes: {%s}}\n", quoted(source), strings.Join(said, ", ")))
		}
	}
	if len(lines) > 0 {
		b.WriteString("    facts:\n" + strings.Join(lines, ""))
	}
}

// quoted writes a text so that YAML reads it as that text: a JSON text is a YAML one.
func quoted(s string) string {
	raw, _ := json.Marshal(s) //nolint:errchkjson // a text always has one
	return string(raw)
}

func list(all []string) string {
	parts := make([]string, 0, len(all))
	for _, s := range all {
		parts = append(parts, quoted(s))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
