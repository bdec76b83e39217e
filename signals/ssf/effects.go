package ssf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/revocation"
	"github.com/tiergate/tiergate/signals/source"
)

// Observe implements source.Adapter: what an event says of devices. Events about users and sessions say nothing here.
func (s *Stream) Observe(d source.Delivery) ([]signals.Observation, error) {
	e, err := s.read(d)
	if err != nil {
		return nil, err
	}
	if s.o.Devices.Names == "" {
		return nil, nil // this stream is not about devices
	}
	fact, err := factOf(e)
	if err != nil || fact == nil {
		return nil, err
	}
	if err := s.ours(e); err != nil {
		return nil, err
	}
	fact.Observed = e.At
	named, err := s.devices(e)
	if err != nil {
		return nil, fmt.Errorf("the %s event: %w", e.Kind, err)
	}
	return []signals.Observation{{Aliases: named, Facts: []signals.Fact{*fact}}}, nil
}

// levels are what CAEP (risk-level-change, in capitals) and Okta call a risk. Okta's "none" has no published meaning.
var levels = map[Kind]map[string]string{
	RiskLevelChange:  {"LOW": "low", "MEDIUM": "medium", "HIGH": "high"},
	DeviceRiskChange: {"secure": "none", "none": "", "low": "low", "medium": "medium", "high": "high"},
	UserRiskChange:   {"secure": "low", "none": "", "low": "low", "medium": "medium", "high": "high"},
}

func levelOf(e Event) (string, error) {
	level, known := levels[e.Kind][e.Level]
	if !known {
		return "", fmt.Errorf("the %s event's current_level %.40q is not one of its specification", e.Kind, e.Level)
	}
	return level, nil
}

// factOf is what an event says of a device; nil: nothing.
func factOf(e Event) (*signals.Fact, error) {
	switch {
	case e.Kind == DeviceComplianceChange:
		status, known := map[string]string{"compliant": "compliant", "not-compliant": "noncompliant"}[e.Status]
		if !known {
			return nil, fmt.Errorf("the %s event's current_status %.40q is not compliant or not-compliant", e.Kind, e.Status)
		}
		return &signals.Fact{Attribute: "config_compliance", Value: signals.Text(status), Path: "current_status"}, nil
	case e.Kind == DeviceRiskChange || e.Kind == RiskLevelChange && e.Principal == "DEVICE":
		level, err := levelOf(e)
		if err != nil {
			return nil, err
		}
		fact := &signals.Fact{Attribute: "threat_level", Path: "current_level"} // unknown: a level without a meaning
		if level != "" {
			fact.Value = signals.Text(level)
		}
		return fact, nil
	case e.Kind == CredentialChange && e.Credential == "x509" && (e.Change == "revoke" || e.Change == "delete") &&
		len(e.part("device")) > 0:
		// A certificate that is made later says nothing of this one, which somebody may still hold: nothing here says "valid".
		return &signals.Fact{Attribute: "certificate_status", Value: signals.Text("revoked"), Path: "change_type"}, nil
	}
	return nil, nil
}

// Effects implements ingest.Effects: what an event does to logins, and tells the stream's Events. An error makes the delivery a
// dead letter.
func (s *Stream) Effects(d source.Delivery) ([]revocation.Revocation, error) {
	e, err := s.read(d)
	if err != nil {
		return nil, err
	}
	found, err := s.revocations(e)
	if err != nil {
		return nil, err
	}
	var asked time.Time // zero: nobody did
	if e.Kind == Verification && len(s.o.StateKey) > 0 {
		if at, err := s.readState(e.State, d.Received); err == nil {
			asked = at
		}
	}
	s.see(e, asked)
	if e.Kind == Verification {
		s.o.Events.Verified(asked)
	}
	if e.Kind == StreamUpdated {
		s.o.Events.Updated(e.Status, e.Reason)
	}
	s.o.Events.Heard(e)
	return found, nil
}

// atLeast tells whether a level is known and at or above a limit, which may be "never".
func atLeast(level, limit string) bool {
	return level != "" && limit != "never" && slices.Index(revocation.Levels, level) >= slices.Index(revocation.Levels, limit)
}

func (s *Stream) revocations(e Event) ([]revocation.Revocation, error) {
	if s.o.Users.Issuer == "" {
		return nil, nil // this stream is not about logins
	}
	risk, level := e.Kind == UserRiskChange || e.Kind == RiskLevelChange && (e.Principal == "USER" || e.Principal == "SESSION"), ""
	ends := slices.Contains(s.o.Users.Revoke, e.Kind) && (e.Kind != AssuranceLevelChange || e.Change != "increase")
	if risk {
		var err error
		if level, err = levelOf(e); err != nil {
			return nil, err
		}
		ends = atLeast(level, s.o.Users.RiskRevokes)
	}
	if !ends && level == "" {
		return nil, nil
	}
	if err := s.ours(e); err != nil {
		return nil, err
	}
	subjects, err := s.subjects(e)
	if err != nil {
		return nil, fmt.Errorf("the %s event: %w", e.Kind, err)
	}
	at := e.At
	if at.After(e.Received) { // a clock that runs ahead must not void logins to come
		at = e.Received
	}
	var all []revocation.Revocation
	for _, r := range subjects {
		r.NotBefore, r.Event, r.Stream, r.Reason = at, e.ID, e.Stream, short(strings.TrimSpace(string(e.Kind)+" "+e.Reason))
		r.Until = e.Received.Add(s.o.Users.MaxTokenLife + outlives)
		if ends {
			r.Sort = revocation.Ended
			all = append(all, r)
		}
		if level != "" {
			r.Sort, r.Level, r.Refuses = revocation.Risk, level, atLeast(level, s.o.Users.RiskRefuses)
			all = append(all, r)
		}
	}
	return all, nil
}

// ours says why an event is not for us: another tenant's, or one with a critical member of its subject that means nothing here
// (SSF 1.0 section 7.1: such an event is to be discarded).
func (s *Stream) ours(e Event) error {
	if e.Subject.Format != FormatComplex {
		return nil
	}
	known := []string{"user", "session", "device"}
	if tenant, there := e.Subject.Members["tenant"]; there && s.o.Tenant != "" {
		if !slices.ContainsFunc(tenant.names(), func(n Subject) bool { return n.ID == s.o.Tenant }) {
			return errors.New("the event is about another tenant than the settings name")
		}
	}
	if s.o.Tenant != "" {
		known = append(known, "tenant")
	}
	if critical := s.critical.Load(); critical != nil {
		for _, name := range *critical {
			if _, there := e.Subject.Members[name]; there && !slices.Contains(known, name) {
				return fmt.Errorf("the transmitter calls the subject's %s critical, and the settings do not say what it means; "+
					"set tenant if it is that", name)
			}
		}
	}
	return nil
}

// defaultRole is what a simple subject of an event is, where its format does not say: CAEP's examples have sessions as opaque
// ids.
func (e Event) defaultRole() string {
	switch {
	case slices.Contains([]Kind{SessionRevoked, SessionEstablished, SessionPresented}, e.Kind):
		return "session"
	case slices.Contains([]Kind{DeviceComplianceChange, DeviceRiskChange}, e.Kind):
		return "device"
	case e.Kind == RiskLevelChange:
		return strings.ToLower(e.Principal)
	}
	return "user"
}

// part is the member of a subject that has a role, under all its names.
func (e Event) part(role string) []Subject {
	if e.Subject.Format == FormatComplex {
		member, there := e.Subject.Members[role]
		if !there {
			return nil
		}
		return member.names()
	}
	var found []Subject
	for _, name := range e.Subject.names() {
		is := e.defaultRole()
		if name.Format != FormatOpaque && (is == "session" || is == "device" && e.Kind != RiskLevelChange) {
			is = "user" // iss_sub and email name whose session or device it is
		}
		if is == role {
			found = append(found, name)
		}
	}
	return found
}

// devices are our names of the event's device.
func (s *Stream) devices(e Event) ([]signals.Alias, error) {
	names := e.part("device")
	if len(names) == 0 {
		return nil, errors.New("its subject names no device")
	}
	var found []signals.Alias
	var faults []error
	for _, name := range names {
		alias, err := s.device(name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		found = append(found, alias)
	}
	if len(found) == 0 {
		return nil, errors.Join(faults...)
	}
	return found, nil
}

// device is our name of a device that the transmitter calls so.
func (s *Stream) device(name Subject) (signals.Alias, error) {
	switch {
	case s.o.Devices.Names == "":
		return signals.Alias{}, errors.New("its subject names a device, and the settings do not say what that is; set devices")
	case name.Format != FormatOpaque && name.Format != FormatIssSub:
		return signals.Alias{}, fmt.Errorf("a device is not known by a subject of format %s", name.Format)
	case name.Format == FormatIssSub && !s.believes(name.Issuer):
		return signals.Alias{}, fmt.Errorf("the device's iss is %.200q; if that is the transmitter's, add it to subjectIssuers",
			name.Issuer)
	case s.o.Devices.Names == signals.AliasVendor:
		return signals.NewAlias(signals.AliasVendor, s.o.Devices.Source+"/"+name.ID)
	}
	return signals.NewAlias(s.o.Devices.Names, name.ID)
}

func (s *Stream) believes(issuer string) bool {
	return issuer == s.o.Issuer || slices.Contains(s.o.SubjectIssuers, issuer)
}

// subjects are whom a revocation is about: one of each combination of names. A member that only narrows whom it is about and
// cannot be mapped is left out, which voids more logins; if neither user nor session is left of those that are named, what is
// left would be somebody else, and that is a fault.
func (s *Stream) subjects(e Event) ([]revocation.Revocation, error) {
	all := []revocation.Revocation{{Issuer: s.o.Users.Issuer}}
	var faults []error
	named, mapped := map[string]bool{}, map[string]bool{}
	for _, role := range []string{"user", "session", "device"} {
		var grown []revocation.Revocation
		for _, name := range e.part(role) {
			named[role] = true
			one, err := s.named(role, name)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			for _, r := range all {
				grown = append(grown, one(r))
			}
		}
		if len(grown) > 0 {
			all, mapped[role] = grown, true
		}
	}
	switch {
	case len(named) == 0:
		return nil, fmt.Errorf("its subject (%s) names no user, session or device", e.Subject.Format)
	case len(mapped) == 0 || (named["user"] || named["session"]) && !mapped["user"] && !mapped["session"]:
		return nil, errors.Join(faults...)
	}
	return all, nil
}

// named puts one name into a revocation.
func (s *Stream) named(role string, name Subject) (func(revocation.Revocation) revocation.Revocation, error) {
	if role == "device" {
		alias, err := s.device(name)
		if err != nil {
			return nil, err
		}
		return func(r revocation.Revocation) revocation.Revocation { r.Device = alias.String(); return r }, nil
	}
	if name.Format == FormatIssSub && !s.believes(name.Issuer) {
		return nil, fmt.Errorf("its subject's iss is %.200q; if those are users of issuer %s, add it to subjectIssuers", name.Issuer,
			s.o.Users.Issuer)
	}
	switch {
	case role == "session" && (name.Format == FormatOpaque || name.Format == FormatIssSub):
		return func(r revocation.Revocation) revocation.Revocation { r.Session = name.ID; return r }, nil
	case role == "user" && (name.Format == FormatOpaque || name.Format == FormatIssSub):
		return func(r revocation.Revocation) revocation.Revocation { r.User = name.ID; return r }, nil
	case role == "user" && name.Format == FormatEmail && s.o.Users.Email:
		return func(r revocation.Revocation) revocation.Revocation { r.Email = strings.ToLower(name.ID); return r }, nil
	case role == "user" && name.Format == FormatEmail:
		return nil, fmt.Errorf("its subject names a user by email, and issuer %s maps no claims.email", s.o.Users.Issuer)
	}
	return nil, fmt.Errorf("its subject names a %s by %s, which no token is found by", role, name.Format)
}
