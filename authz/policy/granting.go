package policy

import (
	"maps"
	"slices"

	"github.com/tiergate/tiergate/signals"
)

// What those who grant exceptions at run time ask of a policy. They are judged as decisions judge them, so that nothing is
// approved that would not count, and nothing counts that could not be approved.

// GrantFaults judges granted[i] as Evaluate does where granted is Input.Granted: by the same bounds as an exception of the
// directory, among those of the directory and of run time. No fault: it counts from its start to its end. Of a Fault, Kind
// is Exception, Name the exception's and Field the place in its document.
func (p *Policy) GrantFaults(granted []Exception, i int) []Fault {
	e := &granted[i]
	var all []Fault
	add := func(f exceptionFault) {
		all = append(all, Fault{Kind: KindException, Name: e.Meta.Name, Field: f.field, Message: f.message, Help: f.help,
			Wrong: f.wrong, Known: f.known})
	}
	if !isDocumentName(e.Meta.Name) {
		add(exceptionFault{field: "metadata.name", message: "the exception has no name that could be one",
			help: "write 1 to 63 of a-z, 0-9 and -, beginning with a letter or digit"})
	}
	if _, owned := p.rules.teams[e.Meta.Owner]; !owned {
		add(exceptionFault{field: "metadata.owner", message: "the exception is owned by no team", wrong: e.Meta.Owner,
			known: slices.Sorted(maps.Keys(p.rules.teams)), help: "the teams stand in the Governance document"})
	}
	for _, f := range p.rules.faults(e, granted) {
		add(f)
	}
	return all
}

// Written is the exception of the directory that has this name; nil: none.
func (p *Policy) Written(exception string) *Exception { return p.rules.written[exception] }

// DevicesOf are the devices of an exception, however they are spelt; what names none is left out.
func DevicesOf(e *Exception) []signals.Alias { return devicesOf(e) }

// OwnedTier is a tier and the team that owns it.
type OwnedTier struct {
	Tier  string `json:"tier"`
	Owner string `json:"owner"`
}

// ExceptionTiers are the tiers of an exception's routes, sorted: the owner of each must approve it. Routes that are not
// there have none; GrantFaults names them.
func (p *Policy) ExceptionTiers(e *Exception) []OwnedTier {
	tiers := map[string]*Tier{}
	for _, name := range e.Routes {
		if route := p.rules.routes[name]; route != nil {
			tiers[route.Tier] = p.rules.tiers[route.Tier]
		}
	}
	return ownedTiers(tiers)
}

func ownedTiers(tiers map[string]*Tier) []OwnedTier {
	all := make([]OwnedTier, 0, len(tiers))
	for _, name := range slices.Sorted(maps.Keys(tiers)) {
		all = append(all, OwnedTier{Tier: name, Owner: tiers[name].Meta.Owner})
	}
	return all
}
