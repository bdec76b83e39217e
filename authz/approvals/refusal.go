package approvals

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
)

// Rule names the rule by which a step was refused. The words are stable.
type Rule string

// The rules.
const (
	RuleNoPolicy     Rule = "no-policy"             // this process knows no policy to judge by
	RuleNotFound     Rule = "not-found"             // there is no such record
	RuleName         Rule = "name-taken"            // names are unique in the directory and at run time
	RuleBounds       Rule = "bounds"                // the policy could not hold it
	RulePast         Rule = "starts-in-the-past"    // an exception cannot be asked for what was
	RuleOthers       Rule = "voids-another"         // with it another that was granted would count no more
	RuleState        Rule = "state"                 // not in a state in which this could be done
	RuleUnknown      Rule = "approver-unknown"      // only a token or a certificate shows who approves
	RuleRequester    Rule = "approver-is-requester" // or may be the same human
	RuleSubject      Rule = "approver-is-subject"
	RuleUnnamed      Rule = "approver-unnamed"   // no team that must approve names this person
	RuleMissing      Rule = "missing"            // a reason or a ticket
	RuleNoGrace      Rule = "no-running-grace"   // what is renewed or ended must be running
	RuleRenewals     Rule = "renewals-used"      // no tier allows one more
	RuleContested    Rule = "contested-device"   // more than one device has this name
	RuleNothing      Rule = "nothing-to-approve" // no tier is concerned
	RuleTooLate      Rule = "too-late"           // asked for too long ago
	RuleAhead        Rule = "seen-in-the-future" // nobody has yet seen what a source says it saw
	RuleRefusedCount Rule = "too-many-open"      // more requests wait than anybody reads
)

// Refusal is a step that was not made: by which rule, why, and what to do about it.
type Refusal struct {
	Rule Rule   `json:"rule"`
	Why  string `json:"why"`
	Help string `json:"help,omitempty"`
	// MayApprove are those who may approve it, where that is what was lacking.
	MayApprove []string `json:"mayApprove,omitempty"`
}

func (r *Refusal) Error() string {
	text := r.Why
	if r.Help != "" {
		text += "; " + r.Help
	}
	if len(r.MayApprove) > 0 {
		text += "; it may be approved by " + strings.Join(r.MayApprove, ", ")
	}
	return fmt.Sprintf("%s (rule %s)", text, r.Rule)
}

// ErrBusy: others changed the same record faster than this step could be made. Nothing was written; try again.
var ErrBusy = errors.New("others are changing this at the same time; nothing was written, try again")

func refuse(rule Rule, help, format string, args ...any) error {
	return &Refusal{Rule: rule, Why: fmt.Sprintf(format, args...), Help: help}
}

// faulty is a Refusal for what a policy finds wrong.
func faulty(rule Rule, what string, faults []policy.Fault) error {
	why, help := make([]string, 0, len(faults)), make([]string, 0, len(faults))
	for _, f := range faults {
		why = append(why, f.Field+": "+f.Message)
		if f.Help != "" {
			help = append(help, f.Help)
		}
	}
	return &Refusal{Rule: rule, Why: what + ": " + strings.Join(why, "; "), Help: strings.Join(help, "; ")}
}
