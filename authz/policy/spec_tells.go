package policy

import "fmt"

// Tells is what who is refused may read of why.
type Tells string

// What is told, each less than the one before. The status and the decision's id are always told.
const (
	TellsAll     Tells = "all"     // the reason, the tier, whom to ask, and each demand that is not met with its fix and owner
	TellsReason  Tells = "reason"  // the reason with its sentence, and the login that would do
	TellsNothing Tells = "nothing" // neither: all refusals of one status are alike
)

// tierTells is what a tier tells, "" for all, which is what a Verdict says of it.
func (c *compiler) tierTells(t *Tier) Tells {
	fault := func(message, help string) { c.fault(KindTier, t.Meta.Name, "spec.tells", message, help) }
	switch t.Tells {
	case "", TellsAll:
		return ""
	case TellsReason:
	case TellsNothing:
		stepsUp := t.StepUp != nil
		for i := range t.Stricter {
			stepsUp = stepsUp || t.Stricter[i].StepUp != nil
		}
		if stepsUp {
			fault("nothing is told, so nobody would learn of the login that stepUp asks for", "write tells: reason, or remove stepUp")
		}
	default:
		fault(fmt.Sprintf("tells is %q", t.Tells), "write all, reason or nothing")
	}
	return t.Tells
}
