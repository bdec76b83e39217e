package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/tiergate/tiergate/signals"
)

func (c *compiler) governance() {
	switch len(c.spec.Governance) {
	case 0:
		c.fault("", "", "", "the policy has no Governance document",
			"write one that names the accountable owner and the teams (kind: Governance)")
		return
	case 1:
	default:
		for _, g := range c.spec.Governance[1:] {
			c.fault(KindGovernance, g.Meta.Name, "metadata.name", "there is more than one Governance document",
				"one document names the single accountable owner")
		}
	}
	g := &c.spec.Governance[0]
	if g.Accountable.Name == "" || g.Accountable.Contact == "" {
		c.fault(KindGovernance, g.Meta.Name, "spec.accountable", "the accountable owner needs a name and a contact",
			"accountable: {name: Head of Identity Posture, contact: identity@example.org}")
	}
	if len(g.Teams) == 0 {
		c.fault(KindGovernance, g.Meta.Name, "spec.teams", "no team is named", "teams: {iam: {contact: iam@example.org}}")
	}
	for name, team := range g.Teams {
		if team.Contact == "" {
			c.fault(KindGovernance, g.Meta.Name, "spec.teams."+name, fmt.Sprintf("team %q has no contact", name),
				"contact: an address where the team answers")
		}
		c.approvers(g.Meta.Name, name, team.Approvers)
	}
	c.teams = g.Teams
}

func (c *compiler) baselines() {
	for i := range c.spec.Baselines {
		b := &c.spec.Baselines[i]
		c.owner(KindBaseline, b.Meta)
		c.platforms(b)
		if len(b.Signals) == 0 {
			c.fault(KindBaseline, b.Meta.Name, "spec.signals", "the baseline defines no signal", "signals: {NAME: {expr: …, maxAge: 26h}}")
		}
		for _, name := range slices.Sorted(maps.Keys(b.Signals)) {
			c.signal(b, name, b.Signals[name])
		}
	}
}

func (c *compiler) platforms(b *Baseline) {
	platform, _ := signals.LookupAttribute("platform")
	for i, p := range b.Platforms {
		field := fmt.Sprintf("spec.platforms[%d]", i)
		if !slices.Contains(platform.Scale, p) {
			c.unknown(KindBaseline, b.Meta.Name, field, fmt.Sprintf("%q is no platform", p), p, platform.Scale,
				"the platforms are "+strings.Join(platform.Scale, ", "))
		}
		if slices.Contains(b.Platforms[:i], p) {
			c.fault(KindBaseline, b.Meta.Name, field, fmt.Sprintf("platform %q is listed twice", p), "remove one")
		}
	}
}

func (c *compiler) signal(b *Baseline, name string, s Signal) {
	field := "spec.signals." + name
	v := variant{owner: b.Meta.Owner, contact: c.teams[b.Meta.Owner].Contact, platforms: b.Platforms, maxAge: s.MaxAge,
		fix: s.Fix}
	for _, source := range s.Prefer {
		v.prefer = append(v.prefer, unique.Make(source))
	}
	if !isDocumentName(name) {
		c.fault(KindBaseline, b.Meta.Name, field, fmt.Sprintf("%q is no name for a signal", name), "use a-z, 0-9 and dashes")
	}
	if s.MaxAge <= 0 {
		c.fault(KindBaseline, b.Meta.Name, field+".maxAge", "the signal does not say how old its facts may be",
			"maxAge: 26h for what an MDM reports daily")
	}
	if s.Fix.Text == "" {
		c.fault(KindBaseline, b.Meta.Name, field+".fix", "the signal does not say how to mend it",
			"fix: {text: what the person at the device can do}")
	}
	if s.Expr == "" {
		c.fault(KindBaseline, b.Meta.Name, field+".expr", "the signal has no expression", "expr: device.disk_encryption")
	} else if c.env != nil {
		compiled, faults := compileExpression(c.env, s.Expr)
		for _, f := range faults {
			c.faults = append(c.faults, Fault{Kind: KindBaseline, Name: b.Meta.Name, Field: field + ".expr", Offset: f.offset,
				Message: f.message, Help: expressionHelp(f.message)})
		}
		if compiled != nil {
			v.expression = compiled
			c.sources(b, field, &v)
		}
	}
	c.define(b, name, field, v)
}

// sources checks a signal against the sources that the settings have.
func (c *compiler) sources(b *Baseline, field string, v *variant) {
	if c.world.Sources == nil {
		return
	}
	for _, attribute := range v.expression.attributes {
		if !c.attested(attribute) {
			c.fault(KindBaseline, b.Meta.Name, field+".expr", fmt.Sprintf("no configured source may attest %s", attribute),
				"add it to the attests of a source in the settings, or ask for something else")
		}
	}
	if message := c.undeliverable(v, v.maxAge); message != "" {
		c.fault(KindBaseline, b.Meta.Name, field+".maxAge", message, "allow more time, or have a source report more often")
	}
	for i, preferred := range v.prefer {
		p := preferred.Value()
		if _, ok := c.world.Sources[p]; !ok {
			c.unknown(KindBaseline, b.Meta.Name, fmt.Sprintf("%s.prefer[%d]", field, i), fmt.Sprintf("there is no source %q", p), p,
				slices.Sorted(maps.Keys(c.world.Sources)), "sources stand in the settings")
		}
	}
}

// undeliverable says why facts as fresh as maxAge cannot be had: every source that may attest an attribute reports a device
// less often than that. Empty: they can, or how often a source reports is not known.
func (c *compiler) undeliverable(v *variant, maxAge time.Duration) string {
	if c.world.Sources == nil || v.expression == nil || maxAge <= 0 {
		return ""
	}
	for _, attribute := range v.telling() {
		fastest, name := time.Duration(0), ""
		for _, source := range slices.Sorted(maps.Keys(c.world.Sources)) {
			said := c.world.Sources[source]
			if !slices.Contains(said.Attests, attribute) {
				continue
			}
			if said.Every <= maxAge { // or not known
				name = ""
				break
			}
			if name == "" || said.Every < fastest {
				fastest, name = said.Every, source
			}
		}
		if name != "" {
			return fmt.Sprintf("no source reports %s as often as every %s; %s does so every %s", attribute, written(maxAge), name, written(fastest))
		}
	}
	return ""
}

func (c *compiler) attested(attribute string) bool {
	for _, source := range c.world.Sources {
		if slices.Contains(source.Attests, attribute) {
			return true
		}
	}
	return false
}

// define adds a variant of a signal; two baselines must not define one signal for one platform.
func (c *compiler) define(b *Baseline, name, field string, v variant) {
	s := c.signals[name]
	if s == nil {
		s = &signal{name: name}
		c.signals[name] = s
	}
	for _, other := range s.variants {
		if len(v.platforms) == 0 || len(other.platforms) == 0 || overlap(v.platforms, other.platforms) {
			c.fault(KindBaseline, b.Meta.Name, field, fmt.Sprintf("another baseline defines signal %q for one of these platforms", name),
				"one baseline defines a signal for a platform; give one of them another name or other platforms")
		}
	}
	s.variants = append(s.variants, v)
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}

func expressionHelp(message string) string {
	if strings.Contains(message, "did you mean") {
		return "correct the name"
	}
	return "the attributes are " + attributeNames()
}

func attributeNames() string {
	var list []string
	for _, a := range signals.Attributes() {
		list = append(list, "device."+a.Name)
	}
	return strings.Join(list, ", ")
}

// isDocumentName reports what the names of documents and signals are made of.
func isDocumentName(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '-' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
