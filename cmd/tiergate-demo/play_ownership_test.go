package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// ownership is what the company knows of exceptions that people ask for.
type ownership struct{ loan string } // the state of the one that eli is lent; empty: nobody asked

// stands is what the verbs answer of it.
func (c *company) stands(history ...string) (stage.Excused, error) {
	raw := `{"state": "` + c.loan + `", "mayApprove": ["cho"], "history": [` + strings.Join(history, ",") + `]}`
	var e stage.Excused
	return e, json.Unmarshal([]byte(raw), &e)
}

func (c *company) RequestException(_ context.Context, e stage.Excuse) (stage.Excused, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spoil == "request refused" {
		return stage.Excused{}, errors.New("tiergate: the policy could not hold it")
	}
	c.loan = "requested"
	if c.spoil == "granted by asking" {
		c.loan = "in force"
	}
	return c.stands()
}

func (c *company) ApproveException(_ context.Context, _, as string) (stage.Excused, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	by := `{"step": "approved", "by": {"way": "oidc", "name": "` + as + `@acme.example"}}`
	switch {
	case as == "" && c.spoil == "refused for another reason":
		return stage.Excused{}, errors.New("tiergate: the store is away")
	case as == "" && c.spoil != "one person suffices":
		return stage.Excused{}, errors.New("tiergate: nobody knows which human that is, and all local users count as one")
	case c.spoil == "approval refused":
		return stage.Excused{}, errors.New("tiergate: cho is no approver")
	case c.spoil == "another is on record":
		by = strings.Replace(by, "oidc", "socket", 1)
	case c.spoil == "nobody is on record":
		by = ""
	}
	c.loan = "in force"
	if by == "" {
		return c.stands()
	}
	return c.stands(by)
}

func (c *company) RevokeException(context.Context, string, string) (stage.Excused, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.spoil {
	case "no revocation":
		return stage.Excused{}, errors.New("tiergate: the store is away")
	case "revocation without effect":
		return stage.Excused{State: "revoked"}, nil
	case "revocation says nothing":
		return stage.Excused{State: "in force"}, nil
	}
	c.loan = "revoked"
	return c.stands()
}

// lent tells whether the exception excuses a laptop's disk.
func (c *company) lent(who, signal string) bool {
	return c.loan == "in force" && signal == "disk-encrypted" && who == "eli" && c.spoil != "approval without effect"
}

func (c *company) Findings(context.Context) ([]stage.Case, error) {
	if c.spoil == "nobody looks" {
		return nil, errors.New("tiergate: nothing listens")
	}
	found := func(kind, subject, detail, team string) stage.Case {
		x := stage.Case{ID: "F-1", State: "open", Team: team}
		x.Finding.Kind, x.Finding.Subject, x.Finding.Detail = kind, subject, detail
		x.Finding.Fix.Text = "Mend it."
		return x
	}
	all := []stage.Case{found("exception-abuse", "exception ana-new-disk", "used-at-edge", "iam"),
		found("identity-misconfigured", "identity ci", "wildcard", "iam"), found("exception-abuse", "tier internal", "standing-share", "iam")}
	switch c.spoil {
	case "the workload is not found":
		return all, nil
	case "more is found":
		all = append(all, found("drift", "device x", "disk", "endpoint"))
	case "more is pending":
		x := found("drift", "device x", "disk", "endpoint")
		x.State = "pending"
		all = append(all, x)
	case "no help":
		all[0].Finding.Fix.Text = ""
	}
	team := "iam"
	if c.spoil == "another team" {
		team = "secops"
	}
	return append(all, found("identity-unowned", "spiffe://acme.example/ns/batch/sa/reporter", "", team)), nil
}

// TestOwnershipNoticesEveryWrong: an exception that one person suffices for, that does not hold or does not end, and findings
// that are missing, too many, or nobody's, are seen.
func TestOwnershipNoticesEveryWrong(t *testing.T) {
	for spoil, hint := range map[string]string{
		"request refused":            "the policy could not hold it",
		"granted by asking":          `it is "in force", and may be approved by ["cho"]`,
		"one person suffices":        "whoever asked approved it, too",
		"refused for another reason": `the refusal does not say "all local users count as one"`,
		"approval refused":           "cho is no approver",
		"approval without effect":    "eli on eli-laptop opens the portal: status 403, want 200",
		"another is on record":       "approved by cho@acme.example, by socket, want in force and approved by cho@acme.example, by oidc",
		"nobody is on record":        `it is "in force" and nobody, want`,
		"no revocation":              "the store is away",
		"revocation says nothing":    `it is "in force", want revoked`,
		"revocation without effect":  "eli on eli-laptop opens the portal: status 200, want 403",
		"nobody looks":               "nothing listens",
		"the workload is not found":  `"identity-misconfigured identity ci wildcard, team iam"], want [`,
		"more is found":              `"drift device x disk, team endpoint"`,
		"no help":                    "is told without its name or what to do about it",
		"another team":               "sa/reporter, team secops",
	} {
		_, differences := playIn(t, newCompany(spoil))
		if !strings.Contains(strings.Join(differences, "\n"), hint) {
			t.Errorf("%s: differences %q lack %q", spoil, differences, hint)
		}
	}
	if out, differences := playIn(t, newCompany("more is pending")); len(differences) > 0 || !strings.Contains(out, "4 findings, after ") {
		t.Errorf("%q\n%s", differences, out)
	}
}
