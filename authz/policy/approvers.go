package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/identity"
)

// Approver is who may approve, at run time, for what a team owns: one user or group of an issuer, or who shows a client
// certificate. Somebody known only as a local user of a machine never may.
type Approver struct {
	Issuer string `yaml:"issuer,omitempty" json:"issuer,omitempty"` // of the settings; with user or group
	User   string `yaml:"user,omitempty" json:"user,omitempty"`
	Group  string `yaml:"group,omitempty" json:"group,omitempty"`
	// Certificate is the SPIFFE ID or the e-mail address that a client certificate names.
	Certificate string `yaml:"certificate,omitempty" json:"certificate,omitempty"`
}

func (a Approver) String() string {
	var parts []string
	for _, part := range [...]struct{ what, name string }{{"", a.User}, {"group ", a.Group}, {"certificate ", a.Certificate},
		{"of issuer ", a.Issuer}} {
		if part.name != "" {
			parts = append(parts, part.what+part.name)
		}
	}
	return strings.Join(parts, " ")
}

// approvers checks whom a team lets approve.
func (c *compiler) approvers(governance, team string, all []Approver) {
	for i, a := range all {
		field := fmt.Sprintf("spec.teams.%s.approvers[%d]", team, i)
		fault := func(message, help string) { c.fault(KindGovernance, governance, field, message, help) }
		switch {
		case slices.Contains(all[:i], a):
			fault("the approver is listed twice", "remove one")
		case a.Certificate != "" && (a.Issuer != "" || a.User != "" || a.Group != ""):
			fault("an approver is known by a certificate or by a token", "write two entries")
		case a.Certificate != "":
			if why := certificateName(a.Certificate); why != "" {
				fault(why, "write the SPIFFE ID or the e-mail address that the certificate names")
			}
		case a.Issuer == "":
			fault("a user or group means nothing without its issuer", "write {issuer: NAME, user: NAME}, {issuer: NAME, group: NAME}, "+
				"or {certificate: SPIFFE ID or e-mail address}")
		case a.User == "" && a.Group == "":
			fault("everybody of issuer "+a.Issuer+" could approve", "name a user or a group")
		case a.User != "" && a.Group != "":
			fault("the entry names a user and a group", "write two entries")
		case c.world.Issuers != nil && !slices.Contains(c.world.Issuers, a.Issuer):
			c.unknown(KindGovernance, governance, field+".issuer", fmt.Sprintf("the settings have no issuer %q", a.Issuer), a.Issuer,
				slices.Sorted(slices.Values(c.world.Issuers)), "issuers stand under identity")
		}
	}
}

// certificateName says what is wrong with the name of a certificate; empty: nothing.
func certificateName(name string) string {
	if strings.HasPrefix(name, "spiffe:") {
		if _, err := identity.ParseSPIFFEID(name); err != nil {
			return err.Error()
		}
		return ""
	}
	if local, domain, ok := strings.Cut(name, "@"); !ok || local == "" || domain == "" || strings.ContainsAny(name, " \t<>,;\"") ||
		strings.Contains(domain, "@") {
		return fmt.Sprintf("%q is no SPIFFE ID and no e-mail address", name)
	}
	return ""
}

// Approvers are those who may approve for what a team owns, as its Governance document lists them; ok is false if there is
// no such team.
func (p *Policy) Approvers(team string) (approvers []Approver, ok bool) {
	t, ok := p.rules.teams[team]
	return t.Approvers, ok
}
