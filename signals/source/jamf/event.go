package jamf

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// effect is what an event means to us.
type effect int

const (
	nothing    effect = iota // not about a device's posture
	device                   // of one device something changed
	unenrolled               // one device is managed no longer
	group                    // devices came into a group or left it
)

// events are all events of Jamf Pro (https://developer.jamf.com/developer-guide/docs/webhooks), in lower case: the
// product spells UnEnrolled, its change log Unenrolled. Those that end a command or a policy mean nothing here:
// what they changed is inventoried, which is an event of its own.
var events = map[string]struct {
	effect effect
	kind   string
}{
	"computeradded":                          {device, KindComputer},
	"computercheckin":                        {device, KindComputer},
	"computerinventorycompleted":             {device, KindComputer},
	"computerpatchpolicycompleted":           {},
	"computerpolicyfinished":                 {},
	"computerpushcapabilitychanged":          {device, KindComputer},
	"deviceaddedtodep":                       {},
	"deviceratelimited":                      {},
	"jssshutdown":                            {},
	"jssstartup":                             {},
	"mobiledevicecheckin":                    {device, KindMobile},
	"mobiledevicecommandcompleted":           {},
	"mobiledeviceenrolled":                   {device, KindMobile},
	"mobiledeviceinventorycompleted":         {device, KindMobile},
	"mobiledevicepushsent":                   {},
	"mobiledeviceunenrolled":                 {unenrolled, KindMobile},
	"patchsoftwaretitleupdated":              {},
	"pushsent":                               {},
	"restapioperation":                       {},
	"scepchallenge":                          {},
	"smartgroupcomputermembershipchange":     {group, KindComputer},
	"smartgroupmobiledevicemembershipchange": {group, KindMobile},
	"smartgroupusermembershipchange":         {},
}

// event is a webhook in our words.
type event struct {
	what    effect
	kind    string
	at      time.Time // webhook.eventTimestamp; zero: an old server does not say
	device  string    // the server's number of the device
	group   string    // the server's number of the group
	members []string  // numbers of the devices that came or left
	body    object    // event, or event.computer
}

// parseEvent reads a body that passes oneReading. Members that it does not know are left alone: each version adds some.
func parseEvent(body []byte) (event, error) {
	envelope, err := parseEnvelope(body)
	if err != nil {
		return event{}, err
	}
	name := textOf(envelope.get("webhook", "webhookEvent"))
	word := name
	if i := strings.LastIndexByte(word, '('); i > 0 && strings.HasSuffix(word, ")") {
		word = word[:i] // "ComputerAdded (TEST)"
	}
	known, found := events[strings.ToLower(strings.TrimSpace(word))]
	if !found {
		return event{}, fmt.Errorf("webhook.webhookEvent is %.60q, which is no event of Jamf Pro that we know; "+
			"switch off this webhook, or look for a newer tiergate", name)
	}
	e := event{what: known.effect, kind: known.kind}
	if e.at, err = source.Instant(envelope.get("webhook", "eventTimestamp")); err != nil {
		return event{}, fmt.Errorf("webhook.eventTimestamp: %w", err)
	}
	if e.what == nothing {
		return e, nil
	}
	if e.body, err = parseObject(envelope["event"]); err != nil {
		return event{}, fmt.Errorf("event: %w", err)
	}
	if e.what == group {
		return e, e.readGroup()
	}
	if inner, err := parseObject(e.body["computer"]); err == nil {
		e.body = inner // ComputerCheckIn nests what the others write flat
	}
	if e.device = idOf(e.body["jssID"]); e.device == "" {
		return event{}, errors.New("event.jssID is no number of a device")
	}
	return e, nil
}

// readGroup reads a SmartGroup…MembershipChange. The devices that left are as good as those that came: to leave the
// group of bad devices is the only sign of recovery.
func (e *event) readGroup() error {
	if e.group = idOf(e.body["jssid"]); e.group == "" {
		return errors.New("event.jssid is no number of a group")
	}
	computers, said := source.Truth(e.body["computer"])
	if is, known := computers.AsBool(); said && known && is != (e.kind == KindComputer) {
		return fmt.Errorf("webhook.webhookEvent is about a %s group, and event.computer says %t", e.kind, is)
	}
	seen := map[string]bool{}
	for _, name := range []string{"groupAddedDevicesIds", "groupRemovedDevicesIds", "groupAddedDevices",
		"groupRemovedDevices"} {
		var members []string
		if err := collectIDs(e.body[name], &members); err != nil {
			return fmt.Errorf("event.%s: %w", name, err)
		}
		for _, member := range members {
			if !seen[member] {
				seen[member] = true
				e.members = append(e.members, member)
			}
		}
	}
	return nil
}

// collectIDs finds the numbers of devices in a number, a text of several, a list of either, a device with its
// jssID, or, in XML, whatever elements the list is wrapped in.
func collectIDs(raw json.RawMessage, into *[]string) error {
	if len(raw) == 0 {
		return nil
	}
	switch raw[0] {
	case '[':
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return err
		}
		for _, item := range items {
			if err := collectIDs(item, into); err != nil {
				return err
			}
		}
		return nil
	case '{':
		members, err := parseObject(raw)
		if err != nil {
			return err
		}
		if id, there := members["jssID"]; there {
			return collectIDs(id, into)
		}
		for _, name := range sortedNames(members) {
			if err := collectIDs(members[name], into); err != nil {
				return err
			}
		}
		return nil
	}
	between := func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }
	for _, word := range strings.FieldsFunc(textOf(raw), between) {
		if !isID(word) {
			return fmt.Errorf("%.40q is no number of a device", word)
		}
		*into = append(*into, word)
	}
	return nil
}

// The kinds of devices. A computer and a mobile device of one server may have the same number.
const (
	KindComputer = "computer"
	KindMobile   = "mobile"
)

// vendorID is the id under which a device is asked for, and part of its name: computer-17, mobile-17.
func vendorID(kind, number string) string { return kind + "-" + number }

func splitVendorID(id string) (kind, number string, err error) {
	kind, number, _ = strings.Cut(id, "-")
	if kind != KindComputer && kind != KindMobile || !isID(number) {
		return "", "", fmt.Errorf("%.60q is no device of Jamf Pro; write %s-NUMBER or %s-NUMBER", id, KindComputer,
			KindMobile)
	}
	return kind, number, nil
}

// isID takes the numbers that Jamf Pro counts by, in their one spelling.
func isID(s string) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	return err == nil && n > 0 && strconv.FormatInt(n, 10) == s
}

// idOf reads a number, as the webhooks write it, or a text of one, as the API does. Empty: it is neither.
func idOf(raw json.RawMessage) string {
	if text := strings.TrimSpace(textOf(raw)); isID(text) {
		return text
	}
	return ""
}

// Alias implements source.Inventory: vendor:NAME/computer-17.
func (a *Adapter) Alias(id string) (signals.Alias, error) {
	if _, _, err := splitVendorID(id); err != nil {
		return signals.Alias{}, err
	}
	return signals.NewAlias(signals.AliasVendor, a.options.Name+"/"+id)
}

// aliases are the names of a device, its number first. Placeholders are left out. A UDID is a name only in the
// shapes that Apple gives it: a UUID, 40 hex digits, or 8-16 hex digits.
func (a *Adapter) aliases(kind, number, serial, udid string) ([]signals.Alias, error) {
	vendor, err := a.Alias(vendorID(kind, number))
	if err != nil {
		return nil, err
	}
	aliases := []signals.Alias{vendor}
	if alias, err := signals.NewAlias(signals.AliasSerial, serial); err == nil {
		aliases = append(aliases, alias)
	}
	if alias, err := signals.NewAlias(signals.AliasUUID, udid); err == nil && udidShape.MatchString(alias.Value) {
		aliases = append(aliases, alias)
	}
	slices.SortFunc(aliases[1:], signals.CompareAliases)
	return aliases, nil
}
