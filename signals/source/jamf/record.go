package jamf

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// record is one device of the API while its facts are read. What is absent or null is no statement; what stands
// there and is not understood is unknown.
type record struct {
	object
	observed time.Time
	facts    []signals.Fact
}

// say adds a fact with the place where it stood.
func (r *record) say(attribute string, value signals.Value, path ...string) {
	r.facts = append(r.facts, signals.Fact{
		Attribute: attribute, Value: value, Path: strings.Join(path, "."), Observed: r.observed,
	})
}

// truth adds a bool if there is a statement.
func (r *record) truth(attribute string, path ...string) {
	if value, said := source.Truth(r.get(path...)); said {
		r.say(attribute, value, path...)
	}
}

// free adds a text; an empty one is unknown: there was something, and there is nothing now.
func (r *record) free(attribute string, path ...string) {
	if raw := r.get(path...); raw != nil {
		r.say(attribute, source.Text(textOf(raw)), path...)
	}
}

// word reads a name of an enumeration in capitals: FULL_SECURITY, also from "full security". Empty: no statement.
func (r *record) word(path ...string) (string, bool) {
	raw := r.get(path...)
	return strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(textOf(raw)), " ", "_")), raw != nil
}

// version adds os_version.
func (r *record) version(platform signals.Value, path ...string) {
	if raw := r.get(path...); raw != nil {
		r.say("os_version", source.Text(source.SplitOS(platform, textOf(raw)).Version), path...)
	}
}

// managed adds mdm_managed and lifecycle: Jamf Pro keeps the record of a device that it manages no longer.
func (r *record) managed(path ...string) {
	value, said := source.Truth(r.get(path...))
	if !said {
		return
	}
	r.say("mdm_managed", value, path...)
	lifecycle := signals.Unknown
	if is, known := value.AsBool(); known {
		lifecycle = signals.Text("removed")
		if is {
			lifecycle = signals.Text("enrolled")
		}
	}
	lost, _ := source.Truth(r.get("security", "lostModeEnabled"))
	if lifecycle == signals.Text("enrolled") && lost == signals.Bool(true) {
		r.say("lifecycle", signals.Text("missing"), "security", "lostModeEnabled")
		return
	}
	r.say("lifecycle", lifecycle, path...)
}

// user adds enrolled_user.
func (r *record) user(reading, email string) {
	fields := map[string][]string{UserEmail: {email}, UserName: {"username"}, UserEmailOrUsername: {email, "username"}}
	said := ""
	for _, field := range fields[reading] {
		raw := r.get("userAndLocation", field)
		if raw == nil {
			continue
		}
		if value := source.Text(textOf(raw)); value.Known() {
			r.say("enrolled_user", value, "userAndLocation", field)
			return
		}
		said = field
	}
	if said != "" {
		r.say("enrolled_user", signals.Unknown, "userAndLocation", said)
	}
}

// compliance adds config_compliance by membership of groups, see Groups. Without the section there is no statement;
// with one that cannot be read, nothing is known.
func (r *record) compliance(groups Groups, section string) {
	if len(groups.Compliant)+len(groups.Noncompliant) == 0 || r.get(section) == nil {
		return
	}
	var list []object
	if err := json.Unmarshal(r.get(section), &list); err != nil {
		r.say("config_compliance", signals.Unknown, section)
		return
	}
	var in []string
	for _, member := range list {
		in = append(in, idOf(member["groupId"]))
	}
	isIn := func(id string) bool { return slices.Contains(in, id) }
	verdict := signals.Unknown
	switch {
	case slices.ContainsFunc(groups.Noncompliant, isIn):
		verdict = signals.Text("noncompliant")
	case slices.Contains(in, ""): // a group that has no number may be any
	case len(groups.Compliant) > 0 && !slices.ContainsFunc(groups.Compliant, func(id string) bool { return !isIn(id) }):
		verdict = signals.Text("compliant")
	case len(groups.Compliant) > 0:
		verdict = signals.Text("noncompliant")
	}
	r.say("config_compliance", verdict, section)
}

// observation reads one record of the API. One without the time of its inventory, as a device has that was never
// inventoried, is there and says nothing; so does one whose time cannot be read, which must not end a listing for
// all the others and is reported. wanted, if not empty, is the number that was asked for.
func (a *Adapter) observation(kind string, raw json.RawMessage, wanted string) (signals.Observation, error) {
	o, err := parseObject(raw)
	if err != nil {
		return signals.Observation{}, fmt.Errorf("the record of a %s: %w", kind, err)
	}
	shape := shapes[kind]
	number := idOf(o[shape.id])
	switch {
	case number == "":
		return signals.Observation{}, fmt.Errorf("the record of a %s has no %s that is a number", kind, shape.id)
	case wanted != "" && number != wanted:
		return signals.Observation{}, fmt.Errorf("asked for %s %s, the server answered with %s", kind, wanted, number)
	}
	aliases, err := a.aliases(kind, number, textOf(o.get("hardware", "serialNumber")), textOf(o.get(shape.udid...)))
	if err != nil {
		return signals.Observation{}, err
	}
	r := &record{object: o}
	if r.observed, err = source.Instant(o.get(shape.observed...)); err != nil && a.options.Unreadable != nil {
		a.options.Unreadable(vendorID(kind, number), fmt.Errorf("%s: %w", strings.Join(shape.observed, "."), err))
	}
	if !r.observed.IsZero() {
		shape.read(a, r)
	}
	return signals.Observation{Aliases: aliases, Facts: r.facts}, nil
}

// shape is where a kind of record has what both have.
type shape struct {
	id             string
	udid, observed []string
	read           func(*Adapter, *record)
}

var shapes = map[string]shape{
	KindComputer: {"id", []string{"udid"}, []string{"general", "reportDate"}, readComputer},
	KindMobile: {"mobileDeviceId", []string{"general", "udid"}, []string{"general", "lastInventoryUpdateDate"},
		readMobile},
}
