package policydiff

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// Step is what becomes of an answer, the most loosened first.
type Step uint8

// The steps.
const (
	DenyToAllow Step = iota
	StepUpToAllow
	DenyToStepUp
	AllowToDeny
	StepUpToDeny
	AllowToStepUp
	Elsewhere // still allowed, but to another upstream
	Otherwise // the same answer for another reason, or by another route or tier
	Same
	steps // how many there are
)

var stepWords = [...]string{"deny → allow", "step-up → allow", "deny → step-up", "allow → deny", "step-up → deny",
	"allow → step-up", "allow → another upstream", "same answer, other grounds", "same"}

func (s Step) String() string { return stepWords[s] }

// MarshalText writes the words.
func (s Step) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Loosened, and Tightened, tell the direction of a step.
func (s Step) Loosened() bool { return s <= DenyToStepUp }

// Tightened tells that the answer is worse.
func (s Step) Tightened() bool { return s >= AllowToDeny && s <= AllowToStepUp }

// Class is what a recorded decision came to under the old policy and under the new one.
type Class struct {
	Was       policy.Outcome `json:"was"`
	WasReason policy.Reason  `json:"wasReason"`
	Is        policy.Outcome `json:"is"`
	IsReason  policy.Reason  `json:"isReason"`
	Step      Step           `json:"step"`
}

// Judged is one recorded decision, judged under both policies.
type Judged struct {
	Class
	Route, Tier string // by the policy that found one, the new one's first
	Subject     string
	Device      string
	Unmet       []policy.Unmet    // what the new policy finds unmet, where it tightens
	Monitored   *policy.Monitored // what the old policy would have said, were its tier enforced
	WasUnmet    []policy.Unmet    // of Monitored
}

// Judge judges one input under both policies. The route that Envoy chose belongs to the table it held; see the package
// comment. A fault in an evaluation is the denial that it would be at run time.
func (j *Judge) Judge(in *policy.Input) Judged {
	asked := *in
	asked.Request.Chosen = nil
	made := j.assess(&in.Device)
	was, is := evaluate(j.older, asked, made.older), evaluate(j.newer, asked, made.newer)
	judged := Judged{
		Class:   Class{Was: was.Outcome, WasReason: was.Reason, Is: is.Outcome, IsReason: is.Reason, Step: step(&was, &is)},
		Route:   short(cmp.Or(is.Route, was.Route)),
		Tier:    short(cmp.Or(is.Tier, was.Tier)),
		Subject: subjectOf(&in.Subject), Device: deviceOf(in),
		Monitored: was.Monitored,
	}
	if judged.Step.Tightened() {
		judged.Unmet = is.Unmet
	}
	if was.Monitored != nil {
		judged.WasUnmet = was.Unmet
	}
	return judged
}

func step(was, is *policy.Verdict) Step {
	switch {
	case was.Outcome == policy.Deny && is.Outcome == policy.Allow:
		return DenyToAllow
	case was.Outcome == policy.StepUp && is.Outcome == policy.Allow:
		return StepUpToAllow
	case was.Outcome < is.Outcome:
		return DenyToStepUp
	case was.Outcome == policy.Allow && is.Outcome == policy.Deny:
		return AllowToDeny
	case was.Outcome == policy.StepUp && is.Outcome == policy.Deny:
		return StepUpToDeny
	case was.Outcome > is.Outcome:
		return AllowToStepUp
	case is.Outcome == policy.Allow && was.Upstream != is.Upstream:
		return Elsewhere
	case was.Reason != is.Reason || was.Route != is.Route || was.Tier != is.Tier:
		return Otherwise
	}
	return Same
}

// subjectOf names who asked.
func subjectOf(s *identity.Subject) string {
	switch {
	case s.User != nil:
		return short("user " + s.User.Name + " of issuer " + s.User.Issuer)
	case s.Workload != "":
		return short(string(s.Workload))
	}
	return "(nobody)"
}

func deviceOf(in *policy.Input) string {
	if in.Subject.Device == (signals.Alias{}) {
		return "(no device)"
	}
	return short(in.Subject.Device.String())
}

// Row is one line of a list: how many answers change.
type Row struct {
	Name      string `json:"name"`
	Owner     string `json:"owner,omitempty"` // of a signal; of a route and tier, where the caller fills it in
	Loosened  int    `json:"loosened"`
	Tightened int    `json:"tightened"`
	Other     int    `json:"other,omitempty"`
	Step      Step   `json:"step"`    // the most loosened of its changes
	Example   string `json:"example"` // a decision of that step
}

// ClassRow is one line of the counts by what became of the answer.
type ClassRow struct {
	Class
	Count   int    `json:"count"`
	Example string `json:"example"` // the first such decision
}

// Top is a bounded list: the rows with the most loosened first.
type Top struct {
	Rows     []Row `json:"rows"`
	More     int   `json:"more,omitempty"`     // rows that are counted and not listed
	Distinct int   `json:"distinct"`           // how many there are
	AtLeast  bool  `json:"moreThan,omitempty"` // there are more: beyond a bound they are not told apart
}

// Report is what recorded decisions say of a change.
type Report struct {
	Judged     int         `json:"judged"`
	Changed    int         `json:"changed"` // those whose answer, upstream or grounds change
	Loosened   int         `json:"loosened"`
	Tightened  int         `json:"tightened"`
	Annulled   int         `json:"annulled"`
	Lost       uint64      `json:"lost"`
	Unreadable int         `json:"unreadable"`
	Outside    int         `json:"outside,omitempty"` // older than what was asked for
	NoPolicy   int         `json:"noPolicy"`          // refused before there was a policy; they tell nothing and are not judged
	First      time.Time   `json:"first,omitzero"`
	Last       time.Time   `json:"last,omitzero"`
	Steps      []StepCount `json:"steps"`
	Classes    []ClassRow  `json:"classes"`
	Routes     Top         `json:"routes"`
	Tiers      Top         `json:"tiers"`
	Subjects   Top         `json:"subjects"`
	Devices    Top         `json:"devices"`
	Signals    Top         `json:"signals"` // that the new policy finds unmet, where it tightens
	Monitored  *Watched    `json:"monitored,omitempty"`
}

// StepCount is how many answers make one step.
type StepCount struct {
	Step  Step `json:"step"`
	Count int  `json:"count"`
}

// Denied tells how many are newly refused: allowed or asked to step up before, denied now.
func (r *Report) Denied() (n int) {
	for _, s := range r.Steps {
		if s.Step == AllowToDeny || s.Step == StepUpToDeny {
			n += s.Count
		}
	}
	return n
}

// Unshown says what recorded decisions cannot show, in sentences.
func Unshown() []string {
	return []string{
		"only requests that came: who never asked, or was told not to, is in no record",
		"facts, logins and exceptions granted at run time as they were at each decision, and its instant: not as they are now",
		"Envoy is taken to have agreed on the route: its own choice belongs to the route table of that time",
	}
}

// Blast adds up judged decisions in bounded memory, whatever they hold. It is not safe for concurrent use.
type Blast struct {
	report   Report
	classes  map[Class]*ClassRow
	routes   *tally
	tiers    *tally
	subjects *tally
	devices  *tally
	signals  *tally
	watched  *watch
}

// NewBlast starts a report with at most rows lines in each list.
func NewBlast(rows int) *Blast {
	return &Blast{classes: map[Class]*ClassRow{}, routes: newTally(rows), tiers: newTally(rows), subjects: newTally(rows),
		devices: newTally(rows), signals: newTally(rows), watched: newWatch(rows)}
}

// Add counts one decision: its id (UUIDv7) and its instant.
func (b *Blast) Add(id string, at time.Time, j *Judged) {
	r := &b.report
	id = short(id)
	r.Judged++
	if r.First.IsZero() || at.Before(r.First) {
		r.First = at
	}
	if at.After(r.Last) {
		r.Last = at
	}
	b.watched.add(id, j)
	if j.Step == Same {
		return
	}
	r.Changed++
	if j.Step.Loosened() {
		r.Loosened++
	}
	if j.Step.Tightened() {
		r.Tightened++
	}
	class := b.classes[j.Class]
	if class == nil {
		class = &ClassRow{Class: j.Class, Example: id}
		b.classes[j.Class] = class
	}
	class.Count++
	b.routes.add(cmp.Or(j.Route, "(no route)"), "", id, j.Step)
	b.tiers.add(cmp.Or(j.Tier, "(no tier)"), "", id, j.Step)
	b.subjects.add(j.Subject, "", id, j.Step)
	b.devices.add(j.Device, "", id, j.Step)
	for i := range j.Unmet {
		b.signals.add(j.Unmet[i].Signal, j.Unmet[i].Owner, id, j.Step)
	}
}

// Annulled, Lost, Unreadable, Outside and NoPolicy count what is not judged.
func (b *Blast) Annulled() { b.report.Annulled++ }

// Lost counts decisions that are in no record.
func (b *Blast) Lost(n uint64) { b.report.Lost += n }

// Unreadable counts a line that cannot be read.
func (b *Blast) Unreadable() { b.report.Unreadable++ }

// Outside counts a decision that is older than what was asked for.
func (b *Blast) Outside() { b.report.Outside++ }

// NoPolicy counts a decision that was made before any policy was in force.
func (b *Blast) NoPolicy() { b.report.NoPolicy++ }

// Report is what was added up.
func (b *Blast) Report() *Report {
	r := b.report
	counts := [steps]int{}
	for _, c := range b.classes {
		counts[c.Step] += c.Count
		r.Classes = append(r.Classes, *c)
	}
	for s := range Same {
		if counts[s] > 0 {
			r.Steps = append(r.Steps, StepCount{s, counts[s]})
		}
	}
	slices.SortFunc(r.Classes, func(a, b ClassRow) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(b.Count, a.Count), cmp.Compare(fmt.Sprint(a.Class), fmt.Sprint(b.Class)))
	})
	r.Routes, r.Tiers, r.Signals = b.routes.top(), b.tiers.top(), b.signals.top()
	r.Subjects, r.Devices = b.subjects.top(), b.devices.top()
	r.Monitored = b.watched.report()
	return &r
}

// Judged tells how many were added so far.
func (b *Blast) Judged() int { return b.report.Judged }
