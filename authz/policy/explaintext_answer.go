package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// answer tells the person who asked what happened and why, in a few sentences.
func (e *Explanation) answer() []string {
	v := &e.Verdict
	what := "The request to " + short(e.Request.Host+e.Request.Path)
	if what == "The request to " {
		what = "The request"
	}
	var said []string
	switch {
	case v.Monitored != nil:
		said = append(said, fmt.Sprintf("%s was let through, but only because protection level %s watches for now "+
			"and does not refuse yet. Otherwise %s.", what, quoted(v.Tier), hypothetical(v.Monitored)))
		said = append(said, e.because(v.Monitored.Reason))
	case v.Outcome == Allow:
		said = append(said, what+" was let through.")
	case v.Outcome == StepUp:
		said = append(said, what+" has to wait until "+awaited(v.Challenge)+".", e.because(v.Reason))
	default:
		said = append(said, what+" was refused.", e.because(v.Reason))
	}
	said = append(said, e.shortfalls(v.Unmet)...)
	if f := v.Fallback; f != nil {
		where := "route " + quoted(f.Route)
		if f.URL != "" {
			where += ", " + f.URL
		}
		said = append(said, fmt.Sprintf("Until %s there is a fallback for such devices: %s.", e.when(f.Until), where))
	}
	return append(said, e.waivers()...)
}

func hypothetical(m *Monitored) string {
	if m.Outcome == StepUp {
		return "it would have had to wait for a login"
	}
	return "it would have been refused"
}

// spokenMost is how many checks are named aloud; the grounds have them all.
const spokenMost = 3

// shortfalls say of each check that was not met what is the matter.
func (e *Explanation) shortfalls(unmet []Unmet) []string {
	var said []string
	for i := range unmet {
		if i == spokenMost {
			return append(said, fmt.Sprintf("%s more %s not met; see below.", plural(len(unmet)-i, "check"),
				map[bool]string{true: "is", false: "are"}[len(unmet)-i == 1]))
		}
		said = append(said, e.shortfall(&unmet[i]))
	}
	return said
}

func (e *Explanation) shortfall(u *Unmet) string {
	s := e.signalOf(u)
	check := "Check " + quoted(u.Signal)
	switch {
	case u.Status == StatusFailing:
		return check + " fails" + e.by(s) + "."
	case s == nil || len(s.Sources) == 0:
		return check + " cannot be answered: " + u.Detail + "."
	}
	stale := s.lastCounted()
	if stale.IsZero() {
		return check + " cannot be answered: what is reported of the device does not say it."
	}
	return fmt.Sprintf("Check %s cannot be answered any more: the last report on it counted until %s, and none has "+
		"come since.", quoted(u.Signal), e.when(stale))
}

// by names the sources that fail a signal, and whether that is old.
func (e *Explanation) by(s *ExplainedSignal) string {
	if s == nil {
		return ""
	}
	var fresh, old []string
	for i := range s.Sources {
		v := &s.Sources[i]
		switch {
		case v.Counts && v.Fresh && v.Status == StatusFailing:
			fresh = append(fresh, v.Source)
		case v.Alarm && s.List == ListDenyUnless:
			old = append(old, v.Source)
		}
	}
	switch {
	case len(fresh) > 0:
		return ", as " + series(fresh) + " " + verb(fresh, "reports", "report")
	case len(old) > 0:
		return ": " + series(old) + " raised an alarm, and an alarm does not age; it stands until " + series(old) +
			" " + verb(old, "says", "say") + " that all is well again"
	}
	return ""
}

func verb(who []string, one, many string) string {
	if len(who) == 1 {
		return one
	}
	return many
}

// signalOf finds what is explained of an unmet demand: of several the one of its status.
func (e *Explanation) signalOf(u *Unmet) *ExplainedSignal {
	at := slices.IndexFunc(e.Signals, func(s ExplainedSignal) bool {
		return s.Signal == u.Signal && s.List == u.List && s.Status == u.Status
	})
	if at < 0 {
		return nil
	}
	return &e.Signals[at]
}

// waivers say what was excused. They are part of the answer: they end.
func (e *Explanation) waivers() []string {
	var said []string
	for i := range e.Verdict.Waived {
		w := &e.Verdict.Waived[i]
		state := "fails"
		if w.Status == StatusUnknown {
			state = "cannot be answered"
		}
		said = append(said, fmt.Sprintf("Check %s %s; that is excused until %s by %s.", quoted(w.Signal), state,
			e.when(w.Until), excuser(w)))
	}
	return said
}

func excuser(w *Waived) string {
	switch w.By {
	case WaivedByException:
		return "exception " + quoted(w.Name)
	case WaivedByGrace:
		return "grace, the time for which a device that fell silent keeps its last good state"
	case WaivedByLastKnown:
		return "its last known state, which holds for a while when a source of reports falls silent"
	}
	return string(w.By) + " " + w.Name
}

// advice tells the person what to do, and whom to ask.
func (e *Explanation) advice() []string {
	v := &e.Verdict
	reason := v.Reason
	if v.Monitored != nil {
		reason = v.Monitored.Reason
	}
	var said []string
	if v.Outcome != Allow {
		if does := reasons[reason].todo; does != "" {
			said = append(said, does)
		}
	}
	if reason == ReasonStepUp && v.Challenge != nil {
		said = append(said, steppingUp(v.Challenge))
	}
	for i := range v.Unmet {
		u := &v.Unmet[i]
		if fix := fixOf(&u.Fix); fix != "" && i < spokenMost && e.mends(u) {
			said = append(said, "For "+quoted(u.Signal)+": "+fix)
		}
	}
	if e.silent() {
		said = append(said, "Connect the device to the network and leave it on until it has reported again.")
	}
	ask := v.contacts()
	switch {
	case v.Outcome == Allow && len(v.Unmet) == 0 && len(v.Waived) == 0 && v.Monitored == nil:
		return nil
	case v.Outcome == Allow && len(said) == 0:
		said = append(said, "Nothing now; what is excused today may be refused after that.")
		if len(ask) > 0 {
			said = append(said, "If it has to last longer, ask "+anyOf(ask)+" in time.")
		}
	case len(ask) > 0:
		said = append(said, "If that does not help, ask "+anyOf(ask)+".")
	}
	return said
}

// contacts are whom to ask: of what is unmet its owners, else the tier's.
func (v *Verdict) contacts() []string {
	var all []string
	for i := range v.Unmet {
		if who := v.Unmet[i].Contact; who != "" && !slices.Contains(all, who) {
			all = append(all, who)
		}
	}
	if len(all) == 0 && v.Contact != "" {
		all = []string{v.Contact}
	}
	return all
}

// silent tells whether something is unmet or excused because the device has not been heard of since it aged out.
func (e *Explanation) silent() bool {
	byLastKnown := slices.ContainsFunc(e.Verdict.Waived, func(w Waived) bool { return w.By == WaivedByLastKnown })
	return !byLastKnown && slices.ContainsFunc(e.Signals, func(s ExplainedSignal) bool {
		return (s.Effect == EffectUnmet || s.Effect == EffectWaived) && e.agedOut(&s)
	})
}

// agedOut tells whether a signal is unknown for want of a report on the device, which once gave one.
func (e *Explanation) agedOut(s *ExplainedSignal) bool {
	until := s.lastCounted()
	return s.Status == StatusUnknown && !until.IsZero() && !e.Device.LastWord.After(until)
}

// lastCounted is the last instant at which some word counted; zero: none ever did.
func (s *ExplainedSignal) lastCounted() (at time.Time) {
	for i := range s.Sources {
		if v := &s.Sources[i]; v.Counts && v.Until.After(at) {
			at = v.Until
		}
	}
	return at
}

// mends tells whether the fix of a signal is what helps: not if the device is only silent, and of an alarm that nobody
// raised there is nothing to mend.
func (e *Explanation) mends(u *Unmet) bool {
	s := e.signalOf(u)
	return u.Status == StatusFailing || s == nil || !e.agedOut(s) && u.List != ListDenyUnless
}

func fixOf(f *Fix) string {
	text := strings.TrimRight(strings.TrimSpace(f.Text), ".")
	switch {
	case f.URL == "":
	case text == "":
		text = "See " + f.URL
	default:
		text += " (" + f.URL + ")"
	}
	return sentence(text)
}
