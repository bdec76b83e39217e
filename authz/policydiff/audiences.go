package policydiff

import (
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
)

func (c *comparison) audiences() {
	each(c, policy.KindAudience, "audience", c.was.Audiences, c.is.Audiences, func(a *policy.Audience) *policy.Meta { return &a.Meta },
		func(d *document, a *policy.Audience) {
			d.say("", either(a.Isolated, tightens, neither), "was added: %s%s", members(slices.Concat(a.Members, a.Workloads)), walls(a))
		},
		func(d *document, a *policy.Audience) {
			d.say("", either(a.Isolated, judgement{Loosens, "its members are no longer held in"}, neither), "was removed: %s%s",
				members(slices.Concat(a.Members, a.Workloads)), walls(a))
		},
		c.audience)
}

func walls(a *policy.Audience) string {
	if a.Isolated {
		return "; isolated"
	}
	return ""
}

func (c *comparison) audience(d *document, was, is *policy.Audience) {
	isolated := was.Isolated || is.Isolated
	asked := slices.ContainsFunc(slices.Concat(c.was.Tiers, c.is.Tiers), func(t policy.Tier) bool { return asksMoreOf(&t, is.Meta.Name) })
	left := tightens
	switch {
	case isolated:
		left = judgement{Loosens, "the audience is isolated: who leaves it is no longer held in"}
	case asked:
		left = judgement{Loosens, "a tier asks more of its members: who leaves it is asked less"}
	}
	c.membership(d, "spec.members", "", was.Members, is.Members, left)
	c.membership(d, "spec.workloads", "workload ", was.Workloads, is.Workloads, left)
	switch {
	case is.Isolated && !was.Isolated:
		d.say("spec.isolated", either(byOwnership(is) || byOwnership(was), unsure(whyOwner), tightens),
			"is isolated now: its members reach nothing but routes that list it")
	case was.Isolated && !is.Isolated:
		d.say("spec.isolated", loosens, "is no longer isolated: its members reach other routes too")
	}
	if was.OwnershipUnknown == is.OwnershipUnknown {
		return
	}
	counts := is.OwnershipUnknown != policy.OwnershipOutside
	owned := func(m policy.Member) bool { return m.DeviceOwnership != "" }
	j := neither
	if slices.ContainsFunc(slices.Concat(was.Members, is.Members, was.Workloads, is.Workloads), owned) {
		switch {
		case isolated, asked && !counts:
			j = loosens
		case asked:
			j = unsure(whyOwner)
		}
	}
	words := map[bool]string{true: "as a possible member", false: "as outside"}
	d.say("spec.ownershipUnknown", j, "counts a device whose ownership nobody reported %s", words[counts])
}

func (c *comparison) membership(d *document, field, what string, was, is []policy.Member, left judgement) {
	for _, m := range without(is, was) {
		if by, covered := coveredBy(m, was); covered {
			d.say(field, neither, "names %s%s, whom %s covered", what, member(m), member(by))
			continue
		}
		d.say(field, loosens, "gained %s%s", what, member(m))
	}
	for _, m := range without(was, is) {
		if by, covered := coveredBy(m, is); covered {
			d.say(field, neither, "no longer names %s%s, whom %s covers", what, member(m), member(by))
			continue
		}
		d.say(field, left, "lost %s%s", what, member(m))
	}
}

// coveredBy finds a member with a pattern that says the same of everybody whom one with a SPIFFE ID names.
func coveredBy(one policy.Member, all []policy.Member) (policy.Member, bool) {
	for _, m := range all {
		same := m
		same.SPIFFE = one.SPIFFE
		if same != one || m.SPIFFE == "" || one.SPIFFE == "" {
			continue
		}
		if pattern, err := identity.ParseSPIFFEPattern(m.SPIFFE); err == nil && pattern.Match(identity.SPIFFEID(one.SPIFFE)) {
			return m, true
		}
	}
	return policy.Member{}, false
}

func members(all []policy.Member) string {
	texts := make([]string, 0, len(all))
	for _, m := range all {
		texts = append(texts, member(m))
	}
	return strings.Join(texts, "; ")
}

func member(m policy.Member) string {
	var parts []string
	for _, part := range [...]struct{ word, value string }{
		{"group ", m.Group}, {"user ", m.User}, {"", m.SPIFFE}, {"devices owned as ", m.DeviceOwnership},
	} {
		if part.value != "" {
			parts = append(parts, part.word+part.value)
		}
	}
	text := strings.Join(parts, " with ")
	switch {
	case m.Issuer == "":
		return text
	case m.User == "" && m.Group == "":
		return strings.Join(append([]string{"everybody of issuer " + m.Issuer}, parts...), " with ")
	}
	return text + " of issuer " + m.Issuer
}
