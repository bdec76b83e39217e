package e2e_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policytest"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// TestExampleDifferencesAreSeen: the comparison that the examples are held to can fail, in each of the things it compares.
func TestExampleDifferencesAreSeen(t *testing.T) {
	t.Parallel()
	ask := func(v policy.Verdict) *question {
		in := policy.Input{Request: policy.Request{Method: "GET", Host: "app.acme.example", Path: "/a/b?c"},
			Subject: identity.Subject{Workload: "spiffe://acme.example/x"}}
		return &question{Result: policytest.Result{Input: in, Verdict: v}}
	}
	allow := ask(policy.Verdict{Outcome: policy.Allow, Reason: policy.ReasonAllowed, Upstream: "app", Route: "r", Tier: "t"})
	posture := ask(policy.Verdict{Reason: policy.ReasonPosture, Tier: "t", Unmet: []policy.Unmet{{Signal: "disk", List: policy.ListRequire,
		Status: policy.StatusFailing, Owner: "endpoint"}}})
	noRoute, path := ask(policy.Verdict{Reason: policy.ReasonNoRoute}), ask(policy.Verdict{Reason: policy.ReasonPath})
	echo := func(change func(*stage.Echo)) stage.Answer {
		e := &stage.Echo{Upstream: "app", Method: "GET", Path: "/a/b?c", Headers: map[string][]string{"x-tiergate-route": {"r"},
			"x-tiergate-tier": {"t"}, "x-tiergate-subject": {"spiffe://acme.example/x"}}}
		change(e)
		return stage.Answer{Status: http.StatusOK, Echo: e}
	}
	refusal := func(change func(*stage.Problem)) stage.Answer {
		p := &stage.Problem{Reason: "posture", Tier: "t"}
		p.Unmet = []stage.Unmet{{Signal: "disk", List: "require", Status: "failing", Owner: "endpoint"}}
		change(p)
		return stage.Answer{Status: http.StatusForbidden, Problem: p}
	}
	stepUp := ask(policy.Verdict{Outcome: policy.StepUp, Reason: policy.ReasonStepUp, Tier: "t",
		Challenge: &policy.Challenge{ACR: []string{"a", "b"}, MaxAge: time.Minute}})
	challenge := func(status int, text string) stage.Answer {
		return stage.Answer{Status: status, Header: http.Header{"Www-Authenticate": {text}}, Problem: &stage.Problem{Reason: "step-up", Tier: "t"}}
	}
	const asked = `Bearer error="insufficient_user_authentication", acr_values="a b", max_age="60"`
	decided := http.Header{"X-Tiergate-Decision-Id": {"1"}}
	for name, c := range map[string]struct {
		q      *question
		answer stage.Answer
		same   bool
	}{
		"admitted":            {allow, echo(func(*stage.Echo) {}), true},
		"another upstream":    {allow, echo(func(e *stage.Echo) { e.Upstream = "other" }), false},
		"another route":       {allow, echo(func(e *stage.Echo) { e.Headers["x-tiergate-route"] = []string{"s"} }), false},
		"another tier":        {allow, echo(func(e *stage.Echo) { e.Headers["x-tiergate-tier"] = []string{"u"} }), false},
		"a doubled header":    {allow, echo(func(e *stage.Echo) { e.Headers["x-tiergate-tier"] = []string{"t", "t"} }), false},
		"another subject":     {allow, echo(func(e *stage.Echo) { e.Headers["x-tiergate-subject"] = []string{"corp/ana"} }), false},
		"another path":        {allow, echo(func(e *stage.Echo) { e.Path = "/a" }), false},
		"another method":      {allow, echo(func(e *stage.Echo) { e.Method = "POST" }), false},
		"refused":             {allow, refusal(func(*stage.Problem) {}), false},
		"no answer":           {allow, stage.Answer{Err: errors.New("connection reset")}, false},
		"the refusal":         {posture, refusal(func(*stage.Problem) {}), true},
		"another reason":      {posture, refusal(func(p *stage.Problem) { p.Reason = "audience" }), false},
		"another refuser":     {posture, refusal(func(p *stage.Problem) { p.Tier = "u" }), false},
		"fewer unmet":         {posture, refusal(func(p *stage.Problem) { p.Unmet = nil }), false},
		"another owner":       {posture, refusal(func(p *stage.Problem) { p.Unmet[0].Owner = "iam" }), false},
		"another status":      {posture, refusal(func(p *stage.Problem) { p.Unmet[0].Status = "unknown" }), false},
		"admitted instead":    {posture, echo(func(*stage.Echo) {}), false},
		"a challenge":         {stepUp, challenge(401, asked), true},
		"another status code": {stepUp, challenge(403, asked), false},
		"a weaker login":      {stepUp, challenge(401, strings.Replace(asked, "a b", "a", 1)), false},
		"an older login":      {stepUp, challenge(401, strings.Replace(asked, "60", "600", 1)), false},
		"no challenge":        {stepUp, challenge(401, `Bearer error="invalid_token"`), false},
		"not there":           {noRoute, stage.Answer{Status: http.StatusNotFound, Header: http.Header{}}, true},
		"there, and refused":  {noRoute, stage.Answer{Status: http.StatusForbidden, Header: http.Header{}}, false},
		"asked for and 404":   {noRoute, stage.Answer{Status: http.StatusNotFound, Header: decided}, false},
		"an ambiguous path":   {path, stage.Answer{Status: http.StatusBadRequest}, true},
		"one that went on":    {path, echo(func(*stage.Echo) {}), false},
		"one that broke down": {path, stage.Answer{Status: http.StatusServiceUnavailable}, false},
	} {
		if difference := c.q.differs(c.answer); (difference == "") != c.same {
			t.Errorf("%s: difference %q", name, difference)
		}
	}
}
