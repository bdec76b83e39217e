package approvals

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// The origins of an exception.
const (
	OriginPolicy  = "policy"   // a document of the policy directory
	OriginRunTime = "run time" // asked for and approved while tiergate runs
)

// Listed is an exception as it stands at an instant by today's policy, of the directory or of run time.
type Listed struct {
	Exception
	// Stands is State, but that what was approved and could not be granted by today's policy is void.
	Stands State  `json:"state"`
	Origin string `json:"origin"`
	// Void is what today's policy finds wrong with it.
	Void []string `json:"void,omitempty"`
	// Awaits are, of a request, the teams of which somebody must still approve it, and MayApprove who may.
	Awaits     []string  `json:"awaits,omitempty"`
	MayApprove []string  `json:"mayApprove,omitempty"`
	NoticeAt   time.Time `json:"noticeAt"` // when its owner is told of the coming end
}

// listed tells how an exception of run time stands among all of them.
func listed(p *policy.Policy, e Exception, all []Exception, at time.Time) Listed {
	l := Listed{Exception: e, Stands: e.State(at), Origin: OriginRunTime, NoticeAt: e.NoticeAt()}
	switch l.Stands {
	case StatePending, StateInForce:
		granted := grantedOf(all, "")
		i := slices.IndexFunc(granted, func(x policy.Exception) bool { return x.Meta.Name == e.Meta.Name })
		if i < 0 {
			l.Stands = StateVoid
			return l
		}
		for _, f := range p.GrantFaults(granted, i) {
			l.Stands = StateVoid
			l.Void = append(l.Void, f.Field+": "+f.Message)
		}
	case StateRequested:
		l.Awaits = awaited(p, e.History, owners(p.ExceptionTiers(&e.Exception)))
		l.MayApprove = MayApprove(p, l.Awaits)
	default: // over
	}
	return l
}

// List lists all exceptions of the directory and of run time as they stand now, sorted by name.
func (d *Desk) List(ctx context.Context) ([]Listed, error) {
	p, err := d.policy()
	if err != nil {
		return nil, err
	}
	all, err := d.exceptions(ctx)
	if err != nil {
		return nil, err
	}
	return ListAt(p, all, d.Now()), nil
}

// ListAt is List of exceptions that were read, at an instant.
func ListAt(p *policy.Policy, all []Exception, at time.Time) []Listed {
	list := make([]Listed, 0, len(all))
	for i := range all {
		list = append(list, listed(p, all[i], all, at))
	}
	written := p.Spec().Exceptions
	for i := range written {
		e := Exception{Exception: written[i]}
		state := map[policy.ExceptionState]State{policy.ExceptionPending: StatePending, policy.ExceptionInForce: StateInForce,
			policy.ExceptionEnded: StateEnded}[written[i].State(at)]
		list = append(list, Listed{Exception: e, Stands: state, Origin: OriginPolicy, NoticeAt: e.NoticeAt()})
	}
	slices.SortStableFunc(list, func(a, b Listed) int { return strings.Compare(a.Meta.Name, b.Meta.Name) })
	return list
}

// Show is one of List.
func (d *Desk) Show(ctx context.Context, name string) (Listed, error) {
	all, err := d.List(ctx)
	if err != nil {
		return Listed{}, err
	}
	if i := slices.IndexFunc(all, func(l Listed) bool { return l.Meta.Name == name }); i >= 0 {
		return all[i], nil
	}
	return Listed{}, d.unknownException(name)
}

// Due are the notices that are to be given now.
func (d *Desk) Due(ctx context.Context) ([]Notice, error) {
	all, err := d.exceptions(ctx)
	if err != nil {
		return nil, err
	}
	return Due(all, d.Now()), nil
}
