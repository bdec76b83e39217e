package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Edit replaces Old, which must occur exactly once, by New in a file of the policy directory.
type Edit struct{ File, Old, New string }

// Draft copies the policy directory, edits the copy, and returns where it is. The one before it is removed.
func (s *Stage) Draft(edits ...Edit) (dir string, err error) {
	dir = s.draft()
	if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
		return "", err
	}
	if err := os.CopyFS(dir, os.DirFS(s.Path("policy"))); err != nil {
		return "", err
	}
	for _, e := range edits {
		path := filepath.Join(dir, filepath.FromSlash(e.File))
		raw, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(raw), e.Old); n != 1 {
			return "", fmt.Errorf("%s: %q occurs %d times, an edit needs exactly one", e.File, e.Old, n)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(raw), e.Old, e.New, 1)), 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func (s *Stage) draft() string { return s.Path("draft", "policy") }

// Apply brings files of the draft into the policy directory, each in one atomic step.
func (s *Stage) Apply(files ...string) error {
	for _, file := range files {
		raw, err := os.ReadFile(filepath.Join(s.draft(), filepath.FromSlash(file)))
		if err != nil {
			return err
		}
		if err := s.WritePolicy(file, string(raw)); err != nil {
			return err
		}
	}
	return nil
}

// Difference is what `tiergate policy diff -o json` tells: the part of it that the story shows.
type Difference struct {
	Direction string `json:"direction"`
	Changes   []struct {
		Text      string `json:"text"`
		Direction string `json:"direction"`
		Owner     string `json:"owner"`
	} `json:"changes"`
	Decisions Blast `json:"decisions"`
}

// Blast is what becomes of recorded decisions.
type Blast struct {
	Judged    int          `json:"judged"`
	Loosened  int          `json:"loosened"`
	Tightened int          `json:"tightened"`
	Classes   []BlastClass `json:"classes"`
	Subjects  struct {
		Rows []BlastRow `json:"rows"`
	} `json:"subjects"`
}

// BlastClass counts decisions that change in one way. Example is the id of one of them.
type BlastClass struct {
	Step     string `json:"step"`
	IsReason string `json:"isReason"`
	Count    int    `json:"count"`
	Example  string `json:"example"`
}

// BlastRow is one of those who are concerned.
type BlastRow struct {
	Name      string `json:"name"`
	Loosened  int    `json:"loosened"`
	Tightened int    `json:"tightened"`
}

// Diff judges a draft by all decisions that this stage has on record.
func (s *Stage) Diff(ctx context.Context, draft string) (d Difference, err error) {
	out, _, err := s.tool(ctx, "", "policy", "diff", s.Path("policy"), draft, "--since", "1d", "--config", s.Settings(), "-o", "json")
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(out, &d); err != nil {
		return d, fmt.Errorf("tiergate policy diff wrote what is no JSON: %w", err)
	}
	return d, nil
}

// Proof is what `tiergate policy prove -o json` tells: the part of it that the story shows.
type Proof struct {
	Isolated        bool             `json:"isolated"`
	Counterexamples []Counterexample `json:"counterexamples"`
	Looked          struct {
		Audiences int `json:"audiences"`
		Routes    int `json:"routes"`
		Paths     int `json:"paths"`
		Endpoints int `json:"endpoints"`
	} `json:"looked"`
	CasesPass bool `json:"-"` // `policy test` agrees with the cases of the counterexamples
}

// Counterexample is one way around the wall of an isolated audience.
type Counterexample struct {
	Kind     string `json:"kind"`
	Audience string `json:"audience"`
	What     string `json:"what"`
	Who      string `json:"who"`
	Request  string `json:"request"`
	Endpoint string `json:"endpoint"`
	Fix      string `json:"fix"`
	Case     string `json:"case"`
}

// Prove looks at a draft, joined with what Envoy would be given; an empty one stands for the policy in force, which is joined
// with what the running Envoy holds. What a counterexample's case says is tried with `policy test`.
func (s *Stage) Prove(ctx context.Context, draft string) (p Proof, err error) {
	args := []string{"policy", "prove", draft, "--config", s.Settings(), "-o", "json"}
	if draft == "" {
		args[2] = s.Path("policy")
		args = append(args, "--envoy", "unix:"+s.Path("run", "envoy-admin.sock"))
	}
	out, no, err := s.tool(ctx, "", args...)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(out, &p); err != nil {
		return p, fmt.Errorf("tiergate policy prove wrote what is no JSON: %w", err)
	}
	if no == p.Isolated || p.Isolated != (len(p.Counterexamples) == 0) {
		return p, fmt.Errorf("tiergate policy prove says isolated: %t, with %d counterexamples, and its exit status says no: %t",
			p.Isolated, len(p.Counterexamples), no)
	}
	p.CasesPass, err = s.casesPass(ctx, args[2], p.Counterexamples)
	return p, err
}

// casesPass asks a policy the cases of counterexamples; false if there are none.
func (s *Stage) casesPass(ctx context.Context, dir string, list []Counterexample) (bool, error) {
	cases, written := s.Path("draft", "counterexamples"), 0
	if err := os.RemoveAll(cases); err != nil {
		return false, err
	}
	if err := os.MkdirAll(cases, 0o700); err != nil {
		return false, err
	}
	for i, c := range list {
		if c.Case == "" {
			continue
		}
		written++
		if err := os.WriteFile(filepath.Join(cases, fmt.Sprintf("%d.yaml", i+1)), []byte(c.Case), 0o600); err != nil {
			return false, err
		}
	}
	if written == 0 {
		return false, nil
	}
	_, no, err := s.tool(ctx, "", "policy", "test", dir, "--cases", cases, "--config", s.Settings())
	return !no, err
}

// Upstreams are the addresses of the portal and of the contractors' portal, as the policy has them.
func (s *Stage) Upstreams() (portal, contractors string) {
	return s.Ports.Portal, s.Ports.ContractorPortal
}
