package policytest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// unmetOf are demands as a case would write them, with all that it may compare.
func unmetOf(list []policy.Unmet) []unmet {
	var got []unmet
	for _, u := range list {
		got = append(got, unmet{Signal: u.Signal, Status: u.Status.String(), List: string(u.List), Owner: u.Owner,
			Contact: u.Contact, Fix: strings.TrimSpace(u.Fix.Text + " " + u.Fix.URL)})
	}
	return got
}

// writtenUnmet writes a demand as the case wrote it, if it agrees; else with as much as the case compares for its signal,
// or for any if the signal is new there.
func writtenUnmet(want []unmet) func(*unmet, unmet) string {
	return func(as *unmet, got unmet) string {
		if as == nil {
			as = &unmet{Signal: got.Signal}
			if i := slices.IndexFunc(want, func(w unmet) bool { return w.Signal == got.Signal }); i >= 0 {
				as = only(want[i], got)
			} else if slices.ContainsFunc(want, func(w unmet) bool { return w.Status != "" }) {
				as.Status = got.Status
			}
		}
		return as.String()
	}
}

// only is got, as far as want says anything.
func only(want, got unmet) *unmet {
	pick := func(want, got string) string {
		if want == "" {
			return ""
		}
		return got
	}
	return &unmet{Signal: got.Signal, Status: pick(want.Status, got.Status), List: pick(want.List, got.List),
		Owner: pick(want.Owner, got.Owner), Contact: pick(want.Contact, got.Contact), Fix: pick(want.Fix, got.Fix)}
}

// String is a demand as a case writes it.
func (u unmet) String() string {
	if u.List+u.Owner+u.Contact+u.Fix == "" {
		return strings.TrimSpace(u.Signal + " " + u.Status)
	}
	fields := []string{"signal: " + u.Signal}
	for _, f := range [][2]string{
		{"status", u.Status}, {"list", u.List}, {"owner", u.Owner}, {"contact", u.Contact}, {"fix", u.Fix},
	} {
		if f[1] != "" {
			fields = append(fields, f[0]+": "+quoted(f[1]))
		}
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// quoted is a text as flow YAML: as it is if every reader takes it for that.
func quoted(text string) string {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
		return text
	}
	return fmt.Sprintf("%q", text)
}

func waivedBy(list []policy.Waived) []waived {
	var got []waived
	for _, w := range list {
		got = append(got, waived{w.Signal, w.By, w.Name})
	}
	return got
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

// written is the login as a case writes it.
func (c challenge) written() string {
	var fields []string
	list := func(name string, words []string) {
		if len(words) == 0 {
			return
		}
		all := make([]string, 0, len(words))
		for _, w := range words {
			all = append(all, quoted(w))
		}
		fields = append(fields, name+": ["+strings.Join(all, ", ")+"]")
	}
	list("acr", c.ACR)
	list("amr", c.AMR)
	if c.MaxAge > 0 {
		fields = append(fields, "maxAge: "+age(c.MaxAge))
	}
	if fields == nil {
		return none
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// age is a duration as our files write it: 15m, 1h30m.
func age(d time.Duration) string {
	text := strings.TrimSuffix(d.Round(time.Second).String(), "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	if text == "" || strings.ContainsAny(text[len(text)-1:], "0123456789") { // 10s, 20s: what was cut was no zero
		return d.Round(time.Second).String()
	}
	return text
}
