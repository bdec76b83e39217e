package approvals

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// Book is what was granted at run time, as a decision finds it: by device. It is made of all records that count, is never
// changed, and is made anew when one of them is. The nil Book holds nothing.
type Book struct {
	groups []group
	// concerns finds the group of a device by each of its names; all exceptions of one device are in one group.
	concerns map[signals.Alias]int
	graces   map[signals.DeviceID]given
}

// group is exceptions that the policy judges together: of the same devices, of one name, or one the renewal of another.
// Those of other groups make no difference to whether it could hold one of these.
type group struct {
	exceptions []policy.Exception // sorted by name
	ends       time.Time          // when nothing is to be said of the last of them any more
}

// remembered is how long decisions are still given what has ended, so that their explanations can say so.
const remembered = 24 * time.Hour

// given is what was said of the grace of a device.
type given struct {
	renewals []policy.Renewal
	ended    time.Time
}

// NewBook reads records of the kinds KindException and KindGrace, in any order; what is of other kinds is left out. One that
// cannot be read, or stands under another key than its own, counts for nothing and is told to refused, which may be nil.
func NewBook(records []signals.Record, refused func(kind, key string, err error)) *Book {
	b := &Book{concerns: map[signals.Alias]int{}, graces: map[signals.DeviceID]given{}}
	var granted []policy.Exception
	for i := range records {
		r := &records[i]
		var err error
		switch r.Kind {
		case KindException:
			var e Exception
			if err = readBook(r, &e, func() string { return e.Meta.Name }); err == nil {
				if x, ok := e.Granted(); ok {
					granted = append(granted, x)
				}
			}
		case KindGrace:
			var g Grace
			if err = readBook(r, &g, func() string { return string(g.Device) }); err == nil {
				b.graces[g.Device] = given{renewals: g.Renewed(), ended: g.endedAt()}
			}
		}
		if err != nil && refused != nil {
			refused(r.Kind, r.Key, err)
		}
	}
	slices.SortFunc(granted, func(x, y policy.Exception) int { return strings.Compare(x.Meta.Name, y.Meta.Name) })
	b.gather(granted)
	return b
}

// readBook reads a record that must stand under its own key: a signed one that was moved is still signed, if not there.
func readBook(r *signals.Record, into any, key func() string) error {
	if err := json.Unmarshal(r.Value, into); err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	if key() != r.Key {
		return errors.New("it stands under another key than its own")
	}
	return nil
}

// gather puts exceptions that are judged together into one group (union-find over what they have in common).
func (b *Book) gather(granted []policy.Exception) {
	parent := make([]int, len(granted))
	for i := range parent {
		parent[i] = i
	}
	root := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	first := map[any]int{} // by name (string) or device (signals.Alias): one that has it
	join := func(what any, i int) {
		if other, found := first[what]; found {
			parent[root(i)] = root(other)
			return
		}
		first[what] = i
	}
	devices := make([][]signals.Alias, len(granted))
	for i := range granted {
		devices[i] = policy.DevicesOf(&granted[i])
		join(granted[i].Meta.Name, i)
		if granted[i].Renews != "" {
			join(granted[i].Renews, i)
		}
		for _, device := range devices[i] {
			join(device, i)
		}
	}
	at := map[int]int{} // root to its place in groups
	for i := range granted {
		n, found := at[root(i)]
		if !found {
			n = len(b.groups)
			at[root(i)] = n
			b.groups = append(b.groups, group{})
		}
		g := &b.groups[n]
		g.exceptions = append(g.exceptions, granted[i])
		if ends := granted[i].Until.Add(remembered); ends.After(g.ends) {
			g.ends = ends
		}
		for _, device := range devices[i] {
			b.concerns[device] = n
		}
	}
}

// Granted are the exceptions that a decision about a device must be given (policy.Input.Granted), by the name that the
// subject's proof has and by those of its posture: with them it comes to the same verdict as with all that were granted.
// Nil: there are none, or all ended a day ago or earlier. Nobody may change the result. It allocates only for a device whose names
// are found in exceptions that have nothing in common.
func (b *Book) Granted(shown signals.Alias, known []signals.Alias, at time.Time) []policy.Exception {
	if b == nil || len(b.concerns) == 0 {
		return nil
	}
	var found []policy.Exception
	last, others := -1, []int(nil)
	look := func(alias signals.Alias) {
		n, ok := b.concerns[alias]
		if !ok || n == last || slices.Contains(others, n) || !at.Before(b.groups[n].ends) {
			return
		}
		if last < 0 {
			last, found = n, b.groups[n].exceptions
			return
		}
		others = append(others, n)
		found = slices.Concat(found, b.groups[n].exceptions)
	}
	look(shown)
	for _, alias := range known {
		if alias != shown {
			look(alias)
		}
	}
	return found
}

// Grace is what was said of a device's grace (policy.Device.Renewals and GraceEnded). Nobody may change the renewals.
func (b *Book) Grace(device signals.DeviceID) (renewals []policy.Renewal, ended time.Time) {
	if b == nil || len(b.graces) == 0 {
		return nil, time.Time{}
	}
	g := b.graces[device]
	return g.renewals, g.ended
}

// InForce counts the exceptions of run time that a policy lets excuse something at an instant.
func (b *Book) InForce(p *policy.Policy, at time.Time) (n int) {
	if b == nil || p == nil {
		return 0
	}
	for i := range b.groups {
		all := b.groups[i].exceptions
		for j := range all {
			if all[j].State(at) == policy.ExceptionInForce && len(p.GrantFaults(all, j)) == 0 {
				n++
			}
		}
	}
	return n
}
