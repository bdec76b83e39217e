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

// expect is what must come of a case. What is not set is not compared.
type expect struct {
	Outcome   string     `yaml:"outcome"`
	Reason    string     `yaml:"reason,omitempty"`
	Route     string     `yaml:"route,omitempty"`
	Tier      string     `yaml:"tier,omitempty"`
	Unmet     []string   `yaml:"unmet,omitempty"` // in the order of the tier's lists, as the others
	Noted     []string   `yaml:"noted,omitempty"`
	Waived    []waived   `yaml:"waived,omitempty"`
	Disputed  []string   `yaml:"disputed,omitempty"`
	Challenge *challenge `yaml:"challenge,omitempty"`
	Monitored string     `yaml:"monitored,omitempty"` // a reason, or none
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

var waivers = []policy.Waiver{policy.WaivedByException, policy.WaivedByGrace, policy.WaivedByLastKnown}

// UnmarshalText reads SIGNAL, SIGNAL by grace, SIGNAL by exception NAME.
func (w *waived) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	if len(words) > 4 || len(words) == 2 || len(words) > 1 && words[1] != "by" {
		return fmt.Errorf("%q is no waiver; write SIGNAL, SIGNAL by grace, or SIGNAL by exception NAME", text)
	}
	words = append(words, "", "", "", "")
	*w = waived{Signal: words[0], By: policy.Waiver(words[2]), Name: words[3]}
	return nil
}

func (w waived) String() string {
	switch {
	case w.By == "":
		return w.Signal
	case w.Name == "":
		return w.Signal + " by " + string(w.By)
	}
	return w.Signal + " by " + string(w.By) + " " + w.Name
}

// check refuses what no verdict could be.
func (e *expect) check() error {
	outcomes := []string{policy.Allow.String(), policy.StepUp.String(), policy.Deny.String()}
	if !slices.Contains(outcomes, e.Outcome) {
		return fmt.Errorf("outcome %q: write allow, step-up or deny", e.Outcome)
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

// compare says in words where a verdict is not the expected one.
func (e *expect) compare(v *policy.Verdict) []string {
	var differences []string
	differ := func(what string, got, want any) {
		differences = append(differences, fmt.Sprintf("%s is %v, expected %v", what, got, want))
	}
	word := func(what, want, got string) {
		if want != "" && want != got {
			differ(what, fmt.Sprintf("%q", got), fmt.Sprintf("%q", want))
		}
	}
	word("outcome", e.Outcome, v.Outcome.String())
	word("reason", e.Reason, string(v.Reason))
	word("route", e.Route, v.Route)
	word("tier", e.Tier, v.Tier)
	word("monitored", e.Monitored, monitored(v))
	list := func(what string, want, got []string) {
		if want != nil && !slices.Equal(want, got) {
			differ(what, got, want)
		}
	}
	list("unmet", e.Unmet, names(v.Unmet))
	list("noted", e.Noted, names(v.Noted))
	list("disputed", e.Disputed, v.Disputed)
	if got := waivedBy(v.Waived); e.Waived != nil && !slices.EqualFunc(e.Waived, got, waived.allows) {
		differ("waived", got, e.Waived)
	}
	if got := challengeOf(v.Challenge); e.Challenge != nil && !e.Challenge.equal(got) {
		differ("challenge", got, *e.Challenge)
	}
	if len(differences) > 0 && v.Detail != "" {
		differences = append(differences, "because "+v.Detail)
	}
	return differences
}

func monitored(v *policy.Verdict) string {
	if v.Monitored == nil {
		return "none"
	}
	return string(v.Monitored.Reason)
}

func names(list []policy.Unmet) []string {
	var signals []string
	for _, u := range list {
		signals = append(signals, u.Signal)
	}
	return signals
}

func waivedBy(list []policy.Waived) []waived {
	var got []waived
	for _, w := range list {
		got = append(got, waived{w.Signal, w.By, w.Name})
	}
	return got
}

// allows compares as much as is expected.
func (w waived) allows(got waived) bool {
	return w.Signal == got.Signal && cmp.Or(w.By, got.By) == got.By && cmp.Or(w.Name, got.Name) == got.Name
}

func challengeOf(c *policy.Challenge) challenge {
	if c == nil {
		return challenge{}
	}
	return challenge{ACR: c.ACR, AMR: c.AMR, MaxAge: c.MaxAge}
}

func (c challenge) equal(got challenge) bool {
	return slices.Equal(c.ACR, got.ACR) && slices.Equal(c.AMR, got.AMR) && c.MaxAge == got.MaxAge
}

func (c challenge) String() string {
	return fmt.Sprintf("acr %v, amr %v, maxAge %s", c.ACR, c.AMR, c.MaxAge)
}
