package approvals

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// clearableFor is how long a request to clear an alarm may wait: what was seen then says less every day.
const clearableFor = 7 * 24 * time.Hour

// State is where a clearance stands: requested, refused, revoked, ended (nobody approved it in time), or in force for ever.
func (c *Clearance) State(at time.Time) State {
	state, asked := StateRequested, time.Time{}
	for i := range c.History {
		if c.History[i].At.After(at) {
			continue
		}
		switch c.History[i].Step {
		case StepRequested:
			asked = c.History[i].At
		case StepApproved:
			state = StateInForce
		case StepRefused:
			return StateRefused
		case StepRevoked:
			return StateRevoked
		case StepAgreed, StepNoticed:
		}
	}
	if state == StateRequested && !at.Before(asked.Add(clearableFor)) {
		return StateEnded
	}
	return state
}

// ClearanceListed is a clearance as it stands.
type ClearanceListed struct {
	Clearance
	Stands     State    `json:"state"`
	Awaits     []string `json:"awaits,omitempty"`
	MayApprove []string `json:"mayApprove,omitempty"`
}

func listedClearance(p *policy.Policy, c Clearance, at time.Time) ClearanceListed {
	l := ClearanceListed{Clearance: c, Stands: c.State(at)}
	if l.Stands == StateRequested {
		l.Awaits = awaited(p, c.History, c.owners(p))
		l.MayApprove = MayApprove(p, l.Awaits)
	}
	return l
}

// RequestClear asks that an alarm of a device be ended. Of c, Device (its serial number, KIND:VALUE, or id) and Signal are
// read; what it ends is what is known at this moment. Whoever asks is anybody; somebody else approves.
func (d *Desk) RequestClear(ctx context.Context, who Caller, c Clearance, reason, ticket string) (ClearanceListed, error) {
	p, err := d.policy()
	if err != nil {
		return ClearanceListed{}, err
	}
	if err := words(reason, ticket); err != nil {
		return ClearanceListed{}, err
	}
	if len(p.AlarmTiers(c.Signal)) == 0 {
		return ClearanceListed{}, refuse(RuleNothing, "correct the signal's name, or wait for the next report", "no tier "+
			"denies unless signal %q holds, so there is no alarm to clear", c.Signal)
	}
	at := d.Now().UTC()
	if c, err = d.alarm(ctx, p, c, at); err != nil {
		return ClearanceListed{}, err
	}
	waiting := 0
	err = each(ctx, d.Records, KindClearance, func(_ string, old Clearance) {
		if old.State(at) == StateRequested {
			waiting++
		}
	})
	switch {
	case err != nil:
		return ClearanceListed{}, err
	case waiting >= maxOpen:
		return ClearanceListed{}, refuse(RuleRefusedCount, "approve or refuse some first", "%d clearances wait to be approved", maxOpen)
	}
	event := Event{At: at, By: who.Person, Step: StepRequested, Reason: reason, Ticket: ticket}
	c.Name, c.History = "clearance-"+d.Random(), []Event{event}
	if err := d.write(ctx, KindClearance, c.Name, c, 0, at, at); err != nil {
		return ClearanceListed{}, again(ctx, func() error { return err })
	}
	d.told(ctx, KindClearance, c.Name, &event, p)
	return listedClearance(p, c, at), nil
}

// alarm finds what a clearance would end.
func (d *Desk) alarm(ctx context.Context, p *policy.Policy, c Clearance, at time.Time) (Clearance, error) {
	posture, _, err := d.device(ctx, string(c.Device))
	if err != nil {
		return Clearance{}, err
	}
	c.Device, c.Ends = posture.Device, p.AlarmFacts(&posture, c.Signal)
	if len(c.Ends) == 0 {
		return Clearance{}, refuse(RuleNothing, "see tiergate device get", "no source's last word on device %s fails signal %q",
			posture.Device, c.Signal)
	}
	for i := range c.Ends {
		if f := &c.Ends[i]; f.Observed.After(at) {
			return Clearance{}, refuse(RuleAhead, "wait until then and ask again, and set that source's clock", "source %s says that it saw %s "+
				"at %s: what it sees before that would be cleared unseen", f.Source, f.Attribute, f.Observed.UTC().Format(time.RFC3339))
		}
	}
	return c, nil
}

// owners are the teams of whom each must approve: of the tiers that deny unless the signal holds, or another that reads what
// would be ended.
func (c *Clearance) owners(p *policy.Policy) []string {
	attributes := make([]string, 0, len(c.Ends))
	for i := range c.Ends {
		attributes = append(attributes, c.Ends[i].Attribute)
	}
	return owners(p.AlarmTiers(c.Signal, attributes...))
}

// Cleared is what the clearance ends, as postures have it; none unless it is in force.
func (c *Clearance) Cleared(at time.Time) []signals.Clearance {
	if c.State(at) != StateInForce {
		return nil
	}
	all := make([]signals.Clearance, 0, len(c.Ends))
	for i := range c.Ends {
		f := &c.Ends[i]
		all = append(all, signals.Clearance{Attribute: f.Attribute, Source: f.Source, Until: f.Observed, Name: c.Name})
	}
	return all
}

// ApproveClear ends the alarm, with the last team that must approve. What has been seen since is not ended, and if nothing
// else is left there is nothing to approve.
func (d *Desk) ApproveClear(ctx context.Context, who Caller, name, reason string) (ClearanceListed, error) {
	return d.clearStep(ctx, name, func(p *policy.Policy, c *Clearance, at time.Time) (Event, error) {
		posture, err := d.Postures.Posture(ctx, c.Device)
		if err != nil {
			return Event{}, fmt.Errorf("device %s cannot be looked at: %w; nothing was written", c.Device, err)
		}
		if !slices.ContainsFunc(c.Ends, func(f signals.Fact) bool { return slices.Contains(posture.Facts, f) }) {
			return Event{}, refuse(RuleTooLate, "look at the device again, and ask again", "device %s reports something else than when "+
				"clearance %q was asked for", c.Device, name)
		}
		step, err := approval(p, who, c.History, c.owners(p), subjectsOf(users(&posture)))
		step.At, step.Reason = at, reason
		return step, err
	})
}

// RefuseClear says no, for good: by anybody who may approve it.
func (d *Desk) RefuseClear(ctx context.Context, who Caller, name, reason string) (ClearanceListed, error) {
	return d.clearStep(ctx, name, func(p *policy.Policy, c *Clearance, at time.Time) (Event, error) {
		if strings.TrimSpace(reason) == "" {
			return Event{}, refuse(RuleMissing, "say it: --reason", "the reason is missing")
		}
		err := mayApprove(p, who, c.History, c.owners(p), nil)
		return Event{At: at, By: who.Person, Step: StepRefused, Reason: reason}, err
	})
}

func (d *Desk) clearStep(
	ctx context.Context, name string, decide func(*policy.Policy, *Clearance, time.Time) (Event, error),
) (out ClearanceListed, err error) {
	p, err := d.policy()
	if err != nil {
		return out, err
	}
	err = again(ctx, func() error {
		var c Clearance
		revision, err := d.read(ctx, KindClearance, name, &c)
		switch {
		case err != nil:
			return err
		case revision == 0 || c.Name != name:
			return refuse(RuleNotFound, "see the list of clearances", "there is no clearance %q", name)
		}
		at := d.Now().UTC()
		switch state := c.State(at); state {
		case StateRequested:
		case StateEnded:
			return refuse(RuleTooLate, "look at the device again, and ask again", "clearance %q was asked for more than %s ago", name, clearableFor)
		default:
			return refuse(RuleState, "", "clearance %q is %s", name, state)
		}
		event, err := decide(p, &c, at)
		if err != nil {
			return err
		}
		c.History = append(c.History, event)
		if err := d.write(ctx, KindClearance, name, c, revision, at, at); err != nil {
			return err
		}
		d.told(ctx, KindClearance, name, &event, p)
		out = listedClearance(p, c, at)
		return nil
	})
	return out, err
}

// Clearances lists them, sorted by name.
func (d *Desk) Clearances(ctx context.Context) ([]ClearanceListed, error) {
	p, err := d.policy()
	if err != nil {
		return nil, err
	}
	at, list := d.Now().UTC(), []ClearanceListed{}
	err = each(ctx, d.Records, KindClearance, func(key string, c Clearance) {
		if c.Name == key {
			list = append(list, listedClearance(p, c, at))
		}
	})
	slices.SortFunc(list, func(a, b ClearanceListed) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// ClearancesInForce are those that were approved, whatever today's policy says: what they ended stays so.
func (d *Desk) ClearancesInForce(ctx context.Context) ([]Clearance, error) {
	at, all := d.Now().UTC(), []Clearance(nil)
	err := each(ctx, d.Records, KindClearance, func(key string, c Clearance) {
		if c.Name == key && c.State(at) == StateInForce {
			all = append(all, c)
		}
	})
	return all, err
}
