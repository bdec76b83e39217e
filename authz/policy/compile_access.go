package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

func (c *compiler) compileAudiences() {
	for i := range c.spec.Audiences {
		a := &c.spec.Audiences[i]
		c.owner(KindAudience, a.Meta)
		compiled := audience{name: a.Meta.Name, isolated: a.Isolated, ownershipOutside: a.OwnershipUnknown == OwnershipOutside}
		if a.OwnershipUnknown != "" && a.OwnershipUnknown != OwnershipOutside {
			c.fault(KindAudience, a.Meta.Name, "spec.ownershipUnknown", fmt.Sprintf("ownershipUnknown is %q", a.OwnershipUnknown),
				"write outside, or leave it out")
		}
		if len(a.Members)+len(a.Workloads) == 0 {
			c.fault(KindAudience, a.Meta.Name, "spec.members", "the audience has no members", "members: [{issuer: corp, group: staff}]")
		}
		for j, m := range a.Members {
			compiled.entries = append(compiled.entries, c.member(a, m, fmt.Sprintf("spec.members[%d]", j)))
		}
		for j, m := range a.Workloads {
			field := fmt.Sprintf("spec.workloads[%d]", j)
			if m.SPIFFE == "" {
				c.fault(KindAudience, a.Meta.Name, field, "a workload is named by spiffe", `spiffe: "spiffe://example.org/ns/ci/*"`)
			}
			compiled.entries = append(compiled.entries, c.member(a, m, field))
		}
		c.audAt[a.Meta.Name] = i
		c.audiences = append(c.audiences, compiled)
	}
}

func (c *compiler) member(a *Audience, m Member, field string) entry {
	e := entry{issuer: m.Issuer, group: m.Group, user: m.User, ownership: m.DeviceOwnership}
	fault := func(key, message, help string) { c.fault(KindAudience, a.Meta.Name, field+key, message, help) }
	if m == (Member{}) {
		fault("", "the entry says nothing, so it would admit everybody", "members: [{issuer: corp, group: staff}]")
	}
	if m.Issuer == "" && (m.Group != "" || m.User != "") {
		fault("", "a group or user means nothing without its issuer", "add issuer: NAME")
	}
	if m.Issuer != "" && c.world.Issuers != nil && !slices.Contains(c.world.Issuers, m.Issuer) {
		c.unknown(KindAudience, a.Meta.Name, field+".issuer", fmt.Sprintf("the settings have no issuer %q", m.Issuer), m.Issuer,
			c.world.Issuers, "issuers stand under identity")
	}
	if m.SPIFFE != "" {
		pattern, err := identity.ParseSPIFFEPattern(m.SPIFFE)
		switch {
		case err != nil:
			fault(".spiffe", err.Error(), "spiffe://DOMAIN/path, * for one segment, /** at the end for all below")
		case c.world.TrustDomains != nil && !slices.Contains(c.world.TrustDomains, pattern.TrustDomain()):
			c.unknown(KindAudience, a.Meta.Name, field+".spiffe", fmt.Sprintf("the settings trust no domain %q", pattern.TrustDomain()),
				pattern.TrustDomain(), c.world.TrustDomains, "trust domains stand under identity")
		}
		e.spiffe = &pattern
	}
	if owned, _ := signals.LookupAttribute("ownership"); m.DeviceOwnership != "" && !slices.Contains(owned.Scale, m.DeviceOwnership) {
		fault(".deviceOwnership", fmt.Sprintf("%q is no ownership", m.DeviceOwnership), "write one of "+strings.Join(owned.Scale, ", "))
	}
	if m.DeviceOwnership != "" && c.world.Sources != nil && !c.attested("ownership") {
		fault(".deviceOwnership", "no configured source may attest ownership", "add it to the attests of a source in the settings")
	}
	return e
}

// unused reports documents that nothing refers to: they look like protection and are none. Where a reference dangles, the
// unused document is most likely the one that was meant.
func (c *compiler) unused() {
	for _, t := range c.spec.Tiers {
		if !c.used[KindTier+"/"+t.Meta.Name] && !c.dangling[KindTier] {
			c.fault(KindTier, t.Meta.Name, "metadata.name", fmt.Sprintf("no route uses tier %q", t.Meta.Name), "use it or remove it")
		}
	}
	for _, a := range c.spec.Audiences {
		if !c.used[KindAudience+"/"+a.Meta.Name] && !c.dangling[KindAudience] {
			c.fault(KindAudience, a.Meta.Name, "metadata.name", fmt.Sprintf("no route lists audience %q", a.Meta.Name), "use it or remove it")
		}
	}
	for _, u := range c.spec.Upstreams {
		if !c.used[KindUpstream+"/"+u.Meta.Name] && !c.dangling[KindUpstream] {
			c.fault(KindUpstream, u.Meta.Name, "metadata.name", fmt.Sprintf("no route leads to upstream %q", u.Meta.Name), "use it or remove it")
		}
	}
}
