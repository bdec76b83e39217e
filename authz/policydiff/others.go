package policydiff

import (
	"fmt"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

func (c *comparison) governance() {
	each(c, policy.KindGovernance, "governance", c.was.Governance, c.is.Governance,
		func(g *policy.Governance) *policy.Meta { return &g.Meta },
		func(d *document, g *policy.Governance) {
			d.say("", neither, "was added: accountable is %s", g.Accountable.Name)
		},
		func(d *document, g *policy.Governance) {
			d.say("", neither, "was removed: accountable was %s", g.Accountable.Name)
		},
		func(d *document, was, is *policy.Governance) {
			d.owner = was.Accountable.Name
			d.text("spec.accountable.name", "names as accountable", was.Accountable.Name, is.Accountable.Name)
			d.text("spec.accountable.contact", "has the accountable owner answer at", was.Accountable.Contact, is.Accountable.Contact)
			for _, name := range union(was.Teams, is.Teams) {
				old, inOld := was.Teams[name]
				now, inNew := is.Teams[name]
				field := "spec.teams." + name
				switch {
				case !inOld:
					d.say(field, neither, "gained team %s", name)
				case !inNew:
					d.say(field, neither, "lost team %s", name)
				}
				d.text(field+".contact", "has team "+name+" answer at", old.Contact, now.Contact)
				d.text(field+".escalation", "escalates for team "+name+" to", old.Escalation, now.Escalation)
				d.set(field+".members", "team "+name+": gained member", "team "+name+": lost member", old.Members, now.Members)
				d.set(field+".codeOwners", "team "+name+": is now also", "team "+name+": is no longer", old.CodeOwners, now.CodeOwners)
				d.set(field+".approvers", "team "+name+": gained approver", "team "+name+": lost approver", approvers(old.Approvers),
					approvers(now.Approvers))
			}
		})
}

// approvers names those who may grant at run time. That moves no answer by itself.
func approvers(all []policy.Approver) []string {
	names := make([]string, 0, len(all))
	for _, a := range all {
		names = append(names, a.String())
	}
	return names
}

// text says that a text was replaced that moves no answer.
func (d *document) text(field, what, was, is string) {
	if was != is {
		d.say(field, neither, "%s %s instead of %s", what, quoted(is), quoted(was))
	}
}

// set says what a list gained and lost that moves no answer.
func (d *document) set(field, gained, lost string, was, is []string) {
	for _, x := range without(is, was) {
		d.say(field, neither, "%s %s", gained, x)
	}
	for _, x := range without(was, is) {
		d.say(field, neither, "%s %s", lost, x)
	}
}

const whyAnswers = "who answers there is another"

func (c *comparison) upstreams() {
	each(c, policy.KindUpstream, "upstream", c.was.Upstreams, c.is.Upstreams, func(u *policy.Upstream) *policy.Meta { return &u.Meta },
		func(d *document, u *policy.Upstream) { d.say("", neither, "was added: %s", listed(u.Endpoints)) },
		func(d *document, u *policy.Upstream) { d.say("", neither, "was removed: %s", listed(u.Endpoints)) },
		func(d *document, was, is *policy.Upstream) {
			for _, e := range without(is.Endpoints, was.Endpoints) {
				d.say("spec.endpoints", unsure(whyAnswers), "gained endpoint %s", e)
			}
			for _, e := range without(was.Endpoints, is.Endpoints) {
				d.say("spec.endpoints", neither, "lost endpoint %s", e)
			}
			if was.SPIFFEID != is.SPIFFEID {
				d.say("spec.spiffeID", unsure(whyAnswers), "must show the SPIFFE ID %s instead of %s", quoted(is.SPIFFEID), quoted(was.SPIFFEID))
			}
			if was.DNSName != is.DNSName {
				d.say("spec.dnsName", unsure(whyAnswers), "must show the DNS name %s instead of %s", quoted(is.DNSName), quoted(was.DNSName))
			}
			switch {
			case is.Plaintext && !was.Plaintext:
				d.say("spec.plaintext", loosens, "is spoken to in plaintext: anybody there may answer")
			case was.Plaintext && !is.Plaintext:
				d.say("spec.plaintext", tightens, "is no longer spoken to in plaintext")
			}
			d.text("spec.protocol", "is spoken to in", string(was.Protocol), string(is.Protocol))
		})
}

func (c *comparison) identities() {
	each(c, policy.KindIdentity, "identity", c.was.Identities, c.is.Identities, func(i *policy.Identity) *policy.Meta { return &i.Meta },
		func(d *document, i *policy.Identity) {
			d.say("", neither, "was added: a %s, %s", i.Type, listed(i.SPIFFEIDs))
		},
		func(d *document, i *policy.Identity) {
			d.say("", neither, "was removed: a %s, %s", i.Type, listed(i.SPIFFEIDs))
		},
		func(d *document, was, is *policy.Identity) {
			d.text("spec.type", "is of type", string(was.Type), string(is.Type))
			d.set("spec.spiffeIDs", "gained SPIFFE ID", "lost SPIFFE ID", was.SPIFFEIDs, is.SPIFFEIDs)
			d.text("spec.recordedIn", "is recorded in", was.RecordedIn, is.RecordedIn)
			d.set("spec.recordedAs", "gained record", "lost record", was.RecordedAs, is.RecordedAs)
			d.text("spec.reviewBy", "is to be reviewed by", was.ReviewBy.Format(time.DateOnly), is.ReviewBy.Format(time.DateOnly))
			if a, b := was.CredentialMaxAge(), is.CredentialMaxAge(); a != b || (was.Credentials == nil) != (is.Credentials == nil) {
				d.say("spec.credentials", neither, "wants credentials no older than %s instead of %s", aged(is), aged(was))
			}
		})
}

// aged is how old credentials of an identity may become.
func aged(i *policy.Identity) string {
	if i.Credentials == nil {
		return span(i.CredentialMaxAge()) + " (its type's)"
	}
	return span(i.CredentialMaxAge())
}

func (c *comparison) monitors() {
	each(c, policy.KindMonitor, "monitor", c.was.Monitors, c.is.Monitors, func(m *policy.Monitor) *policy.Meta { return &m.Meta },
		func(d *document, m *policy.Monitor) { d.say("", neither, "was added: watches %s", listed(m.Watch)) },
		func(d *document, m *policy.Monitor) {
			d.say("", neither, "was removed: it watched %s", listed(m.Watch))
		},
		func(d *document, was, is *policy.Monitor) {
			d.set("spec.watch", "also watches", "no longer watches", was.Watch, is.Watch)
			d.text("spec.severity", "holds what it finds for", string(was.Severity), string(is.Severity))
			d.text("spec.assign", "assigns what it finds to", was.Assign, is.Assign)
			if was.CloseWithin != is.CloseWithin {
				d.say("spec.closeWithin", neither, "wants findings closed within %s instead of %s", span(is.CloseWithin), span(was.CloseWithin))
			}
			d.set("spec.audiences", "also watches audience", "no longer watches audience", was.Audiences, is.Audiences)
			d.text("spec.after", "finds what has lasted for", ifSaid(was.After > 0, span(was.After)), ifSaid(is.After > 0, span(is.After)))
			d.text("spec.share", "has the share, in percent, of", ifSaid(was.Share != 0, was.Share), ifSaid(is.Share != 0, is.Share))
			d.text("spec.count", "has the count of", ifSaid(was.Count != 0, was.Count), ifSaid(is.Count != 0, is.Count))
			d.set("spec.tell", "also tells outlet", "no longer tells outlet", was.Tell, is.Tell)
		})
}

// ifSaid is a value that a document says, or the word for one that it does not.
func ifSaid(said bool, value any) string {
	if !said {
		return "the default"
	}
	return fmt.Sprint(value)
}
