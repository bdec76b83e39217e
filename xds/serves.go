package xds

import (
	"fmt"
	"slices"

	"github.com/tiergate/tiergate/authz/policy"
)

// identifies reports whether a route's tier wants to know somebody whom the listener is for. It decides nothing about the
// listener itself, so that a route may change its tier without any connection being drained.
func (b *builder) identifies(l Listener, r policy.Route) bool {
	if l.Serves == ServesAll {
		return true
	}
	i := slices.IndexFunc(b.in.Tiers, func(t policy.Tier) bool { return t.Meta.Name == r.Tier })
	if i < 0 {
		b.routeFault(r, "spec.tier", fmt.Sprintf("the policy has no tier %q", r.Tier), "")
		return false
	}
	switch b.in.Tiers[i].Identify {
	case policy.IdentifyWorkload:
		return l.Serves == ServesWorkloads
	case policy.IdentifyUser, policy.IdentifyUserDevice:
		return l.Serves == ServesUsers
	}
	return false
}

// Unserved lists, sorted, the routes that none of the listeners serves. It looks at documents, and at names, audiences and
// Serves of the listeners; certificates need not be there.
func Unserved(in Input) []string {
	b := &builder{in: in, isolated: map[string]bool{}, served: map[string]bool{}}
	for _, a := range in.Audiences {
		b.isolated[a.Meta.Name] = a.Isolated
	}
	for _, r := range in.Routes {
		for _, l := range in.Settings.Listeners {
			if b.serves(l, r) {
				b.served[r.Meta.Name] = true
			}
		}
	}
	return b.unserved()
}
