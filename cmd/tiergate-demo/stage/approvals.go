package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
)

// approvalsAudience is what tokens of people who approve are for; one for an application approves nothing.
const approvalsAudience = "https://tiergate.acme.example/approvals"

// approvalsSubstitution opens the receiver's listener for people, who show a token of the company's provider.
func (s *Stage) approvalsSubstitution() substitution {
	const next = "\n\nmetrics: {listen: " // what follows upon ingest
	return substitution{next, `
  approvals:
    listen: ` + s.Ports.Approvals + `
    tls: {certFile: pki/approvals.pem, keyFile: pki/approvals.key}
    issuers: [corp]
    audiences: [` + approvalsAudience + `]` + next}
}

// censusSubstitution lets what decisions see be written often enough for a story.
var censusSubstitution = substitution{"runtimeDir: run ", "census: {every: 1s}\nruntimeDir: run "}

// Excuse is an exception that somebody asks for while tiergate runs.
type Excuse struct{ Name, Subject, Device, Route, Signal, Reason, Ticket string }

// Excused is what the verbs of exceptions answer with -o json: the part of it that the story shows.
type Excused struct {
	State      string   `json:"state"`
	MayApprove []string `json:"mayApprove"`
	History    []struct {
		Step string `json:"step"`
		By   struct {
			Way  string `json:"way"`
			Name string `json:"name"`
		} `json:"by"`
	} `json:"history"`
}

// RequestException asks for one over the receiver's admin socket: as the user of this machine.
func (s *Stage) RequestException(ctx context.Context, e Excuse) (Excused, error) {
	return excused(s.verb(ctx, "exception", "request", "--name", e.Name, "--subject", e.Subject, "--device", e.Device, "--route", e.Route,
		"--signal", e.Signal, "--for", "4h", "--reason", e.Reason, "--ticket", e.Ticket))
}

// ApproveException approves one: as the user of this machine if as is empty, or else as somebody of the cast, over the
// listener for people, with a token that the provider issues them for that.
func (s *Stage) ApproveException(ctx context.Context, name, as string) (Excused, error) {
	if as == "" {
		return excused(s.verb(ctx, "exception", "approve", name))
	}
	token, err := s.SignIn(ctx, as, false, oidc.Login{Resource: approvalsAudience})
	if err != nil {
		return Excused{}, err
	}
	file := s.Path("tokens", as+"-approves.jwt")
	if err := os.WriteFile(file, []byte(token.Access), 0o600); err != nil {
		return Excused{}, err
	}
	out, _, err := s.tool(ctx, "", "exception", "approve", name, "--server", "https://"+s.Ports.Approvals, "--ca",
		s.Path("pki", "servers-ca.pem"), "--token-file", file, "-o", "json")
	return excused(out, err)
}

// RevokeException ends one over the admin socket.
func (s *Stage) RevokeException(ctx context.Context, name, reason string) (Excused, error) {
	return excused(s.verb(ctx, "exception", "revoke", name, "--reason", reason))
}

func excused(out []byte, err error) (e Excused, _ error) {
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(out, &e); err != nil {
		return e, fmt.Errorf("tiergate exception wrote what is no JSON: %w", err)
	}
	return e, nil
}

// Case is a finding that stands, as `tiergate finding list -o json` tells it: the part of it that the story shows.
type Case struct {
	ID      string `json:"id"`
	State   string `json:"state"`
	Team    string `json:"team"`
	Finding struct {
		Kind    string `json:"kind"`
		Subject string `json:"subject"`
		Detail  string `json:"detail"`
		Summary string `json:"summary"`
		Fix     struct {
			Text string `json:"text"`
		} `json:"fix"`
	} `json:"finding"`
}

// Findings lists those that stand.
func (s *Stage) Findings(ctx context.Context) ([]Case, error) {
	out, err := s.verb(ctx, "finding", "list")
	if err != nil {
		return nil, err
	}
	var list struct {
		Findings []Case `json:"findings"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("tiergate finding list wrote what is no JSON: %w", err)
	}
	return list.Findings, nil
}
