package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// presence says whether something must be there; the zero presence does not ask.
type presence uint8

const (
	either presence = iota
	yes
	no
)

// want is what must come of a step. The zero want asks only that nothing goes wrong.
type want struct {
	status  int
	reason  string
	decided presence // the answer carries x-tiergate-decision-id
	// seen are headers that the upstream must have got exactly once, with this value or, for "*", any.
	seen   map[string]string
	unseen []string // headers that the upstream must not have got
	unmet  []unmet  // exactly these, each with a contact and a fix
	// challenge is all of WWW-Authenticate; empty: not asked.
	challenge string
	// excused is what the log must tell of what was excused, exactly; nil: not asked. See excuses.
	excused *[]string

	faultAtEdit bool // the fault names the place that was edited
	nothingLost bool
}

// unmet is one demand that a refusal must name.
type unmet struct{ signal, list, status, owner string }

func (u unmet) String() string {
	return fmt.Sprintf("%s (%s, %s, owner %s)", u.signal, u.list, u.status, u.owner)
}

// got is what came of a step.
type got struct {
	answer *stage.Answer // of a request
	err    error         // the step could not be done, or its answer cannot be right
	note   string        // what is worth telling besides
	lines  []string      // more of it, a line each

	excused []string // "SIGNAL by WAIVER", as the log tells it
	fault   string   // of the policy
	edited  string   // the place that was edited last
	traffic *tally
}

// differences compares; it says in words what is not as it should be.
func (w want) differences(g got) []string {
	var found []string
	if g.err != nil {
		if found = append(found, g.err.Error()); g.answer == nil {
			return found
		}
	}
	differ := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if w.status != 0 {
		if g.answer == nil {
			return append(found, fmt.Sprintf("there is no answer, want %d", w.status))
		}
		found = append(found, w.answerDifferences(g.answer)...)
	}
	if w.excused != nil && !slices.Equal(*w.excused, g.excused) {
		differ("the log tells that %q was excused, want %q", g.excused, *w.excused)
	}
	if w.faultAtEdit && !strings.Contains(g.fault, g.edited) {
		differ("the fault does not name %s: %q", g.edited, g.fault)
	}
	if w.nothingLost {
		switch {
		case g.traffic == nil || g.traffic.sent == 0:
			differ("there was no traffic that could have been lost")
		case g.traffic.lost > 0:
			differ("%d of %d requests were lost, the first: %s", g.traffic.lost, g.traffic.sent, g.traffic.first)
		}
	}
	return found
}

func (w want) answerDifferences(a *stage.Answer) []string {
	var found []string
	differ := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if a.Err != nil {
		return []string{fmt.Sprintf("no answer (%v), want %d", a.Err, w.status)}
	}
	if a.Status != w.status {
		differ("status %d, want %d", a.Status, w.status)
	}
	if w.reason != "" && a.Reason() != w.reason {
		differ("reason %q, want %q", a.Reason(), w.reason)
	}
	decided := len(a.Header.Values("x-tiergate-decision-id"))
	switch {
	case w.decided == yes && decided != 1:
		differ("%d headers x-tiergate-decision-id, want one", decided)
	case w.decided == no && decided != 0:
		differ("tiergate decided, want Envoy's own answer")
	}
	if a.Problem != nil && (a.Problem.Status != a.Status || a.Problem.DecisionID != a.DecisionID()) {
		differ("status %d and decision %q in the body are not those of the answer", a.Problem.Status, a.Problem.DecisionID)
	}
	if got := a.Header.Values("WWW-Authenticate"); w.challenge != "" && !slices.Equal(got, []string{w.challenge}) {
		differ("WWW-Authenticate is %q, want %q", got, w.challenge)
	}
	found = append(found, w.upstreamDifferences(a)...)
	return append(found, w.unmetDifferences(a)...)
}

func (w want) upstreamDifferences(a *stage.Answer) []string {
	if len(w.seen)+len(w.unseen) == 0 {
		return nil
	}
	if a.Echo == nil {
		return []string{"no upstream answered"}
	}
	var found []string
	for name, value := range w.seen {
		values := a.Echo.Headers[name]
		if len(values) != 1 || values[0] == "" || value != anyValue && values[0] != value {
			found = append(found, fmt.Sprintf("the upstream got %s %q, want [%q]", name, values, value))
		}
	}
	for _, name := range w.unseen {
		if values, has := a.Echo.Headers[name]; has {
			found = append(found, fmt.Sprintf("the upstream got %s %q, want none", name, values))
		}
	}
	if id := a.Echo.Headers["x-tiergate-decision-id"]; len(id) == 1 && id[0] != a.DecisionID() {
		found = append(found, fmt.Sprintf("the upstream was told decision %s, the client %s", id[0], a.DecisionID()))
	}
	slices.Sort(found)
	return found
}

func (w want) unmetDifferences(a *stage.Answer) []string {
	var named []stage.Unmet
	if a.Problem != nil {
		named = a.Problem.Unmet
	}
	var found []string
	var have []unmet
	for _, u := range named {
		have = append(have, unmet{u.Signal, u.List, u.Status, u.Owner})
		if u.Contact == "" || u.Fix.Text == "" {
			found = append(found, fmt.Sprintf("%s is named without a contact or a fix", u.Signal))
		}
	}
	for _, u := range w.unmet {
		if !slices.Contains(have, u) {
			found = append(found, fmt.Sprintf("not named: %s", u))
		}
	}
	for _, u := range have {
		if !slices.Contains(w.unmet, u) {
			found = append(found, fmt.Sprintf("named though not expected: %s", u))
		}
	}
	return found
}
