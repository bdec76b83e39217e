package policy

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// silence is what is known of a device's falling silent.
type silence struct {
	looked bool
	// proven: nothing was heard of the device since its first required signal aged out, while each of its sources has
	// since reported others.
	proven    bool
	starts    int64  // ns since 1970; when the first required signal ages out, math.MaxInt64 if none ever does
	unheard   string // a source that has told of no device since then
	graceEnds int64  // ns since 1970
	counted   int    // renewals that count
	ended     bool   // graceEnds is when somebody ended it
}

// findSilence looks once. The clock starts at the instant at which the first signal that is required aged out.
func (h *hearing) findSilence() {
	if h.silence.looked {
		return
	}
	h.silence.looked = true
	starts := int64(math.MaxInt64)
	for set := range h.each {
		for i := range set.demands {
			if d := &set.demands[i]; d.list == ListRequire {
				if agesOut, ok := h.assessment.agesOut(d); ok {
					starts = min(starts, agesOut)
				}
			}
		}
	}
	h.silence.starts = starts
	if starts >= h.at || h.assessment.newest > starts {
		return
	}
	for source := range strings.SplitSeq(h.assessment.sources.Value(), "\n") {
		heard, ok := h.in.Device.Heard[source]
		if !ok || nanos(heard) <= starts {
			h.silence.unheard = source
			return
		}
	}
	h.silence.proven = true
	h.silence.graceEnds, h.silence.counted = graceEnds(starts, h.assessment.newest, h.at, h.grace, h.in.Device.Renewals)
	h.silence.end(h.in.Device.GraceEnded, h.assessment.newest)
}

// end ends a grace that somebody ended after the device's last word: that one only, and for every tier, also if what a tier
// requires ages out only later. So no more is left of it, whatever is renewed then, until the device is heard of again.
func (s *silence) end(ended time.Time, lastWord int64) {
	if ended.IsZero() || nanos(ended) <= lastWord || nanos(ended) >= s.graceEnds {
		return
	}
	s.graceEnds, s.ended = max(nanos(ended), s.starts), true
}

// graceEnds adds the renewals that count to a grace: each made since the device's last word and before the grace had ended, no
// more than the tier allows. They do not count from the start of the grace: that is earlier the more a tier requires, and
// then to require more could admit.
func graceEnds(starts, lastWord, at int64, bound GraceBound, renewals []Renewal) (ends int64, count int) {
	ends = after(starts, bound.Offline)
	if len(renewals) == 0 || bound.Renewals == 0 {
		return ends, 0
	}
	inOrder := slices.SortedFunc(slices.Values(renewals), func(a, b Renewal) int { return a.At.Compare(b.At) })
	for _, r := range inOrder {
		made := nanos(r.At)
		if count == bound.Renewals || made > at {
			break
		}
		if made > lastWord && made <= ends {
			count++
			ends = after(ends, bound.Offline)
		}
	}
	return ends, count
}

// after adds without overflow.
func after(at int64, d time.Duration) int64 {
	if at > math.MaxInt64-int64(d) {
		return math.MaxInt64
	}
	return at + int64(d)
}

// covers tells whether an exception that is in force is about this subject, device, route and signal. devices are its
// devices, read.
func (h *hearing) covers(e *Exception, devices []signals.Alias, d *demand) bool {
	return slices.Contains(e.Signals, h.policy.signals[d.signal].name) && slices.Contains(e.Routes, h.route.name) &&
		h.coversSubject(e) && h.shortEnough(e) && h.coversDevice(devices)
}

func (h *hearing) coversSubject(e *Exception) bool {
	user := h.in.Subject.User
	return user != nil && slices.ContainsFunc(e.Subjects, func(s ExceptionSubject) bool {
		return s.Issuer == user.Issuer && (s.User != "" && s.User == user.Name || s.Group != "" && inGroup(user, s.Group))
	})
}

// shortEnough compares an exception with what the tier allows the subject's audiences.
func (h *hearing) shortEnough(e *Exception) bool {
	for i := range h.tier.stricter {
		if most := h.tier.stricter[i].exception; most != nil && h.stricter&(1<<i) != 0 && e.Until.Sub(e.From) > *most {
			return false
		}
	}
	return true
}

func (h *hearing) coversDevice(devices []signals.Alias) bool {
	for _, alias := range devices {
		if alias == h.in.Subject.Device || slices.Contains(h.in.Device.aliases(), alias) {
			return true
		}
	}
	return false
}

// grantable tells whether an exception that was granted at run time is one that the directory could hold.
func (h *hearing) grantable(e *Exception) bool {
	_, owned := h.policy.rules.teams[e.Meta.Owner]
	return owned && isDocumentName(e.Meta.Name) && len(h.policy.rules.faults(e, h.in.Granted)) == 0
}
