package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// exception is a compiled Exception of the directory.
type exception struct {
	*Exception
	devices []signals.Alias
}

func (c *compiler) exceptions() {
	c.rules = newExceptionRules(&c.spec, c.teams, c.world.Issuers)
	for i := range c.spec.Exceptions {
		e := &c.spec.Exceptions[i]
		c.owner(KindException, e.Meta)
		for _, f := range c.rules.faults(e, nil) {
			c.unknown(KindException, e.Meta.Name, f.field, f.message, f.wrong, f.known, f.help)
		}
	}
}

// compiledExceptions puts the exceptions to the routes that they name.
func (c *compiler) compiledExceptions(routes map[string]*route) {
	for i := range c.spec.Exceptions {
		e := &exception{Exception: &c.spec.Exceptions[i], devices: devicesOf(&c.spec.Exceptions[i])}
		for _, name := range e.Routes {
			if r := routes[name]; !slices.Contains(r.exceptions, e) {
				r.exceptions = append(r.exceptions, e)
			}
		}
	}
}

// identities checks the inventory: each non-human identity has exactly one entry, and so one owner.
func (c *compiler) identities() {
	type claim struct {
		pattern identity.SPIFFEPattern
		entry   string
	}
	var claims []claim
	records := map[string][]recordClaim{} // by SYSTEM/ID
	for i := range c.spec.Identities {
		d := &c.spec.Identities[i]
		c.recordedAs(d, records)
		c.owner(KindIdentity, d.Meta)
		fault := func(field, message, help string) { c.fault(KindIdentity, d.Meta.Name, field, message, help) }
		if !slices.Contains(identityTypes, d.Type) {
			fault("spec.type", fmt.Sprintf("type is %q", d.Type), "write one of "+joined(identityTypes))
		}
		if !slices.Contains(recordedIn, d.RecordedIn) {
			fault("spec.recordedIn", fmt.Sprintf("recordedIn is %q", d.RecordedIn), "write one of "+joined(recordedIn))
		}
		if d.ReviewBy.IsZero() {
			fault("spec.reviewBy", "the entry has no date of review", "reviewBy: 2027-03-01")
		}
		if b := d.Credentials; b != nil && (b.MaxAge <= 0 || b.MaxAge > MaxCredentialAge) {
			fault("spec.credentials.maxAge", fmt.Sprintf("credentials may be %s old; more than 0 and at most 366d can be said", b.MaxAge),
				fmt.Sprintf("credentials: {maxAge: %dd}, or leave it out: that is usual for the type", d.Type.CredentialMaxAge()/(24*time.Hour)))
		}
		if d.Type == IdentityOfWorkload && len(d.SPIFFEIDs) == 0 {
			fault("spec.spiffeIDs", "a workload is known by its SPIFFE IDs", `spiffeIDs: ["spiffe://example.org/ns/ci/sa/deployer"]`)
		}
		for j, id := range d.SPIFFEIDs {
			field := fmt.Sprintf("spec.spiffeIDs[%d]", j)
			pattern, err := identity.ParseSPIFFEPattern(id)
			if err != nil {
				fault(field, err.Error(), "spiffe://DOMAIN/path, * for one segment, /** at the end for all below")
				continue
			}
			if k := slices.IndexFunc(claims, func(c claim) bool { return c.pattern.Overlaps(pattern) }); k >= 0 {
				fault(field, fmt.Sprintf("identity %q already stands for %s", claims[k].entry, id),
					"one identity has one entry, and so one owner")
			}
			claims = append(claims, claim{pattern, d.Meta.Name})
		}
	}
}

// recordClaim is one line of an entry's recordedAs.
type recordClaim struct {
	Recorded
	entry string
}

// recordedAs checks where other systems record an identity: that, too, has one entry.
func (c *compiler) recordedAs(d *Identity, records map[string][]recordClaim) {
	for j, text := range d.RecordedAs {
		field := fmt.Sprintf("spec.recordedAs[%d]", j)
		r, err := ParseRecorded(text)
		if err != nil {
			c.fault(KindIdentity, d.Meta.Name, field, err.Error(), "recordedAs: [cloud-iam/ID], or [cloud-iam@PART/ID] of one part of it")
			continue
		}
		key := r.System + "/" + r.ID
		if k := slices.IndexFunc(records[key], func(c recordClaim) bool { return c.Overlaps(r) }); k >= 0 {
			c.fault(KindIdentity, d.Meta.Name, field, fmt.Sprintf("identity %q already stands for %s", records[key][k].entry, text),
				"one identity has one entry, and so one owner")
		}
		records[key] = append(records[key], recordClaim{r, d.Meta.Name})
	}
}

func (c *compiler) monitors() {
	for i := range c.spec.Monitors {
		m := &c.spec.Monitors[i]
		c.owner(KindMonitor, m.Meta)
		fault := func(field, message, help string) { c.fault(KindMonitor, m.Meta.Name, field, message, help) }
		if len(m.Watch) == 0 {
			fault("spec.watch", "the monitor watches nothing", "watch: [drift]")
		}
		for j, kind := range m.Watch {
			field := fmt.Sprintf("spec.watch[%d]", j)
			if !slices.Contains(watchable, kind) {
				c.unknown(KindMonitor, m.Meta.Name, field, fmt.Sprintf("%q is nothing that can be watched", kind), kind, watchable,
					"watch any of "+joined(watchable))
			}
			if slices.Contains(m.Watch[:j], kind) {
				fault(field, fmt.Sprintf("%s is listed twice", kind), "remove one")
			}
		}
		if !slices.Contains(severities, m.Severity) {
			fault("spec.severity", fmt.Sprintf("severity is %q", m.Severity), "write one of "+joined(severities))
		}
		if m.CloseWithin <= 0 {
			fault("spec.closeWithin", "the monitor does not say how fast", "closeWithin: 7d")
		}
		if _, ok := c.teams[m.Assign]; m.Assign != "" && !ok {
			c.unknown(KindMonitor, m.Meta.Name, "spec.assign", fmt.Sprintf("%q is no team", m.Assign), m.Assign,
				slices.Sorted(maps.Keys(c.teams)), "the teams stand in the Governance document")
		}
		c.thresholds(m)
		c.tell(m)
		for j, audience := range m.Audiences {
			c.refer(KindMonitor, m.Meta.Name, fmt.Sprintf("spec.audiences[%d]", j), KindAudience, audience)
		}
	}
}

// tell checks the outlets that a monitor names, as far as the settings that are known have any.
func (c *compiler) tell(m *Monitor) {
	for j, name := range m.Tell {
		field := fmt.Sprintf("spec.tell[%d]", j)
		if slices.Contains(m.Tell[:j], name) {
			c.fault(KindMonitor, m.Meta.Name, field, fmt.Sprintf("%s is listed twice", name), "remove one")
		}
		if c.world.Outlets != nil && !slices.Contains(c.world.Outlets, name) {
			c.unknown(KindMonitor, m.Meta.Name, field, fmt.Sprintf("the settings have no outlet %q", name), name, c.world.Outlets,
				"write it into the settings (outlets), or correct the name")
		}
	}
}

// thresholds checks the numbers of a monitor: each must mean something for a kind that is watched.
func (c *compiler) thresholds(m *Monitor) {
	check := func(field string, value, most int, needs ...string) {
		fault := func(message, help string) { c.fault(KindMonitor, m.Meta.Name, field, message, help) }
		switch {
		case value == 0:
		case value < 0 || value > most:
			fault(fmt.Sprintf("%d is out of reach", value), fmt.Sprintf("write a number from 1 to %d, or nothing for the default", most))
		case !common(m.Watch, needs):
			fault("it means nothing for what this monitor watches", "remove it, or watch any of "+joined(needs))
		}
	}
	check("spec.share", m.Share, 100, "conflict", "drift", "exception-abuse")
	check("spec.count", m.Count, 10000, "exception-abuse", "identity-misconfigured")
}

func joined[T ~string](words []T) string {
	text := make([]string, len(words))
	for i, w := range words {
		text[i] = string(w)
	}
	return strings.Join(text, ", ")
}
