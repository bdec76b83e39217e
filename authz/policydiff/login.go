package policydiff

import "github.com/tiergate/tiergate/authz/policy"

// login compares where browsers are sent to log in. It opens and closes nothing: whoever comes back is judged as anybody.
func (d *document) login(was, is *policy.Route) {
	page := func(r *policy.Route) string {
		if r.Login == nil {
			return ""
		}
		return r.Login.URL
	}
	switch before, now := page(was), page(is); {
	case before == now:
	case before == "":
		d.say("spec.login", neither, "sends browsers to log in at %s", now)
	case now == "":
		d.say("spec.login", neither, "no longer sends browsers to log in at %s", before)
	default:
		d.say("spec.login.url", neither, "sends browsers to log in at %s instead of %s", now, before)
	}
}
