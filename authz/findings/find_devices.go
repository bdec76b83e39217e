package findings

import (
	"cmp"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// Defaults of how long a trouble of devices must have lasted.
const (
	waitDrift    = time.Hour
	waitConflict = 4 * time.Hour
	waitAlarm    = 24 * time.Hour
	waitStale    = 14 * 24 * time.Hour
	waitEnrolled = 14 * 24 * time.Hour
)

// forgotten is how long ago a signal may have aged out for its absence still to be drift: what nobody has reported for so long
// is no part of the device's baseline any more, and what was never reported was none yet.
const forgotten = 30 * 24 * time.Hour

// detailEnrolled is the Detail of a device of which no source tells the user.
const detailEnrolled = "enrolled-user"

// deviceNote is what else is to be known of a device than its own troubles.
type deviceNote struct {
	subject   string
	platform  string
	owner     string // the team that answers for its platform's baseline
	newest    time.Time
	audiences []string
	sources   []string // that have said anything, sorted
	// populations are those that the device is one of.
	populations []populationName
}

// devices looks at each device once.
func (f *finder) devices() {
	if f.v.Devices == nil {
		return
	}
	wanted := map[signals.DeviceID]bool{}
	for _, devices := range f.v.Contested {
		for _, id := range devices {
			wanted[id] = true
		}
	}
	renewed := f.renewedGraces()
	naming := f.namesUsers()
	for d := range f.v.Devices {
		if d.Posture == nil || f.v.Unread[d.Posture.Device] {
			continue
		}
		note := f.note(&d)
		if wanted[d.Posture.Device] {
			f.seen[string(d.Posture.Device)] = note
		}
		demanded := f.alarms(&d, &note)
		f.signals(&d, &note, demanded)
		f.attributes(&d, &note)
		f.stale(&d, &note, f.grace(&d, &note, renewed))
		if naming {
			f.unenrolled(&d, &note)
		}
		f.match(&d)
	}
}

func (f *finder) note(d *DeviceView) deviceNote {
	n := deviceNote{subject: "device " + string(d.Posture.Device), platform: platformOf(d.Posture), audiences: f.who.ofDevice(f.v.Policy, d)}
	n.owner = f.who.ofPlatform(n.platform)
	n.populations = f.populationsOf(n.platform, n.audiences)
	for i := range d.Posture.Facts {
		fact := &d.Posture.Facts[i]
		if from := fact.AgesFrom(); from.After(n.newest) {
			n.newest = from
		}
		if !slices.Contains(n.sources, fact.Source) {
			n.sources = append(n.sources, fact.Source)
		}
	}
	slices.Sort(n.sources)
	return n
}

// demand is what tiers ask of a device that it does not meet.
type demand struct {
	alarm bool     // a tier denies because the signal fails
	tiers []string // that ask for it, each once
	owner string
	fix   policy.Fix
}

// alarms collects the signals that tiers ask of this device, and notes those that fail in denyUnless: alarms. What is only
// advised, or noted where it is unknown, is not asked for, and what is asked of an audience only of its members.
func (f *finder) alarms(d *DeviceView, n *deviceNote) map[string]*demand {
	var demanded map[string]*demand
	for i := range d.Standing.Tiers {
		t := &d.Standing.Tiers[i]
		for j := range t.Unmet {
			u := &t.Unmet[j]
			if u.Noted || u.Audience != "" && !slices.Contains(n.audiences, u.Audience) {
				continue
			}
			if demanded == nil {
				demanded = map[string]*demand{}
			}
			x := demanded[u.Signal]
			if x == nil {
				x = &demand{owner: u.Owner, fix: u.Fix}
				demanded[u.Signal] = x
			}
			if !slices.Contains(x.tiers, t.Tier) {
				x.tiers = append(x.tiers, t.Tier)
			}
			x.alarm = x.alarm || u.List == policy.ListDenyUnless && u.Status == policy.StatusFailing
		}
	}
	return demanded
}

// signals tells which signals of a device are alarmed, have left the baseline, or are disputed.
func (f *finder) signals(d *DeviceView, n *deviceNote, demanded map[string]*demand) {
	for i := range d.Standing.Signals {
		s := &d.Standing.Signals[i]
		asked := demanded[s.Signal]
		if asked != nil && asked.alarm {
			f.add(Finding{Kind: AlarmUncleared, Subject: n.subject, Detail: s.Signal, Since: s.Since,
				Wait: f.wait(AlarmUncleared, n.audiences, waitAlarm), Summary: "an alarm of " + n.subject + " stands: " + s.Signal + " fails",
				Evidence: []string{s.Detail, "denied by tier " + list(asked.tiers)}, Owner: asked.owner, Audiences: n.audiences, Fix: asked.fix})
		}
		if !s.Reported || f.silent(s, n) {
			continue
		}
		drifted := asked != nil && !asked.alarm && f.drifted(s)
		for _, p := range n.populations {
			f.sharing(p.of, Drift, s.Signal).count(drifted)
			f.sharing(p.of, Conflict, s.Signal).count(s.Disputed)
		}
		if drifted {
			f.member(n, Finding{Kind: Drift, Subject: n.subject, Detail: s.Signal, Since: s.Since, Wait: f.wait(Drift, n.audiences, waitDrift),
				Summary: n.subject + " has left its baseline: " + s.Signal + " is " + s.Status.String(), Owner: asked.owner,
				Evidence: []string{s.Detail, "asked for by tier " + list(asked.tiers)}, Audiences: n.audiences, Fix: asked.fix})
		}
		if s.Disputed {
			f.member(n, Finding{Kind: Conflict, Subject: n.subject, Detail: s.Signal, Wait: f.wait(Conflict, n.audiences, waitConflict),
				Summary: "sources disagree about " + s.Signal + " of " + n.subject, Evidence: []string{s.Detail}, Owner: s.Owner,
				Audiences: n.audiences, Fix: policy.Fix{Text: "Find out which source is right, and mend or withdraw the other."}})
		}
	}
}

// drifted tells whether a signal that is asked for, and was once known of this device, is not passing any more.
func (f *finder) drifted(s *policy.SignalStanding) bool {
	switch s.Status {
	case policy.StatusPassing:
		return false
	case policy.StatusFailing:
		return true
	default:
		return s.Since.IsZero() || f.at.Before(s.Since.Add(forgotten))
	}
}

// silent tells whether a signal is unknown only because the whole device has said nothing since: that is one trouble, and not
// one for each signal.
func (f *finder) silent(s *policy.SignalStanding, n *deviceNote) bool {
	return s.Status == policy.StatusUnknown && !s.Since.IsZero() && !n.newest.After(s.Since)
}

// lookedAt are the attributes about which sources can be at odds without a signal that says so.
var lookedAt = []string{"certificate_status", "enrolled_user", "ownership", "platform"}

// attributes tells which of them sources disagree about: each with its newest known word that is not older than forgotten.
func (f *finder) attributes(d *DeviceView, n *deviceNote) {
	for _, attribute := range lookedAt {
		var said []string
		values := map[string]bool{}
		for i := range d.Posture.Facts {
			fact := &d.Posture.Facts[i]
			value, ok := fact.Value.AsText()
			if fact.Attribute != attribute || !ok || !f.at.Before(fact.AgesFrom().Add(forgotten)) {
				continue
			}
			if attribute == "enrolled_user" {
				as, named := f.v.Policy.NamesUser(fact.Source)
				if !named {
					continue
				}
				value = as.Issuer + " " + string(as.Is) + " " + value
			}
			values[value] = true
			said = append(said, fact.Source+" says "+value)
		}
		if len(values) > 1 && (attribute != "enrolled_user" || !differentNames(values)) {
			f.add(Finding{Kind: Conflict, Subject: n.subject, Detail: attribute, Wait: f.wait(Conflict, n.audiences, waitConflict),
				Summary: "sources disagree about " + attribute + " of " + n.subject, Evidence: few(said), Owner: n.owner, Audiences: n.audiences,
				Fix: policy.Fix{Text: "Find out which source is right, and mend or withdraw the other."}})
		}
	}
}

// differentNames tells whether users are named in ways that cannot be compared: by another issuer or another claim each.
func differentNames(values map[string]bool) bool {
	ways := map[string]bool{}
	for value := range values {
		ways[value[:wayEnds(value)]] = true
	}
	return len(ways) == len(values)
}

func wayEnds(value string) int {
	blanks := 0
	for i := range len(value) {
		if value[i] == ' ' {
			if blanks++; blanks == 2 {
				return i
			}
		}
	}
	return len(value)
}

// stale tells that nothing was heard of a device for too long, though its sources tell of others.
func (f *finder) stale(d *DeviceView, n *deviceNote, overrun string) {
	wait := f.wait(StaleDevice, n.audiences, waitStale)
	if f.v.Heard == nil || n.newest.IsZero() || !f.lasted(n.newest, wait) || removed(d.Posture) {
		return
	}
	x := Finding{Kind: StaleDevice, Subject: n.subject, Since: n.newest, Wait: wait, Summary: "nothing is heard of " + n.subject + " any more",
		Evidence: []string{"its last word is of " + stamp(n.newest), "its sources: " + list(n.sources)}, Owner: n.owner, Audiences: n.audiences,
		Under: overrun, Fix: policy.Fix{Text: "Find the device and let it report, or remove it where it is recorded."}}
	// A source tells of its devices one after another. That it told of others a little later does not make it alive.
	later := n.newest.Add(min(wait/2, days))
	alive := slices.ContainsFunc(n.sources, func(source string) bool { return f.v.Heard[source].After(later) })
	if !alive && x.Under == "" && len(n.sources) > 0 {
		source := n.sources[0]
		if !f.lasted(f.v.Heard[source], f.wait(StaleDevice, nil, waitStale)) {
			return // it is the source that is silent, and will be found so
		}
		x.Under = (&Finding{Kind: StaleDevice, Subject: "source " + source}).Key()
	}
	f.add(x)
}

// removed tells whether a source says that the device is gone.
func removed(p *signals.Posture) bool {
	return slices.ContainsFunc(p.Facts, func(fact signals.Fact) bool {
		text, ok := fact.Value.AsText()
		return ok && fact.Attribute == "lifecycle" && text == "removed"
	})
}

// silentSources tells which sources are silent for all their devices.
func (f *finder) silentSources() {
	for source, heard := range f.v.Heard {
		wait := f.wait(StaleDevice, nil, waitStale)
		if f.v.Devices == nil || heard.IsZero() || !f.lasted(heard, wait) {
			continue
		}
		f.add(Finding{Kind: StaleDevice, Subject: "source " + source, Since: heard, Wait: wait,
			Summary: "source " + source + " tells of no device any more", Evidence: []string{"its last word is of " + stamp(heard)},
			Owner: f.who.endpoint, Fix: policy.Fix{Text: "Mend the source (`tiergate source check`), or remove it from the settings."}})
	}
}

// namesUsers tells whether the policy wants to know for whom devices are enrolled: otherwise it is no trouble that one does not.
func (f *finder) namesUsers() bool {
	return slices.ContainsFunc(f.spec.Tiers, func(t policy.Tier) bool {
		return t.Identify == policy.IdentifyUserDevice && cmp.Or(t.EnrolledUser, policy.EnrolledRequired) == policy.EnrolledRequired &&
			!t.SharedDevices
	})
}

// unenrolled tells of a living device of which no source tells the user, though one of those that report it names users.
func (f *finder) unenrolled(d *DeviceView, n *deviceNote) {
	naming := false
	for i := range d.Posture.Facts {
		fact := &d.Posture.Facts[i]
		text, ok := fact.Value.AsText()
		switch {
		case fact.Attribute == "enrolled_user" && ok && text != "":
			return
		case fact.Attribute == "ownership" && text == "shared":
			return
		}
		if _, named := f.v.Policy.NamesUser(fact.Source); named {
			naming = true
		}
	}
	if !naming || f.lasted(n.newest, waitStale) || removed(d.Posture) {
		return
	}
	f.add(Finding{Kind: StaleDevice, Subject: n.subject, Detail: detailEnrolled, Wait: f.wait(StaleDevice, n.audiences, waitEnrolled),
		Summary: "nobody tells for whom " + n.subject + " is enrolled", Evidence: []string{"its sources: " + list(n.sources)}, Owner: n.owner,
		Audiences: n.audiences, Fix: policy.Fix{Text: "Enrol the device for its user, or remove it where it is recorded."}})
}
