package ingest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tiergate/tiergate/signals"
)

// links are the documents in force by the names in them. They are not changed once they are in force.
type links struct {
	forbid, same map[signals.Alias][]*signals.DeviceLink
}

// SetLinks puts documents in the place of those in force; what is being applied right now may still go by the old ones.
// Names that are joined stay joined when their document goes. Where documents contradict each other, Forbid counts.
func (r *Receiver) SetLinks(documents []signals.DeviceLink) {
	l := &links{forbid: map[signals.Alias][]*signals.DeviceLink{}, same: map[signals.Alias][]*signals.DeviceLink{}}
	for i := range documents {
		link := documents[i]
		link.Forbid, link.Same = slices.Clone(link.Forbid), slices.Clone(link.Same)
		for _, alias := range link.Forbid {
			l.forbid[alias] = append(l.forbid[alias], &link)
		}
		for _, alias := range link.Same {
			l.same[alias] = append(l.same[alias], &link)
		}
	}
	r.links.Store(l)
}

// expand adds the names that documents say are the same device's, and returns those documents. What is sorted stays so.
func (l *links) expand(names []signals.Alias) (all []signals.Alias, by []*signals.DeviceLink) {
	if len(l.same) == 0 {
		return names, nil
	}
	all = slices.Clone(names)
	for i := 0; i < len(all); i++ { // it grows
		for _, link := range l.same[all[i]] {
			if slices.Contains(by, link) {
				continue
			}
			by = append(by, link)
			for _, alias := range link.Same {
				if !slices.Contains(all, alias) {
					all = append(all, alias)
				}
			}
		}
	}
	slices.SortFunc(all, signals.CompareAliases)
	return all, by
}

// forbiddenError names the document that keeps names apart which one observation would have put on one device.
type forbiddenError struct {
	link  *signals.DeviceLink
	names []signals.Alias
}

func (e forbiddenError) Error() string {
	return fmt.Sprintf("the document %q (owner %s, ticket %s) says that %v never belong to one device, and this would put them on "+
		"one; correct the names at their source, or the document, and retry", e.link.Name, e.link.Owner, e.link.Ticket, e.names)
}

// check says whether an observation of these names, about these devices, would put names on one device that a document
// keeps apart: they come together, or one comes and a device has the other. What a device has had since before the document
// is not new: what is said of it is still applied, or an alarm could be lost.
func (l *links) check(came []signals.Alias, devices map[signals.DeviceID]signals.Posture) error {
	if len(l.forbid) == 0 {
		return nil
	}
	union := slices.Clone(came)
	for _, id := range slices.Sorted(maps.Keys(devices)) {
		union = append(union, devices[id].Aliases...)
	}
	for _, alias := range union {
		for _, link := range l.forbid[alias] {
			together := both(link.Forbid, union)
			if len(together) < 2 {
				continue
			}
			if len(both(together, came)) < 2 && slices.ContainsFunc(slices.Collect(maps.Values(devices)),
				func(p signals.Posture) bool { return len(both(together, p.Aliases)) == len(together) }) {
				continue
			}
			return forbiddenError{link, together}
		}
	}
	return nil
}

// apart tells that a document keeps a name off a device that does not have it.
func (l *links) apart(alias signals.Alias, p signals.Posture) bool {
	if slices.Contains(p.Aliases, alias) {
		return false
	}
	return slices.ContainsFunc(l.forbid[alias], func(link *signals.DeviceLink) bool {
		return len(both(link.Forbid, p.Aliases)) > 0
	})
}

// both returns the names that stand in both lists, in the order of the first.
func both(a, b []signals.Alias) []signals.Alias {
	var found []signals.Alias
	for _, alias := range a {
		if slices.Contains(b, alias) {
			found = append(found, alias)
		}
	}
	return found
}

// joinable tells whether documents make one device of all these: each is connected with each, if over others.
func (by *testimony) joinable(claims []claim, born map[signals.DeviceID]signals.Posture) bool {
	group := map[signals.DeviceID]int{}
	for i, id := range slices.Sorted(maps.Keys(born)) {
		group[id] = i
	}
	for _, link := range by.links {
		first := -1
		for _, c := range claims {
			g, ok := group[c.owner]
			switch {
			case !ok || !slices.Contains(link.Same, c.alias) || g == first:
			case first < 0:
				first = g
			default:
				for id, other := range group {
					if other == g {
						group[id] = first
					}
				}
			}
		}
	}
	groups := map[int]bool{}
	for _, g := range group {
		groups[g] = true
	}
	return len(groups) == 1
}

// document is the one that gives a device to others: the first with one of its names.
func (by *testimony) document(claims []claim, device signals.DeviceID) string {
	for _, link := range by.links {
		for _, c := range claims {
			if c.owner == device && slices.Contains(link.Same, c.alias) {
				return link.Name
			}
		}
	}
	return ""
}
