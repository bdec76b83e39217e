package policy

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// exceptionRules is what bounds an exception. Documents of the directory and exceptions granted at run time are judged by
// the same rules, so that nothing in a store can grant more than the policy.
type exceptionRules struct {
	teams    map[string]Team
	routes   map[string]*Route
	tiers    map[string]*Tier
	written  map[string]*Exception          // the directory's
	byDevice map[signals.Alias][]*Exception // the directory's
	issuers  []string                       // nil: not known
}

// silentGap is how soon after an exception's end the next one for the same things is its continuation, which must say so.
const silentGap = 24 * time.Hour

func newExceptionRules(spec *Spec, teams map[string]Team, issuers []string) *exceptionRules {
	r := &exceptionRules{teams: teams, routes: map[string]*Route{}, tiers: map[string]*Tier{}, written: map[string]*Exception{},
		byDevice: map[signals.Alias][]*Exception{}, issuers: issuers}
	for i := range spec.Routes {
		r.routes[spec.Routes[i].Meta.Name] = &spec.Routes[i]
	}
	for i := range spec.Tiers {
		r.tiers[spec.Tiers[i].Meta.Name] = &spec.Tiers[i]
	}
	for i := range spec.Exceptions {
		e := &spec.Exceptions[i]
		r.written[e.Meta.Name] = e
		for _, alias := range devicesOf(e) {
			r.byDevice[alias] = append(r.byDevice[alias], e)
		}
	}
	return r
}

// exceptionFault is a fault of one exception, before it is known which document it stands in.
type exceptionFault struct {
	field, message, help string
	wrong                string   // a name that is none of known
	known                []string // sorted
}

// faults judges an exception. granted are those granted at run time, among which it may find the one that it renews.
func (r *exceptionRules) faults(e *Exception, granted []Exception) []exceptionFault {
	f := &exceptionFaults{}
	if named := r.named(e.Meta.Name, granted); named > 1 {
		f.add("metadata.name", fmt.Sprintf("%d exceptions have the name %q", named, e.Meta.Name), "give this one a name of its own")
	}
	r.who(f, e)
	r.what(f, e)
	r.when(f, e)
	r.chain(f, e, granted)
	return f.all
}

type exceptionFaults struct{ all []exceptionFault }

func (f *exceptionFaults) add(field, message, help string) {
	f.all = append(f.all, exceptionFault{field: field, message: message, help: help})
}

func (f *exceptionFaults) unknown(field, message, wrong string, known []string, help string) {
	f.all = append(f.all, exceptionFault{field: field, message: message, help: help, wrong: wrong, known: known})
}

func (r *exceptionRules) who(f *exceptionFaults, e *Exception) {
	for _, text := range [...]struct{ field, value, help string }{
		{"reason", e.Reason, "say why the demand cannot be met"},
		{"approver", e.Approver, "name the person who approved it"},
		{"ticket", e.Ticket, "name where the request is on record"},
	} {
		if strings.TrimSpace(text.value) == "" {
			f.add("spec."+text.field, "the exception has no "+text.field, text.help)
		}
	}
	if len(e.Subjects) == 0 {
		f.add("spec.subjects", "the exception names nobody", "subjects: [{issuer: corp, user: ana@acme.example}]")
	}
	for i, s := range e.Subjects {
		field := fmt.Sprintf("spec.subjects[%d]", i)
		switch {
		case s.Issuer == "":
			f.add(field, "a user or group means nothing without its issuer", "add issuer: NAME")
		case s.User == "" && s.Group == "":
			f.add(field, "the entry names everybody of issuer "+s.Issuer, "name a user or a group")
		case s.User != "" && s.Group != "":
			f.add(field, "the entry names a user and a group", "write two entries")
		case s.User != "" && strings.EqualFold(strings.TrimSpace(s.User), strings.TrimSpace(e.Approver)):
			f.add("spec.approver", fmt.Sprintf("%s approves an exception for themselves", e.Approver), "let somebody else approve it")
		case r.issuers != nil && !slices.Contains(r.issuers, s.Issuer):
			f.unknown(field+".issuer", fmt.Sprintf("the settings have no issuer %q", s.Issuer), s.Issuer, r.issuers,
				"issuers stand under identity")
		}
	}
	if len(e.Devices) == 0 {
		f.add("spec.devices", "the exception names no device", "devices: [SERIAL]")
	}
	for i, device := range e.Devices {
		if _, err := parseExceptionDevice(device); err != nil {
			f.add(fmt.Sprintf("spec.devices[%d]", i), err.Error(), "write the serial number, or KIND:VALUE as `tiergate device get` prints it")
		}
	}
}

// parseExceptionDevice reads KIND:VALUE, or a serial number alone.
func parseExceptionDevice(name string) (signals.Alias, error) {
	if strings.Contains(name, ":") {
		return signals.ParseAlias(name)
	}
	return signals.NewAlias(signals.AliasSerial, name)
}

// what checks the routes and signals: each signal must be demanded on at least one of the routes, and be such that an
// exception can excuse it on all.
func (r *exceptionRules) what(f *exceptionFaults, e *Exception) {
	if len(e.Routes) == 0 {
		f.add("spec.routes", "the exception names no route", "routes: [NAME]")
	}
	if len(e.Signals) == 0 {
		f.add("spec.signals", "the exception names no signal", "signals: [NAME]")
	}
	useful := make([]bool, len(e.Signals))
	unknown := false
	bounded := map[string]bool{} // said once, however many routes have that tier
	for i, name := range e.Routes {
		route := r.routes[name]
		if route == nil {
			unknown = true
			f.unknown(fmt.Sprintf("spec.routes[%d]", i), fmt.Sprintf("there is no Route %q", name), name,
				slices.Sorted(maps.Keys(r.routes)), "write the document or correct the name")
			continue
		}
		tier := r.tiers[route.Tier]
		if tier == nil {
			unknown = true // the route's own fault
			continue
		}
		if !bounded[route.Tier] {
			r.bound(f, e, tier, fmt.Sprintf("spec.routes[%d]", i))
		}
		bounded[route.Tier] = true
		for j, signal := range e.Signals {
			lists := listsOf(tier, signal)
			if slices.Contains(lists, ListDenyUnless) {
				f.add(fmt.Sprintf("spec.signals[%d]", j), fmt.Sprintf("tier %q denies unless %q holds, which nothing excuses", tier.Meta.Name, signal),
					"remove the signal, or the route")
				useful[j] = true // that is fault enough
			}
			if slices.Contains(lists, ListRequire) || slices.Contains(lists, ListStepUp) {
				useful[j] = true
			}
		}
	}
	for j, ok := range useful {
		if !ok && len(e.Routes) > 0 && !unknown {
			f.add(fmt.Sprintf("spec.signals[%d]", j), fmt.Sprintf("no tier of these routes requires signal %q", e.Signals[j]),
				"an exception excuses what a tier requires or steps up for; remove the signal or correct the name")
		}
	}
}

// listsOf are the lists of a tier, of everybody and of any audience, in which a signal stands.
func listsOf(t *Tier, signal string) []List {
	all := []iter.Seq2[List, DenyUnless]{t.entries()}
	for i := range t.Stricter {
		all = append(all, t.Stricter[i].entries())
	}
	var lists []List
	for _, entries := range all {
		for list, d := range entries {
			if d.Signal == signal {
				lists = append(lists, list)
			}
		}
	}
	return lists
}

func (r *exceptionRules) bound(f *exceptionFaults, e *Exception, t *Tier, field string) {
	switch {
	case t.Exceptions == nil:
		f.add(field, fmt.Sprintf("tier %q allows no exceptions", t.Meta.Name), "remove the route, or state exceptions in the tier")
	case e.From.IsZero() || e.Until.IsZero() || !t.Exceptions.sound(): // said by itself
	case e.Until.Sub(e.From) > t.Exceptions.MaxDuration:
		f.add("spec.until", fmt.Sprintf("the exception lasts %s; tier %q allows %s", written(e.Until.Sub(e.From)), t.Meta.Name,
			written(t.Exceptions.MaxDuration)), "end it earlier, and renew it if it must be")
	}
}

func (r *exceptionRules) when(f *exceptionFaults, e *Exception) {
	switch {
	case e.From.IsZero():
		f.add("spec.from", "the exception has no start", "from: 2026-11-20T08:00:00Z")
	case e.Until.IsZero():
		f.add("spec.until", "the exception has no end", "until: 2026-11-27T18:00:00Z")
	case !e.From.Before(e.Until):
		f.add("spec.until", "the exception ends before it starts", "write a later end")
	}
}

// chain follows what an exception renews and counts it, and finds one that continues another without saying so.
func (r *exceptionRules) chain(f *exceptionFaults, e *Exception, granted []Exception) {
	ancestors := map[string]bool{e.Meta.Name: true}
	var late *Exception
	for at := e; at.Renews != ""; {
		previous := r.find(at.Renews, granted)
		switch {
		case previous == nil:
			f.unknown("spec.renews", fmt.Sprintf("there is no Exception %q", at.Renews), at.Renews,
				slices.Sorted(maps.Keys(r.written)), "name the exception that this one continues")
			return
		case ancestors[previous.Meta.Name]:
			f.add("spec.renews", "the exceptions renew each other in a circle", "the first of them renews nothing")
			return
		case !previous.From.Before(at.From):
			late = previous
		}
		ancestors[previous.Meta.Name] = true
		at = previous
	}
	if late != nil {
		f.add("spec.renews", fmt.Sprintf("exception %q starts no earlier than its renewal", late.Meta.Name), "correct the instants")
		return
	}
	for _, name := range e.Routes {
		route := r.routes[name]
		if route == nil || r.tiers[route.Tier] == nil || r.tiers[route.Tier].Exceptions == nil ||
			!r.tiers[route.Tier].Exceptions.sound() {
			continue
		}
		if most := r.tiers[route.Tier].Exceptions.MaxRenewals; len(ancestors)-1 > most {
			f.add("spec.renews", fmt.Sprintf("this is renewal %d; tier %q allows %d", len(ancestors)-1, route.Tier, most),
				"mend the cause, or let the tier's owner allow more")
			return
		}
	}
	if other := r.continued(e, ancestors, granted); other != nil {
		f.add("spec.renews", fmt.Sprintf("this continues exception %q without saying so", other.Meta.Name), "renews: "+other.Meta.Name)
	}
}

// continued finds an exception that one takes up from and does not name. A name says which exception is meant, so one that
// was granted under the name of another is a continuation of that.
func (r *exceptionRules) continued(e *Exception, ancestors map[string]bool, granted []Exception) *Exception {
	devices := devicesOf(e)
	for _, device := range devices {
		for _, other := range r.byDevice[device] {
			if other != e && !ancestors[other.Meta.Name] && continues(e, other) {
				return other
			}
		}
	}
	for i := range granted {
		other := &granted[i]
		if other != e && !ancestors[other.Meta.Name] && common(devices, devicesOf(other)) && continues(e, other) {
			return other
		}
	}
	return nil
}

// devicesOf are the devices of an exception, however they are spelt; what names none is left out.
func devicesOf(e *Exception) []signals.Alias {
	devices := make([]signals.Alias, 0, len(e.Devices))
	for _, name := range e.Devices {
		if alias, err := parseExceptionDevice(name); err == nil {
			devices = append(devices, alias)
		}
	}
	return devices
}

// named counts the exceptions of a name.
func (r *exceptionRules) named(name string, granted []Exception) int {
	count := 0
	if r.written[name] != nil {
		count++
	}
	for i := range granted {
		if granted[i].Meta.Name == name {
			count++
		}
	}
	return count
}

func (r *exceptionRules) find(name string, granted []Exception) *Exception {
	if e := r.written[name]; e != nil {
		return e
	}
	for i := range granted {
		if granted[i].Meta.Name == name {
			return &granted[i]
		}
	}
	return nil
}

// continues reports that an exception takes up where another ends, or overlaps it, for the same subject, route and signal.
// Of two that start together it is the one with the greater name.
func continues(e, other *Exception) bool {
	later := e.From.After(other.From) || e.From.Equal(other.From) && e.Meta.Name > other.Meta.Name
	return later && e.From.Before(other.Until.Add(silentGap)) && common(e.Subjects, other.Subjects) &&
		common(e.Routes, other.Routes) && common(e.Signals, other.Signals)
}

func common[T comparable](a, b []T) bool {
	return slices.ContainsFunc(a, func(x T) bool { return slices.Contains(b, x) })
}
