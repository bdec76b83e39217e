package policy_test

import (
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// withdrawn: a source's last known word on the certificate that names the device is against it.
func (a *asked) withdrawn() bool {
	s := a.in.Subject
	ofWorkload := s.Workload != "" && s.WorkloadToken == identity.Validity{}
	claimed := s.User != nil && s.User.DeviceBinds && s.User.Device == s.Device
	if !a.bound() || (s.Certificate == identity.Validity{}) || ofWorkload && claimed {
		return false
	}
	for _, source := range sources {
		word, ok, unknownSince := a.own(source, "certificate_status")
		if ok && word.Value != signals.Text("valid") {
			a.saw("withdrawn, and the source cannot tell any more", unknownSince)
			a.saw("withdrawn, in a tier that looks at no device", !a.looksAtDevice())
			return true
		}
	}
	return false
}

// lentOut: the device is not, or is not known to be, the one of this user.
func (a *asked) lentOut() bool {
	if a.tier.Identify != policy.IdentifyUserDevice || a.tier.SharedDevices {
		return false
	}
	user, right, wrong := a.in.Subject.User, 0, 0
	if a.world.Sources == nil {
		return a.calledNothingOf(user)
	}
	for source, settings := range a.world.Sources {
		word, ok, unknownSince := a.own(source, "enrolled_user")
		if !ok || unknownSince || settings.EnrolledUser.Issuer == "" {
			continue
		}
		called := ""
		switch settings.EnrolledUser.Is {
		case policy.EnrolledIsName:
			called = user.Name
		case policy.EnrolledIsSubject:
			called = user.Subject
		case policy.EnrolledIsEmail:
			called = strings.ToLower(user.Email)
		}
		said, _ := word.Value.AsText()
		if settings.EnrolledUser.Is == policy.EnrolledIsEmail {
			said = strings.ToLower(said)
		}
		if called != "" && said == called && user.Issuer == settings.EnrolledUser.Issuer {
			right++
		} else {
			wrong++
		}
		a.saw("enrolled for a user of another issuer", user.Issuer != settings.EnrolledUser.Issuer)
		addressed := settings.EnrolledUser.Is == policy.EnrolledIsEmail
		a.saw("enrolled for an address, and the token has none", addressed && user.Email == "")
	}
	a.saw("sources say two users", right > 0 && wrong > 0)
	a.saw("two sources say the user", right > 1)
	a.saw("nobody says the user, who passes", right+wrong == 0 && a.tier.EnrolledUser == policy.EnrolledWhenKnown)
	a.saw("nobody says the user, who is refused", right+wrong == 0 && a.tier.EnrolledUser != policy.EnrolledWhenKnown)
	return wrong > 0 || right == 0 && a.tier.EnrolledUser != policy.EnrolledWhenKnown
}

// calledNothingOf: with settings that are not known, some source's word is none of the names that the user has.
func (a *asked) calledNothingOf(user *identity.User) bool {
	for _, source := range sources {
		word, ok, unknownSince := a.own(source, "enrolled_user")
		said, _ := word.Value.AsText()
		known := said == user.Name || said == user.Subject || strings.EqualFold(said, user.Email)
		if ok && !unknownSince && (said == "" || !known) {
			a.saw("enrolled for somebody else, by settings that are not known", true)
			return true
		}
	}
	return false
}

// ownDevice draws what a tier says of the users of its devices.
func (d dice) ownDevice(t *policy.Tier) {
	if t.Identify != policy.IdentifyUserDevice {
		return
	}
	switch d.below(8, "whose device") {
	case 3, 4:
		t.EnrolledUser = policy.EnrolledWhenKnown
	case 5:
		t.EnrolledUser = policy.EnrolledRequired
	case 6, 7:
		t.SharedDevices = true
	}
}

// fullyNamed gives a user all names that a source could know it by.
func (d dice) fullyNamed(user *identity.User) {
	if user == nil {
		return
	}
	user.Subject = "subject-" + user.Name
	user.Email = pick(d, "email", "%@acme.example", "%@acme.example", "%@acme.example", "%@ACME.Example", "")
	user.Email = strings.ReplaceAll(user.Email, "%", user.Name)
}

// called is the name by which a source knows somebody.
func (r *reference) called(source, name string) signals.Value {
	switch r.world.Sources[source].EnrolledUser.Is {
	case policy.EnrolledIsSubject:
		return signals.Text("subject-" + name)
	case policy.EnrolledIsEmail:
		return signals.Text(name + "@acme.example")
	}
	return signals.Text(name)
}

// enrolments draws what the sources say of the user of a device, most often who asks.
func (d dice) enrolments(r *reference, user *identity.User, contact time.Time) []signals.Fact {
	name := "ana"
	if user != nil {
		name = user.Name
	}
	var facts []signals.Fact
	for _, source := range sources {
		said := d.below(16, source+" enrolled_user")
		if said == 8 || source == "stranger" && said < 14 {
			continue
		}
		at := contact.Add(-step * time.Duration(d.below(3, "enrolled earlier")))
		fact := signals.Fact{Attribute: "enrolled_user", Source: source, Observed: at, Received: at,
			Value: r.called(source, name)}
		switch said {
		case 9, 14:
			fact.Value = r.called(source, "somebody")
		case 10:
			fact.Value = signals.Text(strings.ToUpper(name + "@acme.example"))
		case 11:
			fact.Value = signals.Text("")
		case 12:
			fact.Value = signals.Unknown
		case 13:
			facts = append(facts, fact)
			fact.Value, fact.Observed = signals.Unknown, at.Add(time.Minute)
		}
		facts = append(facts, fact)
	}
	return facts
}

// certificates draws what the sources say of the device's certificate, most often that it is valid, or nothing.
func (d dice) certificates(contact time.Time) []signals.Fact {
	var facts []signals.Fact
	for _, source := range sources {
		status := d.below(24, source+" certificate_status") - 17
		if status < 0 {
			continue
		}
		fact := signals.Fact{Attribute: "certificate_status", Source: source, Observed: contact, Received: contact}
		fact.Value = signals.Text([]string{"valid", "valid", "valid", "valid", "valid", "revoked", "expired"}[status])
		facts = append(facts, fact)
		if d.oneIn(4, "certificate cannot be told") {
			fact.Value, fact.Observed = signals.Unknown, contact.Add(time.Minute)
			facts = append(facts, fact)
		}
	}
	return facts
}

// borrowed: a wrong word on the user, or on the certificate, that a test may add to what is known.
func borrowed(source string, at time.Time) []signals.Fact {
	word := func(attribute, value string) signals.Fact {
		return signals.Fact{Attribute: attribute, Source: source, Observed: at, Received: at, Value: signals.Text(value)}
	}
	return []signals.Fact{word("enrolled_user", "somebody"), word("certificate_status", "revoked"),
		word("certificate_status", "expired")}
}

// saysNothingOfTheBearer: neither for whom a device is, nor what became of its certificate.
func saysNothingOfTheBearer(f signals.Fact) bool {
	return !slices.Contains([]string{"enrolled_user", "certificate_status"}, f.Attribute)
}
