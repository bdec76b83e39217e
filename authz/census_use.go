package authz

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
)

// usedDay is what was decided in one day (UTC) since the last flush.
type usedDay struct {
	day    int64 // days since 1970
	tiers  atomic.Pointer[map[string]*usedTier]
	mu     sync.Mutex // orders the making of tiers, and guards exceptions
	excuse map[string]*inventory.ExceptionUse
	told   bool // its record was written at least once; guarded by Census.daysMu
}

type usedTier struct {
	allowed, refused, byException, byGrace, byLastKnown atomic.Uint64
}

const daySeconds = 24 * 60 * 60

// used counts a decision for its tier.
func (c *Census) used(d *Decision, at int64) {
	v := &d.Verdict
	if v.Tier == "" {
		return
	}
	day := c.day(at / (daySeconds * int64(time.Second)))
	tier := day.tier(v.Tier)
	if v.Outcome != policy.Allow {
		tier.refused.Add(1)
		return
	}
	tier.allowed.Add(1)
	if len(v.Waived) > 0 {
		day.carried(d, tier)
	}
}

// carried counts what carried a decision: each sort, and each exception, once.
func (u *usedDay) carried(d *Decision, tier *usedTier) {
	u.mu.Lock()
	defer u.mu.Unlock()
	waived := d.Verdict.Waived
	for i := range waived {
		w := &waived[i]
		before := func(same func(*policy.Waived) bool) bool {
			for j := range i {
				if waived[j].By == w.By && same(&waived[j]) {
					return true
				}
			}
			return false
		}
		if !before(func(*policy.Waived) bool { return true }) {
			tier.by(w.By)
		}
		if w.By == policy.WaivedByException && !before(func(o *policy.Waived) bool { return o.Name == w.Name }) {
			x := u.excuse[w.Name]
			if x == nil {
				x = &inventory.ExceptionUse{}
				u.excuse[strings.Clone(w.Name)] = x
			}
			x.Count++
			if d.At.After(x.Last) {
				x.Last = d.At.Round(0).UTC()
			}
		}
	}
}

func (t *usedTier) by(w policy.Waiver) {
	switch w {
	case policy.WaivedByException:
		t.byException.Add(1)
	case policy.WaivedByGrace:
		t.byGrace.Add(1)
	case policy.WaivedByLastKnown:
		t.byLastKnown.Add(1)
	}
}

// day is the counter of a day.
func (c *Census) day(day int64) *usedDay {
	if newest := c.today.Load(); newest != nil && newest.day == day {
		return newest
	}
	c.daysMu.Lock()
	defer c.daysMu.Unlock()
	u := c.days[day]
	if u == nil {
		u = newUsedDay(day)
		c.days[day] = u
	}
	if newest := c.today.Load(); newest == nil || newest.day < day {
		c.today.Store(u)
	}
	return u
}

// takeDays is what was counted of all days since the last time, of today at least once also if that is nothing. Days of which
// something before could not be written go on counting. A day that is over goes once there was nothing more of it: a decision
// that began on it may still be under way.
func (c *Census) takeDays() []*inventory.Use {
	today := c.opts.Now().Unix() / daySeconds
	c.day(today)
	c.daysMu.Lock()
	defer c.daysMu.Unlock()
	var all []*inventory.Use
	for day, u := range c.days {
		if _, waits := c.pending[censusKey{inventory.UseKind, u.name() + " " + c.opts.Sidecar}]; waits {
			continue
		}
		use := u.take(c.opts.Sidecar)
		switch nothing := len(use.Tiers)+len(use.Exceptions) == 0; {
		case !nothing || day == today && !u.told:
			u.told = true
			all = append(all, use)
		case day != today && u != c.today.Load():
			delete(c.days, day)
		}
	}
	return all
}

func newUsedDay(day int64) *usedDay {
	u := &usedDay{day: day, excuse: map[string]*inventory.ExceptionUse{}}
	u.tiers.Store(&map[string]*usedTier{})
	return u
}

func (u *usedDay) tier(name string) *usedTier {
	if t := (*u.tiers.Load())[name]; t != nil {
		return t
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	now := *u.tiers.Load()
	if t := now[name]; t != nil {
		return t
	}
	more := maps.Clone(now)
	t := &usedTier{}
	more[strings.Clone(name)] = t
	u.tiers.Store(&more)
	return t
}

func (u *usedDay) name() string { return time.Unix(u.day*daySeconds, 0).UTC().Format(time.DateOnly) }

// take is what was counted since the last time. There is something to say of a day also if it is nothing.
func (u *usedDay) take(sidecar string) *inventory.Use {
	out := &inventory.Use{Day: u.name(), Sidecar: sidecar, Tiers: map[string]inventory.TierUse{}}
	u.mu.Lock()
	defer u.mu.Unlock()
	for name, t := range *u.tiers.Load() {
		use := inventory.TierUse{Allowed: t.allowed.Swap(0), Refused: t.refused.Swap(0), ByException: t.byException.Swap(0),
			ByGrace: t.byGrace.Swap(0), ByLastKnown: t.byLastKnown.Swap(0)}
		if use != (inventory.TierUse{}) {
			out.Tiers[name] = use
		}
	}
	for name, x := range u.excuse {
		if out.Exceptions == nil {
			out.Exceptions = map[string]inventory.ExceptionUse{}
		}
		out.Exceptions[name] = *x
	}
	clear(u.excuse)
	return out
}
