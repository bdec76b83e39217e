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

// GraceListed is how the grace of one device stands with the tiers that give any.
type GraceListed struct {
	Device  signals.DeviceID       `json:"device"`
	Aliases []signals.Alias        `json:"aliases,omitempty"`
	Tiers   []policy.GraceStanding `json:"tiers"`
	// History is what was said of its graces: renewals, and the last end.
	History []Event `json:"history,omitempty"`
}

// Running tells whether a tier is giving grace.
func (g *GraceListed) Running() bool {
	return slices.ContainsFunc(g.Tiers, func(t policy.GraceStanding) bool { return t.Running })
}

// Renewed are the renewals as decisions take them (policy.Device.Renewals): those after the last end.
func (g *Grace) Renewed() []policy.Renewal {
	var all []policy.Renewal
	for i := range g.Renewals {
		e := &g.Renewals[i]
		if g.Ended == nil || e.At.After(g.Ended.At) {
			all = append(all, policy.Renewal{At: e.At, By: e.By.String()})
		}
	}
	return all
}

func (g *Grace) endedAt() time.Time {
	if g.Ended == nil {
		return time.Time{}
	}
	return g.Ended.At
}

// fleet is what one walk over the postures found.
type fleet struct {
	heard map[string]time.Time
	found []signals.Posture
}

// walk reads all postures once: when each source last told of any device, and the postures that are wanted.
func (d *Desk) walk(ctx context.Context, want func(*signals.Posture) bool) (fleet, error) {
	f := fleet{heard: map[string]time.Time{}}
	_, err := d.Postures.EachPosture(ctx, func(p signals.Posture) error {
		for i := range p.Facts {
			if fact := &p.Facts[i]; fact.AgesFrom().After(f.heard[fact.Source]) {
				f.heard[fact.Source] = fact.AgesFrom()
			}
		}
		if want(&p) {
			f.found = append(f.found, p)
		}
		return nil
	}, nil)
	if err != nil {
		return f, fmt.Errorf("the postures cannot be read: %w", err)
	}
	return f, nil
}

// device finds the one that is named by its id, KIND:VALUE, or a serial number.
func (d *Desk) device(ctx context.Context, name string) (signals.Posture, fleet, error) {
	alias, err := signals.NewAlias(signals.AliasSerial, name)
	if strings.Contains(name, ":") {
		alias, err = signals.ParseAlias(name)
	}
	f, walked := d.walk(ctx, func(p *signals.Posture) bool {
		return string(p.Device) == name || err == nil && slices.Contains(p.Aliases, alias)
	})
	switch {
	case walked != nil:
		return signals.Posture{}, f, walked
	case len(f.found) == 0:
		return signals.Posture{}, f, refuse(RuleNotFound, "name it by its serial number, KIND:VALUE, or its id; see tiergate device list",
			"nobody has reported a device %q", name)
	case len(f.found) > 1:
		return signals.Posture{}, f, refuse(RuleContested, "name it by its id", "%d devices have the name %q", len(f.found), name)
	}
	return f.found[0], f, nil
}

// graceStep makes one step on the grace of a device.
func (d *Desk) graceStep(
	ctx context.Context, name string, decide func(p *policy.Policy, g *Grace, now *GraceListed, owner []string, at time.Time) (Event, error),
) (out GraceListed, err error) {
	p, err := d.policy()
	if err != nil {
		return out, err
	}
	posture, f, err := d.device(ctx, name)
	if err != nil {
		return out, err
	}
	err = again(ctx, func() error {
		g := Grace{}
		revision, err := d.read(ctx, KindGrace, string(posture.Device), &g)
		if err != nil {
			return err
		}
		g.Device = posture.Device
		at := d.Now().UTC()
		now := graceOf(p, &posture, f.heard, &g, at)
		event, err := decide(p, &g, &now, users(&posture), at)
		if err != nil {
			return err
		}
		g.Renewals = slices.DeleteFunc(g.Renewals, func(e Event) bool { return e.At.Before(at.Add(-Retention)) })
		out = graceOf(p, &posture, f.heard, &g, at)
		if err := d.write(ctx, KindGrace, string(g.Device), g, revision, at, at); err != nil {
			return err
		}
		d.told(ctx, KindGrace, string(g.Device), &event, p)
		return nil
	})
	return out, err
}

func graceOf(p *policy.Policy, posture *signals.Posture, heard map[string]time.Time, g *Grace, at time.Time) GraceListed {
	l := GraceListed{Device: posture.Device, Aliases: posture.Aliases, History: slices.Clone(g.Renewals),
		Tiers: p.Graces(nil, posture, heard, g.Renewed(), g.endedAt(), at)}
	if g.Ended != nil {
		l.History = append(l.History, *g.Ended)
	}
	slices.SortStableFunc(l.History, func(a, b Event) int { return a.At.Compare(b.At) })
	return l
}

// users are those whom a source names as the device's.
func users(p *signals.Posture) []string {
	var all []string
	for i := range p.Facts {
		if p.Facts[i].Attribute == "enrolled_user" {
			if name, ok := p.Facts[i].Value.AsText(); ok && name != "" {
				all = append(all, name)
			}
		}
	}
	return all
}

// RenewGrace lets a device that fell silent keep its last good state for once more what its tiers give: by one person known
// by a token or a certificate, whom the owner of such a tier, or of a baseline that defines what it requires, names as an
// approver, and for whom the device is not enrolled. Each tier bounds how many count.
func (d *Desk) RenewGrace(ctx context.Context, who Caller, device, reason, ticket string) (GraceListed, error) {
	if err := words(reason, ticket); err != nil {
		return GraceListed{}, err
	}
	return d.graceStep(ctx, device, func(p *policy.Policy, g *Grace, now *GraceListed, enrolled []string, at time.Time) (Event, error) {
		if err := runs(now); err != nil {
			return Event{}, err
		}
		var teams []string
		for _, t := range now.Tiers {
			if t.Running && t.Counted < t.Allowed {
				teams = append(teams, t.Teams...)
			}
		}
		slices.Sort(teams)
		teams = slices.Compact(teams)
		if len(teams) == 0 {
			return Event{}, refuse(RuleRenewals, "have the device report, or ask for an exception", "the grace of device %s was renewed as often "+
				"as its tiers allow: %s", now.Device, graceWhy(now))
		}
		if err := mayApprove(p, who, nil, teams, subjectsOf(enrolled)); err != nil {
			return Event{}, err
		}
		e := Event{At: at, By: who.Person, Step: StepApproved, Reason: reason, Ticket: ticket, For: mandates(p, who, teams)}
		g.Renewals = append(g.Renewals, e)
		return e, nil
	})
}

// subjectsOf are the users that a device is enrolled for, whichever issuer knows them.
func subjectsOf(enrolled []string) []policy.ExceptionSubject {
	all := make([]policy.ExceptionSubject, 0, len(enrolled))
	for _, name := range enrolled {
		all = append(all, policy.ExceptionSubject{User: name})
	}
	return all
}

// EndGrace ends the grace of a silence, with all that was renewed of it: by whoever could renew it, and by whoever runs the
// receiver's machine.
func (d *Desk) EndGrace(ctx context.Context, who Caller, device, reason string) (GraceListed, error) {
	if strings.TrimSpace(reason) == "" {
		return GraceListed{}, refuse(RuleMissing, "say it: --reason", "the reason is missing")
	}
	return d.graceStep(ctx, device, func(p *policy.Policy, g *Grace, now *GraceListed, _ []string, at time.Time) (Event, error) {
		if err := runs(now); err != nil {
			return Event{}, err
		}
		var teams []string
		for _, t := range now.Tiers {
			teams = append(teams, t.Teams...)
		}
		slices.Sort(teams)
		teams = slices.Compact(teams)
		if who.Way != WaySocket && len(mandates(p, who, teams)) == 0 {
			return Event{}, &Refusal{Rule: RuleUnnamed, Why: who.String() + " could not renew this grace, and so cannot end it",
				MayApprove: MayApprove(p, teams)}
		}
		e := Event{At: at, By: who.Person, Step: StepRevoked, Reason: reason}
		g.Ended = &e
		return e, nil
	})
}

func runs(now *GraceListed) error {
	if now.Running() {
		return nil
	}
	return refuse(RuleNoGrace, "grace starts by itself when a device falls silent", "device %s is in no grace: %s", now.Device, graceWhy(now))
}

// graceWhy says of each tier why there is no more to give.
func graceWhy(g *GraceListed) string {
	if len(g.Tiers) == 0 {
		return "no tier gives any"
	}
	var why []string
	for _, t := range g.Tiers {
		text := t.Why
		if t.Running {
			text = fmt.Sprintf("renewed %d times of %d", t.Counted, t.Allowed)
		}
		why = append(why, "tier "+t.Tier+": "+text)
	}
	return strings.Join(why, "; ")
}

// Graces lists the devices whose grace is running now, or that somebody ended or renewed in a silence that lasts, sorted by
// device.
func (d *Desk) Graces(ctx context.Context) ([]GraceListed, error) {
	p, err := d.policy()
	if err != nil {
		return nil, err
	}
	said := map[string]Grace{}
	if err := each(ctx, d.Records, KindGrace, func(key string, g Grace) {
		if string(g.Device) == key {
			said[key] = g
		}
	}); err != nil {
		return nil, err
	}
	at := d.Now().UTC()
	f, err := d.walk(ctx, func(*signals.Posture) bool { return true })
	if err != nil {
		return nil, err
	}
	list := []GraceListed{}
	for i := range f.found {
		g := said[string(f.found[i].Device)]
		l := graceOf(p, &f.found[i], f.heard, &g, at)
		ended := slices.ContainsFunc(l.Tiers, func(t policy.GraceStanding) bool { return !t.Ends.IsZero() })
		if l.Running() || ended && len(l.History) > 0 {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b GraceListed) int { return strings.Compare(string(a.Device), string(b.Device)) })
	return list, nil
}
