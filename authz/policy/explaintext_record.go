package policy

import "fmt"

// record is the verdict as it is on record: all of it, in the words of the policy language.
func (e *Explanation) record(p *page) {
	v := &e.Verdict
	reason := string(v.Reason)
	if reason == "" {
		reason = "none"
	}
	p.item("Outcome %s, reason %s.", v.Outcome, reason)
	if v.Detail != "" {
		p.item("Detail: %s", sentence(v.Detail))
	}
	if m := v.Monitored; m != nil {
		p.item("Not given, since the tier is in monitor mode: outcome %s, reason %s.", m.Outcome, m.Reason)
	}
	if v.Route != "" {
		p.item("Route %s, tier %s (%s), upstream %s.", v.Route, v.Tier, v.Contact, v.Upstream)
	}
	for _, list := range []struct {
		word  string
		unmet []Unmet
	}{{"Not met", v.Unmet}, {"Noted", v.Noted}} {
		for i := range list.unmet {
			p.item("%s: %s", list.word, recorded(&list.unmet[i]))
		}
	}
	for i := range v.Waived {
		w := &v.Waived[i]
		p.item("Excused by %s %s until %s: %s", w.By, w.Name, clock(w.Until), recorded(&w.Unmet))
	}
	if c := v.Challenge; c != nil {
		p.item("Login asked for: %s.", wantedLogin(c))
	}
	if len(v.Disputed) > 0 {
		p.item("The sources disagree about %s.", series(v.Disputed))
	}
	if v.Token != "" {
		p.item("The client's token: %s, instead of forwarding it to the upstream.", v.Token)
	}
	if v.Recheck > 0 {
		p.item("A stream that lives on this answer is asked about again after %s.", spoken(v.Recheck))
	}
	if !v.Until.IsZero() {
		p.item("This answer holds until %s, when the first of its grounds ends: no stream lives longer.", clock(v.Until))
	}
	if f := v.Fallback; f != nil {
		p.item("Fallback: route %s, until %s. Link: %s.", f.Route, clock(f.Until), orNothing(f.URL))
	}
	if v.Tells != "" {
		p.item("The client may read of a refusal: %s.", v.Tells)
	}
	if v.Evidence != "" {
		p.item("Evidence of the decision: %s.", v.Evidence)
	}
	if v.Policy != "" {
		p.item("Policy %s.", v.Policy)
	}
}

func orNothing(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func recorded(u *Unmet) string {
	text := fmt.Sprintf("%s (%s), %s; team %s%s.", u.Signal, u.List, u.Status, u.Owner, contactOf(u.Contact))
	if u.Detail != "" {
		text += " " + sentence(u.Detail)
	}
	if fix := fixOf(&u.Fix); fix != "" {
		text += " Fix: " + fix
	}
	return text
}
