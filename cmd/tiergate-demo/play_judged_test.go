package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

func (c *company) Draft(edits ...stage.Edit) (string, error) {
	if c.spoil == "nothing to draft in" {
		return "", errors.New("no space left on device")
	}
	return "draft of " + edits[0].File, nil
}

func (c *company) Apply(files ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spoil == "draft lost" || len(files) != 2 {
		return errors.New("no such file or directory")
	}
	c.applied = c.spoil != "draft not in force"
	return nil
}

func (c *company) Upstreams() (portal, contractors string) { return "127.0.0.1:1", "127.0.0.1:3" }

// rightDifference is what the tool tells of the draft.
const rightDifference = `{"direction":"loosens","changes":[
	{"text":"the tier wants less","direction":"loosens","owner":"iam"},{"text":"the route takes less","direction":"tightens","owner":"workplace"}],
	"decisions":{"judged":1506,"loosened":1,"tightened":3,"classes":[
		{"step":"step-up → allow","isReason":"allowed","count":1,"example":"one"},{"step":"allow → deny","isReason":"method","count":3,"example":"two"}],
	"subjects":{"rows":[{"name":"user ana@acme.example of issuer corp","loosened":1,"tightened":3}]}}}`

func (c *company) Diff(_ context.Context, draft string) (d stage.Difference, err error) {
	if c.spoil == "no records" || draft != "draft of "+tiers {
		return d, errors.New("evidence/decisions.jsonl: no such file")
	}
	if err := json.Unmarshal([]byte(rightDifference), &d); err != nil {
		return d, err
	}
	switch c.spoil {
	case "nobody gains":
		d.Decisions.Classes, d.Decisions.Loosened = d.Decisions.Classes[1:], 0
	case "nobody loses":
		d.Decisions.Classes, d.Decisions.Tightened = d.Decisions.Classes[:1], 0
	case "others lose too":
		d.Decisions.Classes = append(d.Decisions.Classes, stage.BlastClass{Step: "allow → step-up", Count: 1, Example: "three"})
	case "counts differ":
		d.Decisions.Tightened = 4
	case "lost for another reason":
		d.Decisions.Classes[1].IsReason = "audience"
	case "no example":
		d.Decisions.Classes[0].Example = ""
	case "somebody else":
		d.Decisions.Subjects.Rows[0].Name = "user ben@acme.example of issuer corp"
	case "a change forgotten":
		d.Changes = d.Changes[:1]
	case "a change of nobody":
		d.Changes[1].Owner = ""
	case "called harmless":
		d.Direction = "neither"
	}
	return d, nil
}

func (c *company) Prove(_ context.Context, draft string) (p stage.Proof, err error) {
	if c.spoil == "no proof" {
		return p, errors.New("too large to prove")
	}
	p.Isolated, p.CasesPass = draft == "" || c.spoil == "the leak is not seen", c.spoil != "the case disagrees"
	p.Looked.Audiences, p.Looked.Paths = 1, 11
	if draft != "" && !p.Isolated {
		p.Counterexamples = []stage.Counterexample{{Kind: "shared", Audience: "contractors", What: "they share a server",
			Who: "somebody", Request: "GET contractor.acme.example/", Endpoint: "127.0.0.1:1"}}
	}
	switch {
	case c.spoil == "nothing looked at":
		p.Looked.Paths = 0
	case c.spoil == "the running one leaks" && draft == "":
		p.Isolated = false
	case c.spoil == "another leak" && draft != "":
		p.Counterexamples[0].Kind = "open"
	case c.spoil == "a leak of nobody" && draft != "":
		p.Counterexamples[0].Who = ""
	}
	return p, nil
}

// TestJudgedNoticesEveryWrong: a judgement that is not what the running company then does, and a leak that is not shown.
func TestJudgedNoticesEveryWrong(t *testing.T) {
	for spoil, hint := range map[string]string{
		"nothing to draft in":       "no space left",
		"no records":                "decisions.jsonl: no such file",
		"nobody gains":              "the records change by map[allow → deny:3] (better 0, worse 3), want step-up → allow and allow → deny",
		"nobody loses":              "the records change by map[step-up → allow:1]",
		"others lose too":           "allow → step-up:1",
		"counts differ":             "(better 1, worse 4)",
		"lost for another reason":   `allow → deny is by "audience" (decision "two"), want method`,
		"no example":                `step-up → allow is by "allowed" (decision "")`,
		"somebody else":             "not all of that is told of user ana@acme.example",
		"a change forgotten":        `the documents change by 1 things, together "loosens"`,
		"a change of nobody":        "want 2 with their owners",
		"called harmless":           `together "neither"`,
		"draft lost":                "applies the draft: no such file",
		"draft not in force":        "shows the hour-old login: status 401, want 200",
		"half of the draft applied": "ana on ana-laptop posts: status 200, want 403",
		"no proof":                  "too large to prove",
		"nothing looked at":         "nothing was looked at",
		"the running one leaks":     "on the running Envoy: isolated: false, want true",
		"the leak is not seen":      "on the draft: isolated: true, want false",
		"another leak":              "no counterexample of kind shared says who of contractors",
		"a leak of nobody":          "no counterexample of kind shared",
		"the case disagrees":        "policy test does not agree",
	} {
		_, differences := playIn(t, newCompany(spoil))
		if !strings.Contains(strings.Join(differences, "\n"), hint) {
			t.Errorf("%s: differences %q lack %q", spoil, differences, hint)
		}
	}
	out, differences := playIn(t, newCompany(""))
	for _, part := range []string{"loosens: of 1506 recorded decisions 1 would be better and 3 worse", "edited: access/routes.yaml",
		"the route takes less (tightens; owner workplace)", "3 × allow → deny, method; such as decision two", "they share a server",
		"user ana@acme.example of issuer corp: 1 better, 3 worse", "somebody: GET contractor.acme.example/ → 127.0.0.1:1"} {
		if !strings.Contains(out, part) || len(differences) > 0 {
			t.Errorf("the paper lacks %q: %q", part, differences)
		}
	}
}
