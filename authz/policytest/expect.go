package policytest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// none is written where there must be no route, tier, challenge or monitored answer.
const none = "none"

// expect is what must come of a case. What is not set is not compared.
type expect struct {
	Outcome   string     `yaml:"outcome,omitempty"`
	Reason    string     `yaml:"reason,omitempty"`
	Route     string     `yaml:"route,omitempty"` // or none
	Tier      string     `yaml:"tier,omitempty"`  // or none
	Unmet     []unmet    `yaml:"unmet,omitempty"` // in the order of the tier's lists, as the others
	Noted     []unmet    `yaml:"noted,omitempty"`
	Waived    []waived   `yaml:"waived,omitempty"`
	Disputed  []string   `yaml:"disputed,omitempty"`
	Challenge *challenge `yaml:"challenge,omitempty"`
	Monitored string     `yaml:"monitored,omitempty"` // a reason, or none
	// Detail and Explanation are texts of which each must occur: in what the operator reads, in what explain prints.
	Detail      []string `yaml:"detail,omitempty"`
	Explanation []string `yaml:"explanation,omitempty"`
}

// unmet is a demand that was not met: "edr-healthy", "edr-healthy unknown", or a mapping. What is not set is not
// compared.
type unmet struct {
	Signal  string `yaml:"signal"`
	Status  string `yaml:"status,omitempty"`
	List    string `yaml:"list,omitempty"`
	Owner   string `yaml:"owner,omitempty"`
	Contact string `yaml:"contact,omitempty"`
	Fix     string `yaml:"fix,omitempty"` // occurs in the text or the URL of the fix
}

// challenge is a policy.Challenge; all of it is compared.
type challenge struct {
	ACR    []string      `yaml:"acr,omitempty"`
	AMR    []string      `yaml:"amr,omitempty"`
	MaxAge time.Duration `yaml:"maxAge,omitempty"`
}

// waived is a demand that something excused: "disk-encrypted by exception ana-loaner", or a mapping.
type waived struct {
	Signal string        `yaml:"signal"`
	By     policy.Waiver `yaml:"by,omitempty"`   // not set: by whatever
	Name   string        `yaml:"name,omitempty"` // of the exception
}

var (
	outcomes = []string{policy.Allow.String(), policy.StepUp.String(), policy.Deny.String()}
	statuses = []string{policy.StatusFailing.String(), policy.StatusUnknown.String()}
	lists    = words([]policy.List{policy.ListRequire, policy.ListDenyUnless, policy.ListStepUp, policy.ListAdvise})
	waivers  = []policy.Waiver{policy.WaivedByException, policy.WaivedByGrace, policy.WaivedByLastKnown}
	// reasons are those that a golden case can come to.
	reasons = []policy.Reason{policy.ReasonPath, policy.ReasonHost, policy.ReasonIdentityDoubted, policy.ReasonNoRoute,
		policy.ReasonMethod, policy.ReasonIdentityMissing, policy.ReasonIdentityExpired,
		policy.ReasonSessionRevoked, policy.ReasonUserRisk, policy.ReasonIdentityRevoked,
		policy.ReasonIsolated, policy.ReasonAudience, policy.ReasonDeviceUnknown, policy.ReasonDeviceContested,
		policy.ReasonStoreUnreachable, policy.ReasonEnrolledUser, policy.ReasonPosture, policy.ReasonStepUp,
		policy.ReasonAllowed}
)

// check refuses what no verdict could be.
func (e *expect) check() error {
	if !slices.Contains(outcomes, e.Outcome) {
		return fmt.Errorf("outcome %q: write allow, step-up or deny", e.Outcome)
	}
	for field, reason := range map[string]string{"reason": e.Reason, "monitored": e.Monitored} {
		if reason != "" && (reason != none || field == "reason") && !slices.Contains(reasons, policy.Reason(reason)) {
			return fmt.Errorf("%s %q: there is no such reason%s", field, reason, nearest(reason, words(reasons)))
		}
	}
	for _, u := range slices.Concat(e.Unmet, e.Noted) {
		switch {
		case u.Status != "" && !slices.Contains(statuses, u.Status):
			return fmt.Errorf("%s is %q: write failing or unknown", u.Signal, u.Status)
		case u.List != "" && !slices.Contains(lists, u.List):
			return fmt.Errorf("%s stands in list %q: write require, denyUnless, stepUp or advise", u.Signal, u.List)
		}
	}
	for _, w := range e.Waived {
		switch {
		case w.By != "" && !slices.Contains(waivers, w.By):
			return fmt.Errorf("%s is waived by %q: write exception, grace or last-known", w.Signal, w.By)
		case w.Name != "" && w.By != policy.WaivedByException:
			return errors.New("only an exception has a name")
		}
	}
	return nil
}

func words[T ~string](list []T) []string {
	all := make([]string, 0, len(list))
	for _, word := range list {
		all = append(all, string(word))
	}
	return all
}

// difference is one field of expect that the verdict does not agree with.
type difference struct {
	field     string
	got, want string // got is empty for a text that does not occur
	// put is the field as the verdict would have it, in YAML: one value, or the items of a list. Nil: nothing can be put
	// there, since the text that is wanted is a person's.
	put   *string
	items []string
}

func (d difference) String() string {
	if d.got == "" {
		return d.field + " does not say " + d.want
	}
	return d.field + " is " + d.got + ", expected " + d.want
}

// comparison collects differences.
type comparison struct{ all []difference }

func (c *comparison) word(field, want, got string) {
	if want == "" || want == got || want == none && got == "" {
		return
	}
	put := cmp.Or(got, none)
	c.all = append(c.all, difference{field: field, got: fmt.Sprintf("%q", got), want: fmt.Sprintf("%q", want), put: &put})
}

// compareList compares a list item by item; written is an item as a case writes it.
func compareList[W, G any](
	c *comparison, field string, want []W, got []G, agrees func(W, G) bool, written func(*W, G) string,
) {
	if want == nil || slices.EqualFunc(want, got, agrees) {
		return
	}
	d := difference{field: field, want: fmt.Sprint(want), items: []string{}}
	for _, g := range got {
		var as *W
		if i := slices.IndexFunc(want, func(w W) bool { return agrees(w, g) }); i >= 0 {
			as = &want[i]
		}
		d.items = append(d.items, written(as, g))
	}
	d.got = fmt.Sprint(d.items)
	c.all = append(c.all, d)
}

// compare finds where a verdict is not the expected one. explain gives the text of its explanation, if that is wanted.
func (e *expect) compare(v *policy.Verdict, explain func() string) []difference {
	c := &comparison{}
	c.word("outcome", e.Outcome, v.Outcome.String())
	c.word("reason", e.Reason, string(v.Reason))
	c.word("route", e.Route, v.Route)
	c.word("tier", e.Tier, v.Tier)
	c.word("monitored", e.Monitored, monitored(v))
	compareList(c, "unmet", e.Unmet, unmetOf(v.Unmet), unmet.allows, writtenUnmet(e.Unmet))
	compareList(c, "noted", e.Noted, unmetOf(v.Noted), unmet.allows, writtenUnmet(e.Noted))
	compareList(c, "disputed", e.Disputed, v.Disputed, func(a, b string) bool { return a == b },
		func(_ *string, got string) string { return got })
	compareList(c, "waived", e.Waived, waivedBy(v.Waived), waived.allows, func(as *waived, got waived) string {
		return cmp.Or(as, &got).String()
	})
	if got := challengeOf(v.Challenge); e.Challenge != nil && !e.Challenge.equal(got) {
		put := got.written()
		c.all = append(c.all, difference{field: "challenge", got: got.String(), want: e.Challenge.String(), put: &put})
	}
	c.texts("detail", e.Detail, func() string { return v.Detail })
	c.texts("explanation", e.Explanation, explain)
	return c.all
}

// texts demands that each text occurs; line ends and runs of blanks count as one blank.
func (c *comparison) texts(field string, want []string, say func() string) {
	if len(want) == 0 {
		return
	}
	said := strings.Join(strings.Fields(say()), " ")
	for _, text := range want {
		if !strings.Contains(said, strings.Join(strings.Fields(text), " ")) {
			c.all = append(c.all, difference{field: field, want: fmt.Sprintf("%q", text)})
		}
	}
}

func monitored(v *policy.Verdict) string {
	if v.Monitored == nil {
		return none
	}
	return string(v.Monitored.Reason)
}

// allows compares as much as is expected.
func (w waived) allows(got waived) bool {
	return w.Signal == got.Signal && cmp.Or(w.By, got.By) == got.By && cmp.Or(w.Name, got.Name) == got.Name
}

// allows compares as much as is expected.
func (u unmet) allows(got unmet) bool {
	return u.Signal == got.Signal && cmp.Or(u.Status, got.Status) == got.Status && cmp.Or(u.List, got.List) == got.List &&
		cmp.Or(u.Owner, got.Owner) == got.Owner && cmp.Or(u.Contact, got.Contact) == got.Contact &&
		strings.Contains(got.Fix, u.Fix)
}
