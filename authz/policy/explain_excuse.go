package policy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// ExplainedGrace is the clock of a device that fell silent.
type ExplainedGrace struct {
	Offline  time.Duration `json:"offline"`  // ns; how long it lasts, and each renewal adds
	Renewals int           `json:"renewals"` // how many may count
	// Starts is when the first signal that is required ages out; zero: none ever does.
	Starts time.Time `json:"starts,omitzero"`
	// Running: the device is silent, so that the clock runs or has run out. If not, Why says what is in the way.
	Running bool      `json:"running"`
	Why     string    `json:"why,omitempty"`
	Ends    time.Time `json:"ends,omitzero"`
	Over    bool      `json:"over,omitempty"`
	Counted int       `json:"counted"` // renewals that count
	Left    int       `json:"left"`    // renewals that may still be made, before the end
	// Ended is when somebody ended it, before its time; zero: nobody.
	Ended time.Time `json:"ended,omitzero"`
}

// explainGrace tells of the clock; nil if the tier gives no grace to this subject.
func (h *hearing) explainGrace() *ExplainedGrace {
	if h.grace.Offline == 0 {
		return nil
	}
	h.findSilence()
	s := &h.silence
	g := &ExplainedGrace{Offline: h.grace.Offline, Renewals: h.grace.Renewals, Starts: instant(s.starts),
		Running: s.proven}
	switch {
	case s.proven:
		g.Ends = instant(s.graceEnds)
		g.Over = h.at >= s.graceEnds
		g.Counted = s.counted
		if s.ended {
			g.Ended = h.in.Device.GraceEnded.UTC()
		} else if !g.Over {
			g.Left = h.grace.Renewals - g.Counted
		}
	case g.Starts.IsZero():
		g.Why = "nobody has ever said anything of the signals that are required"
	case s.starts >= h.at:
		g.Why = "no signal that is required has aged out yet"
	case s.unheard != "":
		g.Why = "source " + s.unheard + " has told of no device since, so it may be the source that is silent " +
			"and not the device"
	default:
		g.Why = "the device has been heard of since, so it is not silent"
	}
	return g
}

// ExplainedException is an exception that is about this user or this device.
type ExplainedException struct {
	Name    string    `json:"name"`
	Granted bool      `json:"granted,omitempty"` // at run time; else it stands in the policy
	State   string    `json:"state"`             // pending, in force, ended
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
	Ticket  string    `json:"ticket"`
	Owner   string    `json:"owner"`
	Signals []string  `json:"signals"`
	// Excuses are the demands that it excuses in this verdict.
	Excuses []string `json:"excuses,omitempty"`
	// Misses say why it does not count at all; empty: it counts for its signals.
	Misses []string `json:"misses,omitempty"`
}

// explainExceptions tells of each exception that names this device or this user; of others nobody would ask.
func (h *hearing) explainExceptions(e *Explanation) []ExplainedException {
	var all []ExplainedException
	add := func(x *Exception, granted bool) {
		devices := devicesOf(x)
		if !h.coversSubject(x) && !h.coversDevice(devices) {
			return
		}
		told := ExplainedException{Name: x.Meta.Name, Granted: granted, State: x.State(h.in.At).String(), From: x.From.UTC(),
			Until: x.Until.UTC(), Ticket: x.Ticket, Owner: x.Meta.Owner, Signals: x.Signals,
			Misses: h.misses(x, devices, granted)}
		for i := range e.Signals {
			s := &e.Signals[i]
			if s.By == WaivedByException && s.ByName == x.Meta.Name && len(told.Misses) == 0 &&
				!slices.Contains(told.Excuses, s.Signal) {
				told.Excuses = append(told.Excuses, s.Signal)
			}
		}
		all = append(all, told)
	}
	for i := range h.policy.spec.Exceptions {
		add(&h.policy.spec.Exceptions[i], false)
	}
	for i := range h.in.Granted {
		add(&h.in.Granted[i], true)
	}
	slices.SortStableFunc(all, func(a, b ExplainedException) int {
		return cmp.Or(cmp.Compare(len(a.Misses), len(b.Misses)), strings.Compare(a.Name, b.Name))
	})
	return all
}

// misses are all conditions of covers, State and grantable that an exception does not meet.
func (h *hearing) misses(x *Exception, devices []signals.Alias, granted bool) []string {
	var misses []string
	miss := func(met bool, why string) {
		if !met {
			misses = append(misses, why)
		}
	}
	switch x.State(h.in.At) {
	case ExceptionPending:
		misses = append(misses, "it has not begun")
	case ExceptionEnded:
		misses = append(misses, "it has ended")
	case ExceptionInForce:
	}
	miss(slices.Contains(x.Routes, h.route.name), "it is for other routes: "+strings.Join(x.Routes, ", "))
	miss(h.coversSubject(x), "it is for other people")
	miss(h.coversDevice(devices), "it is for other devices: "+strings.Join(x.Devices, ", "))
	miss(h.shortEnough(x), "it lasts longer than this tier allows for an audience of the user")
	asked := false
	for of := range h.each {
		for i := range of.demands {
			d := &of.demands[i]
			asked = asked || (d.list == ListRequire || d.list == ListStepUp) &&
				slices.Contains(x.Signals, h.policy.signals[d.signal].name)
		}
	}
	miss(asked, "the tier asks for none of its signals in a way that can be excused: "+strings.Join(x.Signals, ", "))
	miss(!granted || h.grantable(x), "it was granted at run time and is not one that the policy could itself hold")
	return misses
}
