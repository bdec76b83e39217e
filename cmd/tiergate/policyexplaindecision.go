package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/authz/policy"
)

// explainedDecision is what `policy explain --decision` prints.
type explainedDecision struct {
	ID       string         `json:"id"`
	File     string         `json:"file"` // of the record
	At       time.Time      `json:"at"`
	Took     time.Duration  `json:"took"`               // ns
	Annulled bool           `json:"annulled,omitempty"` // it was not given: its record came too late
	Recorded policy.Verdict `json:"recorded"`
	// Policy is the digest of the policy that judged then, and By that of the one that is asked here, read from From. Both
	// are empty where no policy had been loaded.
	Policy string `json:"policy"`
	By     string `json:"by"`
	From   string `json:"from,omitempty"`
	// SamePolicy: it is the policy of that time. If not, this is what another policy says.
	SamePolicy bool `json:"samePolicy"`
	// Differences are where the verdict here is not the recorded one.
	Differences []string           `json:"differences,omitempty"`
	Explanation policy.Explanation `json:"explanation"`

	missed []string // why the policy of that time is not at hand
}

// explainDecision finds a record and explains it.
func (x *policyExplaining) explainDecision(out, notes io.Writer) error {
	id, err := parseDecisionID(x.decision)
	if err != nil {
		return usageError{err}
	}
	files, err := x.evidenceFiles()
	if err != nil {
		return err
	}
	r, faults, err := findDecision(files, id)
	for _, fault := range faults {
		fmt.Fprintf(notes, "note: %v\n", fault)
	}
	if err != nil {
		return err
	}
	told := explainedDecision{ID: r.ID, File: r.File, At: r.Input.At.UTC(), Took: r.Took, Annulled: r.Annulled,
		Recorded: r.Verdict, Policy: r.Policy}
	judge, err := x.judgeOf(&told)
	if err != nil {
		return err
	}
	if told.Explanation, err = explain(judge, &r.Input); err != nil {
		return err
	}
	told.withhold(&r.Record)
	told.Differences = evidence.Differences(r.Verdict, told.Explanation.Verdict)
	if err := printAs(out, x.output, &told, told.page); err != nil {
		return err
	}
	if told.SamePolicy && len(told.Differences) > 0 {
		return errSaid
	}
	return nil
}

// withhold makes the explained verdict that of a decision which had to be on record and was not, where the recorded one
// is.
func (d *explainedDecision) withhold(r *evidence.Record) {
	v := d.Explanation.Verdict
	if r.Verdict.Reason == policy.ReasonEvidence && evidence.Demanded(&v) {
		d.Explanation.Verdict = evidence.Withheld(v)
	}
}

// judgeOf finds the policy that judged then: DIR, or the kept one. Without it the policy of today is taken.
func (x *policyExplaining) judgeOf(d *explainedDecision) (*policy.Policy, error) {
	if d.Policy == "" {
		d.SamePolicy = true
		return nil, nil // there was none, and that is what is to be explained
	}
	today := x.dir
	if today == "" && x.settings != nil {
		today = x.settings.Policy.Dir
	}
	kept := x.keptDir(d)
	var last *policy.Policy
	for _, dir := range []string{today, kept} {
		if dir == "" {
			continue
		}
		p, err := compilePolicy(dir, x.config)
		switch {
		case err != nil && dir == x.dir:
			return nil, err // it was asked for by name
		case err != nil:
			d.missed = append(d.missed, fmt.Sprintf("the policy in %s cannot be used: %v", dir, err))
			continue
		case p.Digest() == d.Policy:
			d.By, d.From, d.SamePolicy = p.Digest(), dir, true
			return p, nil
		case dir == kept:
			d.missed = append(d.missed, "the files that were kept of it, in "+dir+", come to another digest with today's "+
				"settings (sources, issuers, trust domains, evidence)"+orGive(x.config))
		default:
			d.missed = append(d.missed, dir+" is policy "+p.Digest())
		}
		if last == nil {
			last, d.By, d.From = p, p.Digest(), dir
		}
	}
	if last == nil {
		return nil, fmt.Errorf("decision %s was made with policy %s, which is not at hand%s; name the directory of a policy:"+
			" tiergate policy explain DIR --decision %[1]s", d.ID, d.Policy, because(d.missed))
	}
	return last, nil
}

func orGive(config string) string {
	if config == "" {
		return "; give those with --config"
	}
	return ""
}

func because(why []string) string {
	if len(why) == 0 {
		return ""
	}
	return ": " + strings.Join(why, "; ")
}

// keptDir is the directory in which serve kept the policy of that time; empty: there is none.
func (x *policyExplaining) keptDir(d *explainedDecision) string {
	history := x.historyDir()
	if history == "" {
		d.missed = append(d.missed, "no directory of kept policies is known (--history DIR, or policy.history in the "+
			"settings)")
		return ""
	}
	name := strings.TrimPrefix(d.Policy, "sha256:")
	if !filepath.IsLocal(name) || filepath.Base(name) != name { // it comes from a record
		d.missed = append(d.missed, "the record names no digest")
		return ""
	}
	dir := filepath.Join(history, name, "policy")
	switch _, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		d.missed = append(d.missed, history+" does not have it (any more)")
		return ""
	case err != nil:
		d.missed = append(d.missed, err.Error())
		return ""
	}
	return dir
}

// page writes the decision, with which policy it is explained, and the explanation.
func (d *explainedDecision) page(w io.Writer) error {
	if err := titled(w, "decision "+d.ID); err != nil {
		return err
	}
	reason := d.Recorded.Reason
	if reason == "" {
		reason = "none"
	}
	fmt.Fprintf(w, "It was made at %s, outcome %s, reason %s, and is on record in %s.\n",
		d.At.Format("2006-01-02 15:04:05.000 UTC"), d.Recorded.Outcome, reason, d.File)
	if d.Annulled {
		fmt.Fprintln(w, "It was not given: its record came too late, so the request was refused. "+
			"That refusal has a record of its own.")
	}
	switch {
	case d.SamePolicy && d.Policy == "":
		fmt.Fprintln(w, "No policy had been loaded at that time.")
	case d.SamePolicy:
		fmt.Fprintf(w, "It is explained with the policy of that time, read from %s.\n", d.From)
	default:
		fmt.Fprintf(w, "\nNOTE: this is what ANOTHER policy says, the one in %s, and not the policy of that time.\n"+
			"  - That was %s.\n", d.From, d.Policy)
		for _, why := range d.missed {
			fmt.Fprintf(w, "  - Not at hand: %s.\n", why)
		}
	}
	switch {
	case len(d.Differences) == 0 && !d.SamePolicy:
		fmt.Fprintln(w, "  - Its verdict is the recorded one all the same.")
	case len(d.Differences) > 0 && d.SamePolicy:
		fmt.Fprintln(w, "\nNOTE: the record is not what its own policy says; somebody may have changed it.")
	}
	for _, difference := range d.Differences {
		fmt.Fprintf(w, "  - Recorded otherwise: %s.\n", difference)
	}
	fmt.Fprintln(w)
	_, err := io.WriteString(w, d.Explanation.Text())
	return err
}
