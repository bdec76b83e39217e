package prove

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// What an expression reads and compares with. Too much found is no harm: every value is tried.
var (
	readsAttribute = regexp.MustCompile(`device\.([a-z_][a-z0-9_]*)`)
	saysText       = regexp.MustCompile(`"([^"]*)"|'([^']*)'`)
	saysNumber     = regexp.MustCompile(`[0-9]+(?:\.[0-9]+)?`)
)

// rounds of trying every value of every attribute: expressions that hang together settle in two.
const rounds = 3

// healthy looks for facts with which as many as possible of the signals pass that a tier demands. It may miss some: then the
// case shows an asker who is taken in and refused for the device's state alone.
func (p *prover) healthy(tier *policy.Tier, ownership string, at time.Time) []fact {
	wanted, values := p.demanded(tier), map[string][]string{}
	platforms := []string{""}
	for _, b := range p.spec.Baselines {
		platforms = append(platforms, b.Platforms...)
		for name, s := range b.Signals {
			if wanted[name] {
				collect(values, s.Expr)
			}
		}
	}
	delete(values, "platform")
	delete(values, "ownership")
	slices.Sort(platforms)
	var best map[string]string
	most := -1
	for _, platform := range slices.Compact(platforms) {
		now := map[string]string{}
		if platform != "" {
			now["platform"] = platform
		}
		if ownership != "" {
			now["ownership"] = ownership
		}
		if passing := p.climb(now, values, wanted, at); passing > most {
			best, most = now, passing
		}
	}
	var facts []fact
	for _, attribute := range slices.Sorted(maps.Keys(best)) {
		facts = append(facts, fact{attribute, best[attribute]})
	}
	if len(facts) == 0 { // a device of which nobody says anything is an unknown one
		facts = append(facts, p.anyFact())
	}
	return facts
}

// anyFact is something that some source may say of any device.
func (p *prover) anyFact() fact {
	for _, a := range signals.Attributes() {
		if a.Kind != signals.KindBool {
			continue
		}
		for _, s := range p.in.World.Sources {
			if slices.Contains(s.Attests, a.Name) {
				return fact{a.Name, strconv.FormatBool(a.Healthy)}
			}
		}
	}
	return fact{"disk_encryption", "true"}
}

// climb gives each attribute in turn the value with which most signals pass.
func (p *prover) climb(now map[string]string, values map[string][]string, wanted map[string]bool, at time.Time) int {
	most := p.passing(now, wanted, at)
	for range rounds {
		for _, attribute := range slices.Sorted(maps.Keys(values)) {
			before, had := now[attribute]
			for _, value := range values[attribute] {
				now[attribute] = value
				if n := p.passing(now, wanted, at); n > most || n == most && !had {
					most, before, had = n, value, true
				}
			}
			if had {
				now[attribute] = before
			} else {
				delete(now, attribute)
			}
		}
	}
	return most
}

func (p *prover) demanded(t *policy.Tier) map[string]bool {
	wanted := map[string]bool{}
	add := func(require []policy.Demand, denyUnless []policy.DenyUnless, stepUp *policy.StepUpDemand) {
		for _, d := range require {
			wanted[d.Signal] = true
		}
		for _, d := range denyUnless {
			wanted[d.Signal] = true
		}
		if stepUp != nil {
			for _, d := range stepUp.Signals {
				wanted[d.Signal] = true
			}
		}
	}
	add(t.Require, t.DenyUnless, t.StepUp)
	for i := range t.Stricter {
		add(t.Stricter[i].Require, t.Stricter[i].DenyUnless, t.Stricter[i].StepUp)
	}
	return wanted
}

// collect notes which values of which attributes an expression may tell apart.
func collect(values map[string][]string, expr string) {
	var texts, numbers []string
	for _, m := range saysText.FindAllStringSubmatch(expr, -1) {
		texts = append(texts, m[1]+m[2])
	}
	for _, m := range saysNumber.FindAllString(expr, -1) {
		n, err := strconv.ParseFloat(m, 64)
		if err == nil {
			for _, near := range []float64{n - 1, n, n + 1} {
				numbers = append(numbers, strconv.FormatFloat(near, 'f', -1, 64))
			}
		}
	}
	for _, m := range readsAttribute.FindAllStringSubmatch(expr, -1) {
		a, ok := signals.LookupAttribute(m[1])
		if !ok {
			continue
		}
		var more []string
		switch {
		case a.Kind == signals.KindBool:
			more = []string{strconv.FormatBool(a.Healthy), strconv.FormatBool(!a.Healthy)}
		case a.Kind == signals.KindNumber:
			more = append([]string{"0"}, numbers...)
		case len(a.Scale) > 0:
			more = a.Scale
		default:
			more = append([]string{"99.99.99"}, texts...)
		}
		for _, value := range more {
			if !slices.Contains(values[a.Name], value) {
				values[a.Name] = append(values[a.Name], value)
			}
		}
	}
}

// passing counts the wanted signals that pass on a device of which every source says this.
func (p *prover) passing(said map[string]string, wanted map[string]bool, at time.Time) int {
	var all []signals.Fact
	for _, source := range p.sourcesFor()[0] {
		for name, text := range said {
			if a, ok := signals.LookupAttribute(name); ok {
				all = append(all, signals.Fact{Attribute: name, Source: source, Value: valueOf(a, text), Observed: at, Received: at})
			}
		}
	}
	posture, _ := signals.Posture{Device: "prove", Revision: 1}.Merge(signals.Observation{Facts: all})
	n := 0
	for _, s := range p.in.Policy.Standing(nil, &posture, at).Signals {
		if wanted[s.Signal] && s.Status == policy.StatusPassing {
			n++
		}
	}
	return n
}

func valueOf(a signals.Attribute, text string) signals.Value {
	switch a.Kind {
	case signals.KindBool:
		return signals.Bool(text == "true")
	case signals.KindNumber:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return signals.Unknown
		}
		return signals.Number(n)
	case signals.KindText, signals.KindUnknown:
	}
	return signals.Text(text)
}
