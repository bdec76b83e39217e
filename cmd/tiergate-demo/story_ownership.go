package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// Who speaks in the scenes of exceptions that are asked for, and of findings.
const (
	serviceDesk = "service desk"
	eliOnLaptop = "eli on eli-laptop"
	choApproves = "cho, for iam"
	theFindings = "tiergate finding list"
)

// loan is what the service desk asks for.
var loan = stage.Excuse{Name: "eli-loan", Subject: "corp/eli@acme.example", Device: "C02ELI0005", Route: "portal", Signal: "disk-encrypted",
	Reason: "the disk is being encrypted", Ticket: "IT-4731"}

func twoPeople() scene {
	diskOff := refusedFor(unmet{"disk-encrypted", "require", "failing", "endpoint"})
	unencrypted := map[string]any{"disk_encryption": false}
	elis := ask{as: "eli", host: stage.PortalHost, path: "/"}
	later, over := elis, elis
	later.until, over.until = soon, soon
	return scene{"24. An exception takes two people, and ends when one of them says so", []step{
		{theMDM, "reports disk_encryption=false", report{device: "eli-laptop", attributes: unencrypted, then: elis}, diskOff},
		{serviceDesk, "tiergate exception request", requestLoan{}, want{}},
		{serviceDesk, "tries to approve it as well", approveLoan{refused: "all local users count as one"}, want{}},
		{eliOnLaptop, "opens the portal; nobody has approved", elis, diskOff},
		{choApproves, "signs in and approves it", approveLoan{as: "cho"}, want{}},
		{eliOnLaptop, "opens the portal", later, admitted("disk-encrypted by exception " + loan.Name)},
		{serviceDesk, "tiergate exception revoke", revokeLoan{}, want{}},
		{eliOnLaptop, "opens the portal", over, diskOff},
		{theMDM, "reports disk_encryption=true", report{device: "eli-laptop", attributes: healthy, then: elis}, admitted("nothing")},
	}}
}

func whatIsFound() scene {
	outside := payroll
	outside.as = "reporter"
	return scene{"25. What is wrong at the end of the story, and whose it is", []step{
		{"batch reporter", "whom nobody owns, tries to list payroll runs", outside, refused("audience")},
		{secops, theFindings, findingsAre{must: []string{
			"exception-abuse exception ana-new-disk used-at-edge, team iam",
			"identity-misconfigured identity ci wildcard, team iam",
			"identity-unowned spiffe://acme.example/ns/batch/sa/reporter, team iam",
		}, may: []string{ // by the day of the example's own exception, and by how often a machine asked while one stood
			"exception-abuse exception ana-loaner-2 renewed-to-bound, team iam",
			"exception-abuse tier internal standing-share, team iam",
		}}, want{}},
	}}
}

// requestLoan asks for the exception, as a user of the receiver's machine.
type requestLoan struct{}

func (requestLoan) perform(ctx context.Context, p *play, _ want) got {
	e, err := p.world.RequestException(ctx, loan)
	if err == nil && (e.State != "requested" || len(e.MayApprove) == 0) {
		err = fmt.Errorf("it is %q, and may be approved by %q", e.State, e.MayApprove)
	}
	return got{err: err, note: e.State + "; who may approve: " + strings.Join(e.MayApprove, ", ")}
}

// approveLoan approves it: as somebody of the cast, or as the user of the receiver's machine, who must be refused.
type approveLoan struct{ as, refused string }

func (a approveLoan) perform(ctx context.Context, p *play, _ want) got {
	e, err := p.world.ApproveException(ctx, loan.Name, a.as)
	switch {
	case a.refused != "" && err == nil:
		return got{err: errors.New("whoever asked approved it, too")}
	case a.refused != "" && !strings.Contains(err.Error(), a.refused):
		return got{err: fmt.Errorf("the refusal does not say %q: %w", a.refused, err)}
	case a.refused != "":
		_, why, _ := strings.Cut(err.Error(), "tiergate: ")
		return got{note: why}
	case err != nil:
		return got{err: err}
	}
	last := "nobody"
	if len(e.History) > 0 {
		h := e.History[len(e.History)-1]
		last = h.Step + " by " + h.By.Name + ", by " + h.By.Way
	}
	if wanted := "approved by " + a.as + "@acme.example, by oidc"; e.State != "in force" || last != wanted {
		err = fmt.Errorf("it is %q and %s, want in force and %s", e.State, last, wanted)
	}
	return got{err: err, note: e.State + "; " + last}
}

// revokeLoan ends it.
type revokeLoan struct{}

func (revokeLoan) perform(ctx context.Context, p *play, _ want) got {
	e, err := p.world.RevokeException(ctx, loan.Name, "the disk is encrypted")
	if err == nil && e.State != "revoked" {
		err = fmt.Errorf("it is %q, want revoked", e.State)
	}
	return got{err: err, note: e.State}
}

// findingsAre holds that these findings stand, and none but those that may, each "KIND SUBJECT, team TEAM", with what is to
// be done about them.
type findingsAre struct{ must, may []string }

// looks is the pause between two questions: the receiver looks once a second at most.
const looks = 200 * time.Millisecond

// foundWithin bounds how long a finding may take to show: after a look that took long on a busy machine it rests for up to half a minute.
const foundWithin = time.Minute

func (f findingsAre) perform(ctx context.Context, p *play, _ want) got {
	began := time.Now()
	for {
		all, err := p.world.Findings(ctx)
		var lines, stand []string
		for _, c := range all {
			if c.State == "pending" {
				continue
			}
			name := strings.TrimSpace(c.Finding.Subject + " " + c.Finding.Detail)
			stand = append(stand, c.Finding.Kind+" "+name+", team "+c.Team)
			lines = append(lines, fmt.Sprintf("%-22s %-60s %-10s %s", c.Finding.Kind, name, c.Team, c.State), "  "+c.Finding.Fix.Text)
			if c.Finding.Fix.Text == "" || c.ID == "" {
				err = fmt.Errorf("%s is told without its name or what to do about it", name)
			}
		}
		slices.Sort(stand)
		certain := slices.DeleteFunc(slices.Clone(stand), func(s string) bool { return slices.Contains(f.may, s) })
		if err == nil && !slices.Equal(certain, f.must) {
			err = fmt.Errorf("the findings are %q, want %q", certain, f.must)
		}
		if err == nil || time.Since(began) > foundWithin || ctx.Err() != nil {
			return got{err: err, lines: lines, note: fmt.Sprintf("%d findings, after %s", len(stand), milliseconds(time.Since(began)))}
		}
		select {
		case <-ctx.Done():
		case <-time.After(looks):
		}
	}
}
