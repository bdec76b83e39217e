package approvals

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// notYet stands for the approver of an exception that nobody has approved.
const notYet = "(not yet approved)"

// startsLate is how long an exception that was asked for may have begun: the time between writing it and asking.
const startsLate = 5 * time.Minute

// Request asks for an exception. From may be zero: now; Meta.Name empty: a random one; Meta.Owner empty: the team that owns
// its first tier. Who approves is not for the one who asks to say, so Approver is not read. It is refused if the policy
// could not hold it, so that nobody is asked to approve what would not count.
func (d *Desk) Request(ctx context.Context, who Caller, e policy.Exception) (Listed, error) {
	return d.request(ctx, who, e, "")
}

// Renew asks for another exception that continues one. It begins where that one ends, or now, and lasts until an instant or
// for so long; what it excuses is the same. It is a request like any other, with a name of its own, and counts as a renewal.
func (d *Desk) Renew(
	ctx context.Context, who Caller, name string, until time.Time, lasts time.Duration, reason, ticket string,
) (Listed, error) {
	p, err := d.policy()
	if err != nil {
		return Listed{}, err
	}
	var old policy.Exception
	if written := p.Written(name); written != nil {
		old = *written
	} else {
		var e Exception
		switch revision, err := d.read(ctx, KindException, name, &e); {
		case err != nil:
			return Listed{}, err
		case revision == 0:
			return Listed{}, d.unknownException(name)
		}
		granted, ok := e.Granted()
		if !ok {
			return Listed{}, refuse(RuleState, "ask for a new one: tiergate exception request",
				"exception %q is %s; only what was approved can be renewed", name, e.State(d.Now()))
		}
		old = granted
	}
	at := d.Now().UTC()
	e := old
	e.Meta.Name, e.Renews, e.Reason, e.Ticket, e.Until = nextName(name), name, reason, ticket, until
	if e.From = old.Until; e.From.Before(at) {
		e.From = at
	}
	if lasts > 0 {
		e.Until = e.From.Add(lasts)
	}
	return d.request(ctx, who, e, name)
}

var renewalName = regexp.MustCompile(`-r([1-9][0-9]{0,2})$`)

// nextName is the name of the renewal of an exception: ana-loaner, ana-loaner-r1, ana-loaner-r2.
func nextName(name string) string {
	n := 1
	if m := renewalName.FindStringSubmatch(name); m != nil {
		old, _ := strconv.Atoi(m[1]) // digits alone
		n, name = old+1, strings.TrimSuffix(name, m[0])
	}
	suffix := fmt.Sprintf("-r%d", n)
	return name[:min(len(name), 63-len(suffix))] + suffix
}

func (d *Desk) request(ctx context.Context, who Caller, e policy.Exception, renewed string) (Listed, error) {
	p, err := d.policy()
	if err != nil {
		return Listed{}, err
	}
	if err := words(e.Reason, e.Ticket); err != nil {
		return Listed{}, err
	}
	at := d.Now().UTC()
	if e.From.IsZero() {
		e.From = at
	}
	if e.Meta.Name == "" {
		e.Meta.Name = "exception-" + d.Random()
	}
	if tiers := p.ExceptionTiers(&e); e.Meta.Owner == "" && len(tiers) > 0 {
		e.Meta.Owner = tiers[0].Owner
	}
	e.Approver, e.From, e.Until = "", e.From.UTC(), e.Until.UTC()
	asked := Exception{Exception: e, History: []Event{{At: at, By: who.Person, Step: StepRequested, Reason: e.Reason, Ticket: e.Ticket}}}
	all, err := d.exceptions(ctx)
	if err != nil {
		return Listed{}, err
	}
	switch {
	case e.From.Before(at.Add(-startsLate)):
		return Listed{}, refuse(RulePast, "leave --from out, or write a later one", "the exception would have begun at %s",
			e.From.Format(time.RFC3339))
	case !at.Before(e.Until) && !e.Until.IsZero():
		return Listed{}, refuse(RulePast, "write a later end", "the exception would have ended at %s", e.Until.Format(time.RFC3339))
	case p.Written(e.Meta.Name) != nil || slices.ContainsFunc(all, func(x Exception) bool { return x.Meta.Name == e.Meta.Name }):
		return Listed{}, refuse(RuleName, "give this one a name of its own: --name", "there is an exception %q already", e.Meta.Name)
	case open(all, at) >= maxOpen:
		return Listed{}, refuse(RuleRefusedCount, "approve or refuse some first", "%d exceptions wait to be approved", maxOpen)
	}
	if err := judged(p, all, asked, at, false); err != nil {
		if renewed != "" {
			err = fmt.Errorf("exception %q cannot be renewed: %w", renewed, err)
		}
		return Listed{}, err
	}
	if err := d.write(ctx, KindException, e.Meta.Name, asked, 0, at, e.Until); err != nil {
		return Listed{}, again(ctx, func() error { return err }) // somebody took the name just now
	}
	d.told(ctx, KindException, e.Meta.Name, &asked.History[0], p)
	return listed(p, asked, append(all, asked), at), nil
}

func open(all []Exception, at time.Time) (n int) {
	for i := range all {
		if all[i].State(at) == StateRequested {
			n++
		}
	}
	return n
}

// judged refuses an exception that today's policy could not hold among all that were granted, or with which another that
// counts would count no more.
func judged(p *policy.Policy, all []Exception, e Exception, at time.Time, approved bool) error {
	others := grantedOf(all, e.Meta.Name)
	candidate := e.Exception
	if approved {
		candidate, _ = e.Granted()
	} else {
		candidate.Approver = notYet
	}
	among := append(slices.Clone(others), candidate)
	if faults := p.GrantFaults(among, len(among)-1); len(faults) > 0 {
		return faulty(RuleBounds, fmt.Sprintf("the policy could not hold exception %q", e.Meta.Name), faults)
	}
	for i := range others {
		if !at.Before(others[i].Until) || len(p.GrantFaults(others, i)) > 0 {
			continue
		}
		if faults := p.GrantFaults(among, i); len(faults) > 0 {
			return faulty(RuleOthers, fmt.Sprintf("exception %q would no longer count", others[i].Meta.Name), faults)
		}
	}
	return nil
}

// grantedOf are all exceptions that were granted, but for one.
func grantedOf(all []Exception, but string) []policy.Exception {
	var granted []policy.Exception
	for i := range all {
		if e, ok := all[i].Granted(); ok && e.Meta.Name != but {
			granted = append(granted, e)
		}
	}
	return granted
}

// Approve says yes. With the last team that must approve, the exception is granted, from then on.
func (d *Desk) Approve(ctx context.Context, who Caller, name, reason string) (Listed, error) {
	return d.step(ctx, name, func(p *policy.Policy, all []Exception, e *Exception, at time.Time) (Event, error) {
		if state := e.State(at); state != StateRequested {
			return Event{}, refuse(RuleState, "", "exception %q is %s", name, state)
		}
		step, err := approval(p, who, e.History, owners(p.ExceptionTiers(&e.Exception)), e.Subjects)
		if err != nil {
			return Event{}, err
		}
		step.At, step.Reason = at, reason
		after := *e
		after.History = append(slices.Clone(e.History), step)
		if step.Step == StepApproved {
			e.Approver, after.Approver = who.Name, who.Name
		}
		return step, judged(p, all, after, at, step.Step == StepApproved)
	})
}

// Refuse says no, for good: by anybody who may approve it.
func (d *Desk) Refuse(ctx context.Context, who Caller, name, reason string) (Listed, error) {
	return d.step(ctx, name, func(p *policy.Policy, _ []Exception, e *Exception, at time.Time) (Event, error) {
		if state := e.State(at); state != StateRequested {
			return Event{}, refuse(RuleState, "what was approved is revoked: tiergate exception revoke", "exception %q is %s", name, state)
		}
		if strings.TrimSpace(reason) == "" {
			return Event{}, refuse(RuleMissing, "say it: --reason", "the reason is missing")
		}
		err := mayApprove(p, who, e.History, owners(p.ExceptionTiers(&e.Exception)), e.Subjects)
		return Event{At: at, By: who.Person, Step: StepRefused, Reason: reason}, err
	})
}

// Revoke ends an exception, or a request, at once: by anybody who may approve it or who asked, and by whoever runs the
// receiver's machine. To take away takes no second person.
func (d *Desk) Revoke(ctx context.Context, who Caller, name, reason string) (Listed, error) {
	return d.step(ctx, name, func(p *policy.Policy, _ []Exception, e *Exception, at time.Time) (Event, error) {
		switch state := e.State(at); state {
		case StateRequested, StatePending, StateInForce:
		default:
			return Event{}, refuse(RuleState, "", "exception %q is %s", name, state)
		}
		if strings.TrimSpace(reason) == "" {
			return Event{}, refuse(RuleMissing, "say it: --reason", "the reason is missing")
		}
		asked := len(e.History) > 0 && e.History[0].By == who.Person
		teams := owners(p.ExceptionTiers(&e.Exception))
		if !asked && who.Way != WaySocket && len(mandates(p, who, teams)) == 0 {
			return Event{}, &Refusal{Rule: RuleUnnamed, Why: who.String() + " neither asked for it nor may approve it",
				MayApprove: MayApprove(p, teams)}
		}
		return Event{At: at, By: who.Person, Step: StepRevoked, Reason: reason}, nil
	})
}

// Noticed says that the owner was told of the coming end, once: false if it was said before.
func (d *Desk) Noticed(ctx context.Context, name string, by Person) (first bool, err error) {
	_, err = d.step(ctx, name, func(_ *policy.Policy, _ []Exception, e *Exception, at time.Time) (Event, error) {
		if first = !slices.ContainsFunc(e.History, func(h Event) bool { return h.Step == StepNoticed }); !first {
			return Event{}, errNothing
		}
		return Event{At: at, By: by, Step: StepNoticed}, nil
	})
	return first && err == nil, err
}

// errNothing ends a step that has nothing to write.
var errNothing = fmt.Errorf("nothing to write")

// step reads an exception, has decide judge what is to be done, and stores that, unless somebody was faster: then it is
// judged again.
func (d *Desk) step(
	ctx context.Context, name string, decide func(*policy.Policy, []Exception, *Exception, time.Time) (Event, error),
) (out Listed, err error) {
	p, err := d.policy()
	if err != nil {
		return Listed{}, err
	}
	err = again(ctx, func() error {
		var e Exception
		revision, err := d.read(ctx, KindException, name, &e)
		switch {
		case err != nil:
			return err
		case revision == 0 && p.Written(name) != nil:
			return refuse(RuleState, "change the document, as everything there", "exception %q stands in the policy directory", name)
		case revision == 0 || e.Meta.Name != name:
			return d.unknownException(name)
		}
		all, err := d.exceptions(ctx)
		if err != nil {
			return err
		}
		at := d.Now().UTC()
		event, err := decide(p, all, &e, at)
		if err == errNothing { //nolint:errorlint // it is never wrapped
			return nil
		}
		if err != nil {
			return err
		}
		e.History = append(e.History, event)
		if err := d.write(ctx, KindException, name, e, revision, at, e.Until); err != nil {
			return err
		}
		d.told(ctx, KindException, name, &event, p)
		out = listed(p, e, replaced(all, e), at)
		return nil
	})
	return out, err
}

func (d *Desk) unknownException(name string) error {
	return refuse(RuleNotFound, "see tiergate exception list", "there is no exception %q", name)
}

func replaced(all []Exception, e Exception) []Exception {
	others := slices.DeleteFunc(slices.Clone(all), func(x Exception) bool { return x.Meta.Name == e.Meta.Name })
	return append(others, e)
}

// exceptions are all of run time, sorted by name. A record under another name than its own counts for nothing.
func (d *Desk) exceptions(ctx context.Context) ([]Exception, error) {
	var all []Exception
	err := each(ctx, d.Records, KindException, func(key string, e Exception) {
		if e.Meta.Name == key {
			all = append(all, e)
		}
	})
	slices.SortFunc(all, func(a, b Exception) int { return strings.Compare(a.Meta.Name, b.Meta.Name) })
	return all, err
}
