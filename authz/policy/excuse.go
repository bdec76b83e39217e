package policy

import (
	"cmp"
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
	h.silence.graceEnds = graceEnds(starts, h.assessment.newest, h.at, h.grace, h.in.Device.Renewals)
}

// graceEnds adds the renewals that count to a grace: each made since the device's last word and before the grace had ended, no
// more than the tier allows. They do not count from the start of the grace: that is earlier the more a tier requires, and
// then to require more could admit.
func graceEnds(starts, lastWord, at int64, bound GraceBound, renewals []Renewal) int64 {
	ends := after(starts, bound.Offline)
	if len(renewals) == 0 || bound.Renewals == 0 {
		return ends
	}
	inOrder := slices.SortedFunc(slices.Values(renewals), func(a, b Renewal) int { return a.At.Compare(b.At) })
	count := 0
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
	return ends
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

// loginSuffices judges the login of a user by what a tier wants of it. Freshness is the token's auth_time; exactly maxAge
// old is fresh.
func loginSuffices(d *StepUpDemand, in *Input) bool {
	user := in.Subject.User
	if user == nil {
		return false
	}
	if len(d.ACR) > 0 && !slices.Contains(d.ACR, user.ACR) {
		return false
	}
	if len(d.AMR) > 0 && !common(d.AMR, user.AMR) {
		return false
	}
	if d.MaxAge == 0 {
		return true
	}
	return !user.AuthTime.IsZero() && !user.AuthTime.After(in.At) && in.At.Sub(user.AuthTime) <= d.MaxAge
}

// harder joins two demands on a login: the shorter age, and the words that both accept; where they have none in common,
// those of the later demand, which is the one for the subject's audience.
func harder(c *Challenge, d *StepUpDemand) *Challenge {
	if c == nil {
		return &Challenge{ACR: d.ACR, AMR: d.AMR, MaxAge: d.MaxAge}
	}
	return &Challenge{ACR: both(c.ACR, d.ACR), AMR: both(c.AMR, d.AMR), MaxAge: cmp.Or(min(c.MaxAge, d.MaxAge), c.MaxAge, d.MaxAge)}
}

func both(a, b []string) []string {
	switch shared := slices.DeleteFunc(slices.Clone(a), func(word string) bool { return !slices.Contains(b, word) }); {
	case len(b) == 0:
		return a
	case len(shared) == 0: // a is empty, or there is nothing in common
		return b
	default:
		return shared
	}
}

// describeLogin tells the operator what the login was and what is wanted.
func describeLogin(c *Challenge, in *Input) string {
	user := in.Subject.User
	text := "the login has acr " + cmp.Or(user.ACR, "(none)")
	if user.AuthTime.IsZero() {
		text += " and no auth_time"
	} else {
		text += " and is " + in.At.Sub(user.AuthTime).Round(time.Second).String() + " old"
	}
	if c.MaxAge != 0 {
		text += "; at most " + c.MaxAge.String() + " is wanted"
	}
	return text
}
