package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// pageLogin is what Ana's browser has: when she logged in, how, and the link of the page that it shows.
type pageLogin struct {
	at     time.Time
	method string
	linked bool
}

// Browse is a browser of the model: the console's route has a login application, the portal's has none.
func (c *company) Browse(ctx context.Context, e stage.Errand) stage.Visit {
	v := stage.Visit{At: &url.URL{Host: e.Host, Path: e.Path}}
	if e.Host == stage.PortalHost {
		v.Answer = asPage(c.Ask(ctx, stage.Request{As: "ana", Host: e.Host, Path: e.Path}), c.spoil)
		return v
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	login := &c.browser
	good := func() bool {
		return login.method == oidc.ByKey && (time.Since(login.at) < 15*time.Minute || c.spoil == "logins keep")
	}
	id := http.Header{"X-Tiergate-Decision-Id": {fmt.Sprint("decision-", c.asked)}}
	switch {
	case e.Link && !login.linked:
		v.Answer.Err = fmt.Errorf("there is no link")
		return v
	case good() && !e.Link:
	case e.Stay:
		to := "https://apps.acme.example/step-up?return_path=x&max_age=900&acr_values=phr&mac=y"
		switch c.spoil {
		case "sent elsewhere":
			to = strings.Replace(to, "apps.", "evil.", 1)
		case "sent for any login":
			to = strings.Replace(to, "phr", "", 1)
		}
		id.Set("Location", to)
		v.Answer = stage.Answer{Status: http.StatusFound, Header: id}
		return v
	default:
		v.Sent, v.Logins = 1, 1
		*login = pageLogin{at: time.Now().Add(-e.Login.Age), method: e.Login.Method}
		if c.spoil == "sent twice" {
			v.Sent++
		}
	}
	if !good() && c.spoil != "any login counts" {
		login.linked = c.spoil != "no link"
		page := strings.Join(cameBackWeak, "\n")
		page = strings.NewReplacer("Decision: *", "Decision: "+id.Get("X-Tiergate-Decision-Id"), "*", "2000-01-01").Replace(page)
		v.Answer = stage.Answer{Status: http.StatusUnauthorized, Header: id, Body: []byte(paragraphs(page))}
		return v
	}
	v.Answer = c.allow(stage.Request{}, "corp/ana@acme.example", "ana-device", "privileged", "payroll-console")
	return v
}

// asPage is what a browser is shown where an API client gets JSON.
func asPage(a stage.Answer, spoil string) stage.Answer {
	if a.Problem == nil {
		return a
	}
	lines := slices.Clone(needsAttention)
	if spoil == "no fix on the page" {
		lines = slices.Delete(lines, 5, 6)
	}
	id := a.Problem.DecisionID
	if spoil == "another decision on the page" {
		id = "decision-0"
	}
	a.Body = []byte(paragraphs(strings.Replace(strings.Join(lines, "\n"), "*", id, 1)))
	a.Problem = nil
	return a
}

func paragraphs(text string) string {
	return "<p>" + strings.ReplaceAll(text, "\n", "</p><p>") + "</p>"
}

// TestStoryNoticesEveryWrongPage: who is sent elsewhere, too often or not at all, and pages that do not say what they must.
func TestStoryNoticesEveryWrongPage(t *testing.T) {
	for spoil, hint := range map[string]string{
		"sent elsewhere":               `sent to "https://evil.acme.example/step-up?acr_values=phr&max_age=900", want "https://apps.`,
		"sent for any login":           `sent to "https://apps.acme.example/step-up?acr_values=&max_age=900"`,
		"sent twice":                   "sent to the login application 2 times, logged in 1 times; want 1, 1",
		"any login counts":             "Ana types her password alone: status 200, want 401",
		"logins keep":                  "opens the console, until another is wanted: status 200, want 302",
		"no link":                      "follows the page's link; Ana uses her key: no answer (there is no link)",
		"no fix on the page":           "opens the portal; this is the page: the page says [",
		"another decision on the page": `the page does not name its decision "decision-`,
		"no answers":                   "opens the portal; this is the page: no answer (connection refused)",
	} {
		_, differences := playIn(t, newCompany(spoil))
		if !strings.Contains(strings.Join(differences, "\n"), hint) {
			t.Errorf("%s: differences %q lack %q", spoil, differences, hint)
		}
	}
}
