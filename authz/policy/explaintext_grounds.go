package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
)

func (e *Explanation) groundsOfRequest(p *page) {
	p.part("The request and its route")
	p.item("It was %s %s%s at %s. \"Earlier\" and \"later\" count from then.", short(e.Request.Method),
		short(e.Request.Host), short(e.Request.Path), clock(e.At))
	r := e.Route
	switch {
	case r == nil, r.Host == "", len(e.Who.Doubts) > 0, e.Request.Method == "":
		p.item("No route was looked for: %s", sentence(e.Verdict.Detail))
		return
	case r.Found == "":
		p.item("No route of the policy covers this host and path, and what has no route is refused.")
	default:
		methods := "every method"
		if len(r.Methods) > 0 {
			methods = "the " + verb(r.Methods, "method ", "methods ") + series(r.Methods)
		}
		p.item("The most exact route for this host and path is %s, which covers %s for %s. Team %s owns it.", quoted(r.Found),
			r.Pattern, methods, r.Owner)
	}
	if len(r.Origins) > 0 {
		p.item("Web pages from %s may use it from a browser (CORS). Envoy says so to the browser without asking here; what "+
			"the pages then ask for is judged as anything else.", series(r.Origins))
	}
	if r.Login != "" {
		p.item("A person with a browser who is not logged in, or not as this level wants it, is sent to %s.", r.Login)
	}
	if r.Chosen != "" {
		p.item("Envoy, the proxy in front, said that it chose route %s.", quoted(short(r.Chosen)))
	}
	e.otherRoutes(p)
	if t := e.Tier; t != nil {
		p.item("The route is at protection level (tier) %s of team %s, which wants to know the %s.", quoted(t.Name), t.Owner,
			wantedIdentity(t.Identify))
		if t.Mode == ModeMonitor {
			p.item("That level is in monitor mode: it writes down what it would refuse for the state of a device or for a " +
				"login, and lets it through. It still refuses for identity, for audience and for alarms.")
		}
	}
}

func wantedIdentity(i Identify) string {
	switch i {
	case IdentifyWorkload:
		return "program that asks (workload)"
	case IdentifyUserDevice:
		return "person and the device"
	case IdentifyUser:
	}
	return "person"
}

// otherRoutes tells of those that nearly matched, one by one, and counts the others.
func (e *Explanation) otherRoutes(p *page) {
	const most = 5
	near, told := 0, 0
	for _, o := range e.Route.Others {
		if !o.Near {
			continue
		}
		if near++; told < most {
			told++
			p.item("Route %s (%s) matches too, but %s.", quoted(o.Name), o.Pattern, o.Why)
		}
	}
	if near > told {
		p.item("%s more of this host %s passed over.", plural(near-told, "route"),
			verb(make([]string, near-told), "was", "were"))
	}
	if far := len(e.Route.Others) - near; far > 0 {
		p.item("%s of this host %s for other paths.", plural(far, "other route"), verb(make([]string, far), "is", "are"))
	}
}

func (e *Explanation) groundsOfSubject(p *page) {
	w := &e.Who
	p.part("Who asked")
	var proofs []string
	if w.User != "" {
		text := "a token of the user " + short(w.User)
		if len(w.Groups) > 0 {
			text += ", in " + verb(w.Groups, "group", "groups") + " " + short(series(w.Groups))
		}
		proofs = append(proofs, text+e.window(w.Token))
	}
	if w.Workload != "" {
		text := "the program " + short(string(w.Workload))
		if w.SVID != (identity.Validity{}) {
			text += " by a token" + e.window(w.SVID)
		}
		proofs = append(proofs, text)
	}
	if w.Device != "" {
		proofs = append(proofs, "the device "+short(w.Device))
	}
	if w.Certificate != (identity.Validity{}) {
		proofs = append(proofs, "a certificate"+e.window(w.Certificate))
	}
	if len(proofs) == 0 {
		p.item("Nothing was shown of who asks.")
	} else {
		p.item("Shown: %s.", strings.Join(proofs, "; "))
	}
	if w.Forwarder != "" {
		p.item("The proxy %s took the connection and told who is behind it.", w.Forwarder)
	}
	for _, d := range w.Doubts {
		p.item("Not believed (%s): %s", d.Code, sentence(short(d.Detail)))
	}
	switch {
	case w.Refused != "" && len(w.Doubts) == 0:
		p.item("That does not suffice: %s", sentence(e.Verdict.Detail))
	case e.Tier != nil && w.Refused == "":
		p.item("That suffices for this protection level.")
	}
}

func (e *Explanation) window(v identity.Validity) string {
	if v.Covers(e.At) {
		return ", valid until " + e.when(v.NotAfter)
	}
	return fmt.Sprintf(", not valid at that moment but from %s until %s", e.when(v.NotBefore), e.when(v.NotAfter))
}

func (e *Explanation) groundsOfAudiences(p *page) {
	if len(e.Audiences) == 0 {
		return
	}
	p.part("For whom it is open (audiences)")
	for i := range e.Audiences {
		a := &e.Audiences[i]
		entries := make([]string, 0, len(a.Entries))
		matched := ""
		for _, x := range a.Entries {
			entries = append(entries, x.Wants)
			if matched == "" && x.Membership == a.Membership && a.Membership != memberOut {
				matched = x.Wants
			}
		}
		text := "Audience " + quoted(a.Name) + " " + e.roleOf(a) + "; "
		switch a.Membership {
		case memberIn:
			text += "who asked is a member, by being " + matched
		case memberMaybe:
			text += "whether who asked is a member is not known, since nobody reports the ownership of the device; wanted is " +
				matched
			if a.Isolated {
				text += ". In doubt that counts as being one"
			} else {
				text += ". In doubt that does not count as being one"
			}
		default:
			text += "who asked is not in it, for it takes " + strings.Join(entries, ", or ")
		}
		p.item("%s.", strings.ReplaceAll(text, "by being the group", "by being in the group"))
	}
	if e.Verdict.Reason == ReasonIsolated || e.Verdict.Reason == ReasonAudience {
		p.item("So it is refused: %s", sentence(e.Verdict.Detail))
	}
}

// roleOf says what an audience has to do with the route.
func (e *Explanation) roleOf(a *ExplainedAudience) string {
	var roles []string
	switch {
	case a.Listed && a.Isolated:
		roles = append(roles, "is let in by the route and reaches nothing that does not list it")
	case a.Listed:
		roles = append(roles, "is let in by the route")
	case a.Isolated:
		roles = append(roles, "is kept apart: its members reach only routes that list it, and this one does not")
	}
	if e.Tier != nil && slices.Contains(e.Tier.Stricter, a.Name) {
		roles = append(roles, "has to show more at this protection level, which counts here")
	}
	if len(roles) == 0 {
		roles = append(roles, "has to show more at this protection level")
	}
	return series(roles)
}

func (e *Explanation) groundsOfLogins(p *page) {
	switch {
	case len(e.Logins) == 0:
		return
	case e.Logins[0].Wanted.SVID != nil:
		e.groundsOfSVIDs(p)
		return
	case e.Who.User == "":
		return
	}
	p.part("The login")
	l := &e.Logins[0]
	strength := "of no stated strength (acr)"
	if l.ACR != "" {
		strength = "of strength (acr) " + short(quoted(l.ACR))
	}
	if len(l.AMR) > 0 {
		strength += " by method (amr) " + short(series(quotedAll(l.AMR)))
	}
	if l.At.IsZero() {
		p.item("The login is %s; the token does not say when it was.", strength)
	} else {
		p.item("The login is %s, made at %s.", strength, e.when(l.At))
	}
	for i := range e.Logins {
		l := &e.Logins[i]
		text := "Always wanted is "
		if l.When == StepUpSignals {
			text = "If one of the checks under \"stepUp\" is not passing, wanted is "
		}
		text += wantedLogin(&l.Wanted)
		if l.Audience != "" {
			text += ", of members of audience " + quoted(l.Audience)
		}
		if l.Suffices {
			p.item("%s. The login suffices.", text)
		} else {
			p.item("%s. The login does not suffice%s.", text, e.lacks(l))
		}
		if !l.Judged.IsZero() {
			p.item("It is taken to be of %s, from when on it is remembered: the token's own word on that (auth_time) does not "+
				"suffice by the settings of its issuer (authTime).", e.when(l.Judged))
		}
	}
}

// lacks says in what a login falls short.
func (e *Explanation) lacks(l *ExplainedLogin) string {
	var ways []string
	if len(l.Wanted.ACR) > 0 && !slices.Contains(l.Wanted.ACR, l.ACR) {
		ways = append(ways, "its strength is another")
	}
	if len(l.Wanted.AMR) > 0 && !common(l.Wanted.AMR, l.AMR) {
		ways = append(ways, "its method is another")
	}
	switch most := l.Wanted.MaxAge; {
	case most == 0:
	case l.Unknown:
		ways = append(ways, "when it was first seen could not be found out, which the settings of its issuer (authTime) want")
	case l.At.IsZero() && l.Judged.IsZero():
		ways = append(ways, "its age is not known")
	case l.At.After(e.At) && l.Judged.IsZero():
		ways = append(ways, "it claims to be from the future")
	case !l.Suffices && l.Age > most:
		ways = append(ways, "it is "+spoken(l.Age)+" old")
	}
	if len(ways) == 0 {
		return ""
	}
	return ": " + series(ways)
}

// lasting is a bound of time in words.
func lasting(d time.Duration) string {
	if d == 0 {
		return "no time"
	}
	return spoken(d)
}
