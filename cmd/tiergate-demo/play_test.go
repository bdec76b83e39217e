package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// company answers as tiergate and Envoy must: a model of the story's world in one page. spoil changes one thing.
type company struct {
	mu      sync.Mutex
	posture map[string]map[string]any
	spoil   string
	broken  bool
	mended  bool
	dead    bool
	asked   int
	mark    stage.Mark
	leniency
	fleet
	author
	providers
	ownership
	proofs  map[string]bool
	browser pageLogin
}

func newCompany(spoil string) *company {
	return &company{posture: map[string]map[string]any{}, spoil: spoil, proofs: map[string]bool{}, fleet: fleet{edr: map[string]map[string]any{}},
		leniency: leniency{seen: map[string]time.Time{}, records: map[string]stage.Record{}}}
}

func (c *company) Report(_ context.Context, device string, attributes map[string]any) (stage.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spoil == "webhook refused" {
		return stage.Receipt{Status: http.StatusUnauthorized}, nil
	}
	if c.disk++; c.spoil == "disk full" || c.spoil == "disk busy" && c.disk%3 == 0 {
		return stage.Receipt{Status: http.StatusServiceUnavailable}, nil
	}
	if c.spoil == "webhook unreachable" {
		return stage.Receipt{}, errors.New("connection refused")
	}
	if c.posture[device] == nil {
		c.posture[device] = map[string]any{}
	}
	if c.spoil != "webhook without effect" || attributes["disk_encryption"] != false {
		maps.Copy(c.posture[device], attributes)
	}
	c.seen[device] = time.Now()
	return stage.Receipt{Status: http.StatusAccepted, Took: time.Millisecond}, nil
}

func (c *company) Policy(context.Context) (stage.PolicyStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	status := stage.PolicyStatus{Digest: "sha256:old", Documents: 14}
	if c.mended {
		status.Digest = "sha256:new"
	}
	status.Digest += fmt.Sprint(len(c.exceptions), c.edits)
	if len(c.exceptions) > 0 && c.spoil == "exception refused" {
		status.Fault = "the exception has no end"
	}
	if c.broken && c.spoil != "fault not shown" {
		status.Fault = c.mark.Within("tier: internl", "internl").String() + ": no tier \"internl\""
		if c.spoil == "fault without place" {
			status.Fault = "the policy is wrong"
		}
	}
	return status, nil
}

func (c *company) EditPolicy(file, _, replacement string) (stage.Mark, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = strings.Contains(replacement, "internl")
	c.mended = !c.broken && c.spoil != "mended not in force"
	c.edited(replacement)
	c.mark = stage.Mark{File: file, Line: 9, Column: 3}
	return c.mark, nil
}

func (c *company) Kill(string) error {
	c.dead = c.spoil != "kill without effect"
	return nil
}

func (c *company) Restart(context.Context, string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = false
	if c.spoil == "facts forgotten" {
		delete(c.posture, "ben-laptop")
		delete(c.posture, "ana-laptop")
	}
	if c.spoil == "not ready again" {
		return errors.New("not ready")
	}
	return nil
}

func (c *company) Ask(_ context.Context, r stage.Request) stage.Answer {
	time.Sleep(10 * time.Millisecond) // asking takes time, or else asking again and again would never end
	if c.spoil == "slow answers" {
		time.Sleep(nearly)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	r, refused := c.identify(r)
	steady, spoilt := c.steady(r)
	switch {
	case spoilt:
		return steady
	case c.spoil == "no answers":
		return stage.Answer{Err: errors.New("connection refused")}
	case c.dead:
		return stage.Answer{Status: http.StatusServiceUnavailable}
	case refused != nil:
		return *refused
	case c.spoil == "a request lost" && r.Path == "/steady" && c.asked%3 == 0:
		return stage.Answer{Status: http.StatusBadGateway}
	case r.Host == stage.PayrollHost && strings.HasPrefix(r.Path, "/console"):
		return c.console(r)
	case r.Host == stage.PayrollHost:
		return c.payroll(r)
	case r.Listener == stage.ListenerContracts && r.Host == stage.ContractorHost:
		return c.allow(r, "corp/cleo@partner.example", "", "contractor", "contractor-portal")
	case r.Listener == stage.ListenerContracts && c.spoil != "no isolation by Envoy":
		return stage.Answer{Status: http.StatusNotFound}
	case r.Listener == stage.ListenerContracts:
		return c.refuse(403, "isolated")
	}
	return c.portal(r)
}

func (c *company) payroll(r stage.Request) stage.Answer {
	switch {
	case !strings.HasPrefix(r.Path, "/admin"):
		return stage.Answer{Status: http.StatusNotFound}
	case r.As != "deployer" && c.spoil != "audience ignored":
		return c.refuse(403, "audience")
	}
	return c.allow(r, "spiffe://acme.example/ns/ci/sa/deployer", "", "workload", "payroll-admin")
}

func (c *company) portal(r stage.Request) stage.Answer {
	switch {
	case r.Method == http.MethodPost && (!c.mended || c.applied && c.spoil != "half of the draft applied"):
		return c.refuse(403, "method")
	case r.NoToken, r.As == "deployer":
		return c.refuse(401, "identity-missing")
	case c.signedOut(r) != nil:
		return *c.signedOut(r)
	case r.As == "cleo-borrowing" && c.spoil != "isolation ignored":
		return c.refuse(403, "isolated")
	case c.posture[person(r.As)+"-laptop"] == nil && r.As != "cleo-borrowing":
		return c.refuse(403, "device-unknown")
	}
	unmet, waived := c.excuse(person(r.As), c.unmet(c.worse(person(r.As)+"-laptop", c.aged(person(r.As)+"-laptop"))))
	if len(unmet) > 0 {
		answer := c.refuse(403, "posture")
		answer.Problem.Unmet = unmet
		return answer
	}
	device := person(r.As) + "-device"
	if c.spoil == "device renamed" && c.mended {
		device = "other"
	}
	answer := c.allow(r, "corp/"+person(r.As)+"@acme.example", device, "internal", "portal")
	if len(waived) > 0 && c.spoil != "waiver not in the log" {
		c.records[answer.DecisionID()] = stage.Record{Decision: answer.DecisionID(), Outcome: "allow", Waived: waived}
	}
	return answer
}

func (c *company) unmet(posture map[string]any) []stage.Unmet {
	var list []stage.Unmet
	add := func(signal, demanded, attribute string, healthy bool) {
		status := "failing"
		switch posture[attribute] {
		case healthy:
			return
		case nil:
			status = "unknown"
		}
		u := stage.Unmet{Signal: signal, List: demanded, Status: status, Owner: "endpoint", Contact: "endpoint@acme.example"}
		u.Fix.Text = "Mend it."
		switch c.spoil {
		case "no fix":
			u.Fix.Text = ""
		case "other owner":
			u.Owner = "iam"
		case "first fault only":
			if len(list) > 0 {
				return
			}
		}
		list = append(list, u)
	}
	if len(posture) > 0 {
		add("disk-encrypted", "require", "disk_encryption", true)
		add("edr-healthy", "require", "edr_healthy", true)
		add("not-compromised", "denyUnless", "compromised", false)
	}
	return list
}

func (c *company) refuse(status int, reason string) stage.Answer {
	id := fmt.Sprint("decision-", c.asked)
	answer := stage.Answer{Status: status, Problem: &stage.Problem{Status: status, Reason: reason, DecisionID: id}}
	answer.Header = http.Header{"X-Tiergate-Decision-Id": {id}}
	if c.spoil == "no decision id" {
		answer.Header, answer.Problem.DecisionID = nil, ""
	}
	return answer
}

func (c *company) allow(r stage.Request, subject, device, tier, route string) stage.Answer {
	id := fmt.Sprint("decision-", c.asked)
	headers := map[string][]string{"x-tiergate-subject": {subject}, "x-tiergate-tier": {tier}, "x-tiergate-route": {route},
		"x-tiergate-decision-id": {id}}
	if device != "" {
		headers["x-tiergate-device"] = []string{device}
	}
	for name, values := range r.Header {
		switch c.spoil {
		case "forged headers appended":
			headers[name] = append(slices.Clone(values), headers[name]...)
		case "forged headers win":
			headers[name] = values
		}
	}
	if c.spoil == "other decision upstream" {
		headers["x-tiergate-decision-id"] = []string{"another"}
	}
	answer := stage.Answer{Status: http.StatusOK, Echo: &stage.Echo{Upstream: route, Headers: headers}}
	answer.Header = http.Header{"X-Tiergate-Decision-Id": {id}}
	return answer
}

// playIn plays in time that costs nothing: what is spoilt never comes right, however long one waits.
func playIn(t *testing.T, c *company) (paper string, differences []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		differences = newPlay(c, newPaper(&out)).run(t.Context(), story())
		paper = out.String()
	})
	return paper, differences
}

// TestStoryInARightWorld: nothing differs, and every step has its line.
func TestStoryInARightWorld(t *testing.T) {
	out, differences := playIn(t, newCompany(""))
	if len(differences) > 0 {
		t.Fatalf("differences %q\n%s", differences, out)
	}
	for _, scene := range story() {
		for _, step := range scene.steps {
			if !strings.Contains(out, "ok   "+step.who) || !strings.Contains(out, step.what) {
				t.Errorf("no line for %s %s", step.who, step.what)
			}
		}
	}
	for _, part := range []string{"webhook to changed answer", "403 posture", "200 allowed", "404 by Envoy", "503 by Envoy",
		"owner endpoint, endpoint@acme.example; fix: Mend it.", "access/routes.yaml:9:9", " 0 lost", "ms\n",
		"excused: disk-encrypted by exception ana-new-disk", "excused: edr-healthy by grace", `acr_values="phr", max_age="900"`, " times before 2000-01-01T",
		"portal saw over : subject corp/ana@acme.example, device ana-device, tier internal, route portal, decision-id decision-"} {
		if !strings.Contains(out, part) {
			t.Errorf("the paper lacks %q:\n%s", part, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("colour although this is no terminal")
	}
}

// TestStoryNoticesEveryWrong: each world is wrong in one thing, and the play says so.
func TestStoryNoticesEveryWrong(t *testing.T) {
	for spoil, hint := range map[string]string{
		"webhook refused":         "the receiver answered 401",
		"webhook unreachable":     "connection refused",
		"disk full":               "the receiver answered 503",
		"webhook without effect":  "status 200, want 403",
		"forged headers appended": "forged",
		"forged headers win":      "corp/root@acme.example",
		"other decision upstream": "the upstream was told decision another",
		"no decision id":          "0 headers x-tiergate-decision-id",
		"no fix":                  "without a contact or a fix",
		"other owner":             "owner iam",
		"first fault only":        "not named: not-compromised",
		"audience ignored":        "status 200, want 403",
		"isolation ignored":       "status 200, want 403",
		"no isolation by Envoy":   "tiergate decided",
		"fault not shown":         "no fault is shown",
		"fault without place":     "does not name access/routes.yaml:9:9",
		"mended not in force":     "the mended policy is not in force",
		"a request lost":          "requests were lost",
		"device renamed":          "is now called other",
		"kill without effect":     "status 200, want 503",
		"not ready again":         "not ready",
		"facts forgotten":         `reason "device-unknown", want "allowed"`,
		"no answers":              "no answer (connection refused)",
	} {
		out, differences := playIn(t, newCompany(spoil))
		if !strings.Contains(strings.Join(differences, "\n"), hint) {
			t.Errorf("%s: differences %q lack %q", spoil, differences, hint)
		}
		if !strings.Contains(out, "DIFF") || !strings.Contains(out, "differs: ") {
			t.Errorf("%s: the paper does not show it", spoil)
		}
	}
}

func TestInterruptedStory(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if differences := newPlay(newCompany(""), newPaper(&out)).run(ctx, story()); len(differences) == 0 {
		t.Error("a story that was interrupted passed")
	}
}

// TestStoryIsWhole holds the table to its scenes: what each must show is asked for.
func TestStoryIsWhole(t *testing.T) {
	scenes := story()
	if len(scenes) != 25 {
		t.Fatalf("%d scenes", len(scenes))
	}
	for i, wanted := range [][]int{{200, 403}, {403, 200}, {200, 403}, {200, 404, 403}, {200}, {503, 200}, {403, 200},
		{200, 403}, {401, 200}, {200, 401}, {401, 200}, {302, 401, 200}, {403, 200}, {401}, {302, 200}, {403, 200}, {200}, {}, {},
		{200, 401, 403}, {}, {403, 200}, {401, 200}, {403, 200}, {403}} {
		for _, status := range wanted {
			if !slices.ContainsFunc(scenes[i].steps, func(s step) bool { return s.want.status == status }) {
				t.Errorf("%s: nothing is answered %d", scenes[i].title, status)
			}
		}
		if !strings.HasPrefix(scenes[i].title, fmt.Sprint(i+1, ". ")) {
			t.Errorf("scene %d is called %q", i+1, scenes[i].title)
		}
		for _, s := range scenes[i].steps {
			if a, isAsk := s.do.(ask); isAsk && (s.want.status == 0 || s.want.decided == either || a.as == "") {
				t.Errorf("%s: %q expects nothing", scenes[i].title, s.what)
			}
			if s.want.reason == "posture" && len(s.want.unmet) == 0 {
				t.Errorf("%s: %q names no unmet signal", scenes[i].title, s.what)
			}
		}
	}
}
