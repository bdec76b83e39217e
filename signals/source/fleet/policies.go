package fleet

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tiergate/tiergate/signals"
)

const diskEncryption = "disk_encryption"

// policy is a policy of Fleet on one host. Response is pass, fail or "" (it has not run there yet).
type policy struct {
	ID       int64  `json:"id"`
	Response string `json:"response"`
}

// judgement is what several policies come to: the worst, which is fail, then not known, then pass.
type judgement struct {
	found, failed, open bool
	path                string // of the policy that decided
}

// judge looks at the policies of a host that wanted picks. A policy that a host does not have is for another platform,
// or was deleted: it says nothing.
func judge(policies []policy, wanted func(id int64) bool) judgement {
	var j judgement
	for _, p := range policies {
		if !wanted(p.ID) {
			continue
		}
		path := "policies[id=" + strconv.FormatInt(p.ID, 10) + "].response"
		switch p.Response {
		case "pass":
			if !j.found {
				j.path = path
			}
		case "fail":
			if !j.failed {
				j.path = path
			}
			j.failed = true
		default: // "", or a word that Fleet may yet invent
			if !j.failed && !j.open {
				j.path = path
			}
			j.open = true
		}
		j.found = true
	}
	return j
}

// judgements says what the configured policies come to. encryptionSaid: the record itself says whether the disk is
// encrypted, and is then the one to say it.
func (a *Adapter) judgements(h *host, encryptionSaid bool, s *statements, at time.Time) {
	for _, name := range slices.Sorted(maps.Keys(a.opts.Policies)) {
		ids := a.opts.Policies[name]
		j := judge(h.Policies, func(id int64) bool { return slices.Contains(ids, id) })
		if !j.found || name == diskEncryption && encryptionSaid {
			continue
		}
		attribute, _ := signals.LookupAttribute(name)
		value := signals.Bool(attribute.Healthy)
		switch {
		case j.failed:
			value = signals.Bool(!attribute.Healthy)
		case j.open:
			value = signals.Unknown
		}
		s.say(name, value, j.path, at)
	}
	if !a.opts.AllPolicies && len(a.opts.Compliance) == 0 {
		return
	}
	j := judge(h.Policies, func(id int64) bool { return a.opts.AllPolicies || slices.Contains(a.opts.Compliance, id) })
	switch {
	case !j.found: // no policy is no compliance
	case j.failed:
		s.say("config_compliance", signals.Text("noncompliant"), j.path, at)
	case j.open:
		s.say("config_compliance", signals.Text("pending"), j.path, at)
	default:
		s.say("config_compliance", signals.Text("compliant"), j.path, at)
	}
}
