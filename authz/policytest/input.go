package policytest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// input is the case as the policy sees it.
func (c *Case) input() (policy.Input, error) {
	in := policy.Input{At: c.At, Request: policy.Request{Method: c.Request.method, Host: c.Request.host, Path: c.Request.path}}
	if in.At.IsZero() {
		in.At = DefaultAt
	}
	var err error
	if in.Subject, err = c.Who.subject(in.At); err != nil {
		return in, err
	}
	for i := range c.Granted {
		in.Granted = append(in.Granted, c.Granted[i].exception(in.At))
	}
	in.Device, err = c.device(in.At, in.Subject.Device)
	return in, err
}

func (w *who) subject(at time.Time) (identity.Subject, error) {
	valid := identity.Validity{NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour)}
	if w.Expired {
		valid = identity.Validity{NotBefore: at.Add(-2 * time.Hour), NotAfter: at.Add(-time.Hour)}
	}
	var s identity.Subject
	if u := w.User; u != nil {
		s.User = &identity.User{Issuer: u.Issuer, Name: u.Name, Subject: cmp.Or(u.Subject, u.Name), Email: u.Email,
			Groups: u.Groups, ACR: u.ACR, AMR: u.AMR, Token: valid}
		if u.Login != nil {
			s.User.AuthTime = at.Add(-*u.Login)
		}
	}
	if w.Revoked != nil {
		s.Ended = &identity.Ended{At: at.Add(-*w.Revoked), Reason: "session-revoked", Event: "case"}
	}
	if w.Risk != "" {
		s.Risk = &identity.Risk{At: at, Level: w.Risk, Reason: "risk-level-change", Event: "case"}
	}
	if w.Workload != "" {
		id, err := identity.ParseSPIFFEID(w.Workload)
		if err != nil {
			return s, err
		}
		s.Workload, s.Certificate = id, valid
	}
	if w.SVID != nil {
		s.SVID = &identity.SVID{Audiences: []string{w.SVID.Audience}, Window: valid}
		if w.SVID.Age != nil {
			s.SVID.Issued = at.Add(-*w.SVID.Age)
		}
	}
	if w.Device != "" {
		alias, err := signals.ParseAlias(w.Device)
		if err != nil {
			return s, err
		}
		s.Device, s.Certificate = alias, valid
	}
	if w.Doubt != "" {
		s.Doubts = []identity.Doubt{{Code: identity.DoubtToken, Detail: w.Doubt}}
	}
	return s, nil
}

// device is what is known of the device: its facts, or the gap.
func (c *Case) device(at time.Time, bound signals.Alias) (policy.Device, error) {
	d := policy.Device{Gap: policy.Gap(c.Gap)}
	switch {
	case !slices.Contains([]policy.Gap{policy.GapNone, policy.GapUnknown, policy.GapContested, policy.GapUnreachable}, d.Gap):
		return d, fmt.Errorf("gap %q: write unknown, contested or unreachable", c.Gap)
	case len(c.Facts) == 0 && (len(c.Aliases) > 0 || len(c.Heard) > 0 || c.AsOf != 0 || len(c.Renewals) > 0 || c.GraceEnded != 0):
		return d, errors.New("aliases, heard, asOf, renewals and graceEnded are of a device that has facts")
	case len(c.Facts) == 0:
		return d, nil
	case c.Gap != "" || c.Who.Device == "":
		return d, errors.New("facts are of a device that is named under who, and stand beside no gap")
	}
	aliases := []signals.Alias{bound}
	for _, name := range c.Aliases {
		alias, err := signals.ParseAlias(name)
		if err != nil {
			return d, err
		}
		aliases = append(aliases, alias)
	}
	d.Posture, d.AsOf = c.posture(at, aliases), at.Add(-c.AsOf)
	for _, age := range c.Renewals {
		d.Renewals = append(d.Renewals, policy.Renewal{At: at.Add(-age), By: "case"})
	}
	if c.GraceEnded != 0 {
		d.GraceEnded = at.Add(-c.GraceEnded)
	}
	var err error
	d.Heard, err = c.heard(at)
	return d, err
}

// heard is when each source last reported any device: what the case says, or else its newest fact here.
func (c *Case) heard(at time.Time) (map[string]time.Time, error) {
	heard := map[string]time.Time{}
	for _, f := range c.Facts {
		if seen := at.Add(-f.Age); seen.After(heard[f.Source]) {
			heard[f.Source] = seen
		}
	}
	for source, age := range c.Heard {
		said := at.Add(-age)
		if said.Before(heard[source]) {
			return nil, fmt.Errorf("%s was heard %s ago and yet reported this device since; write a shorter age", source, age)
		}
		heard[source] = said
	}
	return heard, nil
}

func (c *Case) posture(at time.Time, aliases []signals.Alias) *signals.Posture {
	var all []signals.Fact
	for _, f := range c.Facts {
		for name, value := range f.values {
			seen := at.Add(-f.Age)
			all = append(all, signals.Fact{Attribute: name, Value: value, Source: f.Source, Observed: seen, Received: seen})
		}
	}
	p, _ := signals.Posture{Device: "case", Revision: 1}.Merge(signals.Observation{Aliases: aliases, Facts: all})
	return &p
}
