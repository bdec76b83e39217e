package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tiergate/tiergate/authz/policy"
)

// Demanded tells whether a verdict has to be on record where decisions are recorded: its tier says so, or it rests on an
// exception or on grace, which are watched most closely while they run.
func Demanded(v *policy.Verdict) bool { return v.Evidence == policy.EvidenceRequired || lenient(v) }

// lenient tells whether an exception or grace excused something.
func lenient(v *policy.Verdict) bool {
	for i := range v.Waived {
		if by := v.Waived[i].By; by == policy.WaivedByException || by == policy.WaivedByGrace {
			return true
		}
	}
	return false
}

// Withheld is what is answered in the place of a verdict that had to be on record and is not.
func Withheld(v policy.Verdict) policy.Verdict {
	detail := "the tier wants its decisions on record, and this one could not be recorded"
	if v.Evidence != policy.EvidenceRequired {
		detail = "what rests on an exception or on grace has to be on record, and this decision could not be recorded"
	}
	return policy.Verdict{
		Outcome: policy.Deny, Reason: policy.ReasonEvidence, Detail: detail,
		Route: v.Route, Tier: v.Tier, Policy: v.Policy, Contact: v.Contact, Upstream: v.Upstream, Evidence: v.Evidence,
	}
}

// Replay judges a recorded input again. A fault in the evaluation is the denial that it was when it was recorded, and
// what was refused because there was no policy yet, or no record, is refused again. The error says why the policy
// cannot judge it: it is another than the recorded one, or the record is a gap or a change.
func Replay(p *policy.Policy, r *Record) (verdict policy.Verdict, err error) {
	switch {
	case r.Change != nil:
		return verdict, errors.New("it is a change of the policy, not a decision")
	case r.ID == "":
		return verdict, fmt.Errorf("%d decisions are in no record", r.Lost)
	case r.Policy == "" && r.Verdict.Reason == policy.ReasonInternal:
		return r.Verdict, nil // a fault before any policy was asked: there is nothing to judge again
	case r.Policy == "":
		p = nil // as it was then
	case p.Digest() != r.Policy:
		return verdict, fmt.Errorf("decision %s was made with policy %s, this is %s", r.ID, r.Policy, p.Digest())
	}
	defer func() {
		if recover() != nil {
			verdict = policy.Verdict{Reason: policy.ReasonInternal}
		}
	}()
	in := r.Input
	verdict = p.Evaluate(&in)
	if r.Verdict.Reason == policy.ReasonEvidence && Demanded(&verdict) {
		verdict = Withheld(verdict)
	}
	return verdict, nil
}

// Differences compares two verdicts by their JSON. Each difference is one sentence; none: they are the same.
//
// Records of before tiergate wrote until which instant an answer holds say nothing of that, and are not compared in it.
func Differences(recorded, replayed policy.Verdict) []string {
	if recorded.Until.IsZero() {
		replayed.Until = recorded.Until
	}
	was, is := fields(recorded), fields(replayed)
	both := maps.Clone(was)
	maps.Copy(both, is)
	var differences []string
	for _, name := range slices.Sorted(maps.Keys(both)) {
		if was[name] != is[name] {
			differences = append(differences, fmt.Sprintf("%s was %s, is %s", name, orNothing(was[name]), orNothing(is[name])))
		}
	}
	return differences
}

func orNothing(s string) string {
	if s == "" {
		return "not there"
	}
	return s
}

// fields are the members of a verdict's JSON, any byte of its texts told apart.
func fields(v policy.Verdict) map[string]string {
	var e encoder
	var l struct {
		Verdict map[string]json.RawMessage `json:"verdict"`
	}
	err := e.add(line{V: Version, Record: &Record{Verdict: v}})
	if err == nil {
		err = json.Unmarshal(e.buffer.Bytes(), &l)
	}
	if err != nil {
		return map[string]string{"verdict": err.Error()}
	}
	texts := make(map[string]string, len(l.Verdict))
	for name, raw := range l.Verdict {
		texts[name] = string(raw)
	}
	return texts
}
