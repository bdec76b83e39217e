package policy

import (
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// AudiencesOf are the names of the audiences that a subject belongs to, or may belong to, at its bound device, in the order of
// the policy's documents: membership as Evaluate judges it for a tier that identifies devices. A device whose assessment is nil
// or of another policy has an ownership that nobody knows. Who has a doubt against them belongs to none.
func (p *Policy) AudiencesOf(subject *identity.Subject, device *Assessment) []string {
	if p == nil || len(subject.Doubts) > 0 {
		return nil
	}
	var owned ownership
	if device != nil && device.policy == p {
		owned = device.owned
	}
	var all []string
	bound := subject.Device != signals.Alias{}
	for i := range p.audiences {
		if a := &p.audiences[i]; a.holds(subject, bound, true, owned) != outside {
			all = append(all, a.name)
		}
	}
	return all
}
