package policydiff

import (
	"fmt"

	"github.com/tiergate/tiergate/authz/policy"
)

// stricter compares what a tier asks of single audiences besides.
func (c *comparison) stricter(d *document, was, is *policy.Tier) {
	olds, news := stricterByAudience(was), stricterByAudience(is)
	for _, audience := range union(olds, news) {
		old, now := olds[audience], news[audience]
		field, whom := fmt.Sprintf("spec.stricter[%s].", audience), " of audience "+audience
		if old == nil {
			old = &policy.Stricter{Audience: audience}
		}
		if now == nil {
			now = &policy.Stricter{Audience: audience}
		}
		c.lists(d, field, whom, stricterDemands(old), stricterDemands(now), is)
		d.stepUp(field, whom, old.StepUp, now.StepUp)
		d.grace(field, whom, old.Grace, now.Grace, true)
		d.exceptionBound(field, whom, old.Exceptions, now.Exceptions, true)
	}
}

func stricterByAudience(t *policy.Tier) map[string]*policy.Stricter {
	all := map[string]*policy.Stricter{}
	for i := range t.Stricter {
		all[t.Stricter[i].Audience] = &t.Stricter[i]
	}
	return all
}

// stepUp compares the logins that are wanted; the signals that want them are compared with the other lists.
func (d *document) stepUp(field, whom string, was, is *policy.StepUpDemand) {
	field += "stepUp"
	switch {
	case was == nil && is == nil:
		return
	case was == nil:
		d.say(field, tightens, "now steps up%s: %s", whom, login(is))
		return
	case is == nil:
		d.say(field, loosens, "no longer steps up%s; it wanted %s", whom, login(was))
		return
	}
	if was.When != is.When {
		d.say(field+".when", either(is.When == policy.StepUpSignals, loosens, tightens), "steps up%s when: %s instead of %s", whom,
			is.When, was.When)
	}
	d.svid(field, whom, was.SVID, is.SVID)
	d.words(field+".acr", "acr", whom, was.ACR, is.ACR)
	d.words(field+".amr", "amr", whom, was.AMR, is.AMR)
	d.bound(field+".maxAge", "wants a login"+whom+" no older than", "takes a login"+whom+" of any age", was.MaxAge, is.MaxAge)
}

// words compares the words of which a login must have one; none: it may have any.
func (d *document) words(field, what, whom string, was, is []string) {
	gained, lost := without(is, was), without(was, is)
	switch {
	case len(gained)+len(lost) == 0:
	case len(was) == 0:
		d.say(field, tightens, "wants a login%s with %s %s", whom, what, listed(is))
	case len(is) == 0:
		d.say(field, loosens, "takes a login%s of any %s", whom, what)
	default:
		if len(gained) > 0 {
			d.say(field, loosens, "also takes a login%s with %s %s", whom, what, listed(gained))
		}
		if len(lost) > 0 {
			d.say(field, tightens, "no longer takes a login%s with %s %s", whom, what, listed(lost))
		}
	}
}

// svid compares the JWT-SVIDs that workloads have to show.
func (d *document) svid(field, whom string, was, is *policy.SVIDDemand) {
	field += ".svid"
	switch {
	case was == nil && is == nil:
	case was == nil:
		d.say(field, tightens, "now wants%s %s", whom, shown(is))
	case is == nil:
		d.say(field, loosens, "no longer wants%s %s", whom, shown(was))
	default:
		if was.Audience != is.Audience {
			d.say(field+".audience", unsure("who can have a JWT-SVID for which audience is not written here"),
				"wants%s a JWT-SVID for audience %s instead of %s", whom, is.Audience, was.Audience)
		}
		d.bound(field+".maxAge", "wants a JWT-SVID"+whom+" no older than", "takes a JWT-SVID"+whom+" of any age", was.MaxAge, is.MaxAge)
	}
}

func shown(s *policy.SVIDDemand) string {
	return "a JWT-SVID for audience " + s.Audience + " no older than " + span(s.MaxAge)
}

func login(s *policy.StepUpDemand) string {
	if s.SVID != nil {
		return shown(s.SVID)
	}
	text := "when " + string(s.When)
	if len(s.ACR) > 0 {
		text += ", acr " + listed(s.ACR)
	}
	if len(s.AMR) > 0 {
		text += ", amr " + listed(s.AMR)
	}
	if s.MaxAge != 0 {
		text += ", no older than " + span(s.MaxAge)
	}
	return text
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
