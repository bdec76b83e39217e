package main

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// leniency is what the company knows of exceptions, silence and logins.
type leniency struct {
	seen       map[string]time.Time // of each laptop, when the MDM last saw it
	exceptions []string             // as they were written
	records    map[string]stage.Record
}

// person is who a caller is, however they logged in.
func person(caller string) string { name, _, _ := strings.Cut(caller, "-key"); return name }

func (c *company) ReportSeen(ctx context.Context, device string, seen time.Time, attributes map[string]any) (stage.Receipt, error) {
	receipt, err := c.Report(ctx, device, attributes)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[device] = seen
	return receipt, err
}

func (c *company) WritePolicy(_, text string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spoil == "directory read-only" {
		return errors.New("read-only file system")
	}
	c.exceptions = append(c.exceptions, text)
	return nil
}

func (c *company) Record(decision string) (stage.Record, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spoil == "no log" {
		return stage.Record{}, false, errors.New("no such file")
	}
	record, found := c.records[decision]
	return record, found, nil
}

// aged is what still counts of a laptop's posture: what the EDR said ages out after two hours.
func (c *company) aged(device string) map[string]any {
	posture := maps.Clone(c.posture[device])
	if time.Since(c.seen[device]) > 2*time.Hour {
		delete(posture, "edr_healthy")
	}
	return posture
}

var instants = regexp.MustCompile(`name: ([a-z-]+),(?s:.*)from: (\S+)\n  until: (\S+)\n`)

// excuse takes away what an exception or grace excuses.
func (c *company) excuse(who string, unmet []stage.Unmet) (left []stage.Unmet, waived []stage.Waived) {
	now := time.Now()
	silent := now.Sub(c.seen[who+"-laptop"])
	if c.spoil == "facts that are told now are new" {
		silent = min(silent, 3*time.Hour)
	}
	for _, u := range unmet {
		switch name := c.exception(now); {
		case c.lent(who, u.Signal):
			waived = append(waived, stage.Waived{Signal: u.Signal, By: "exception", Name: loan.Name})
		case u.Signal == "disk-encrypted" && name != "" && (who == "ana" || c.spoil == "exception for everybody"):
			waived = append(waived, stage.Waived{Signal: u.Signal, By: "exception", Name: name})
		case u.Signal == "edr-healthy" && u.Status == "unknown" && silent > 2*time.Hour && silent < 10*time.Hour && c.spoil != "no grace":
			waived = append(waived, stage.Waived{Signal: u.Signal, By: "grace"})
		default:
			left = append(left, u)
		}
	}
	if c.spoil == "grace goes on" && who == "eli" {
		waived = append(waived, stage.Waived{Signal: "edr-healthy", By: "grace"})
	}
	return left, waived
}

// exception is the name of one that is in force.
func (c *company) exception(now time.Time) string {
	for _, text := range c.exceptions {
		match := instants.FindStringSubmatch(text)
		if match == nil { // another document, that the story wrote later
			continue
		}
		from, errFrom := time.Parse(time.RFC3339, match[2])
		until, errUntil := time.Parse(time.RFC3339, match[3])
		switch {
		case errFrom != nil || errUntil != nil:
			panic("the instants cannot be read: " + text)
		case c.spoil == "exception outlives its end" && until.After(now.Add(-time.Hour)):
			until = now.Add(time.Hour)
		case c.spoil == "exception ends early":
			until = until.Add(-time.Second)
		case c.spoil == "exception never ends":
			until = now.Add(time.Hour)
		}
		if !now.Before(from) && now.Before(until) {
			return match[1]
		}
	}
	return ""
}

func (c *company) console(r stage.Request) stage.Answer {
	if r.As == "ana-key" || r.As == "ana-key-old" && (c.applied || c.spoil == "old login suffices") {
		return c.allow(r, "corp/ana@acme.example", "ana-device", "privileged", "payroll-console")
	}
	answer := c.refuse(401, "step-up")
	text := `Bearer realm="tiergate", error="insufficient_user_authentication", ` +
		`error_description="A stronger or fresher sign-in is required", acr_values="phr", max_age="900"`
	switch c.spoil {
	case "no challenge":
		return answer
	case "other challenge":
		text = strings.Replace(text, "900", "901", 1)
	}
	if answer.Header == nil {
		answer.Header = http.Header{}
	}
	answer.Header.Set("WWW-Authenticate", text)
	return answer
}

// TestStoryNoticesEveryWrongExcuse: what is excused too long, too short, to others, or without a word of it, is seen.
func TestStoryNoticesEveryWrongExcuse(t *testing.T) {
	for spoil, hint := range map[string]string{
		"directory read-only":             "read-only file system",
		"exception refused":               "the exception is not in force",
		"exception never ends":            "opens the portal: status 200, want 403",
		"exception outlives its end":      "after its end",
		"exception ends early":            "before its end",
		"no answers":                      "nobody decided, 10",
		"slow answers":                    "nobody was admitted before",
		"exception for everybody":         "it is not about him: status 200, want 403",
		"waiver not in the log":           `the log tells that [] was excused, want ["disk-encrypted by exception ana-new-disk"]`,
		"no log":                          "no such file",
		"no grace":                        "nearly ten hours: status 403, want 200",
		"facts that are told now are new": "after its end",
		"grace goes on":                   `the log tells that ["edr-healthy by grace"] was excused, want []`,
		"no challenge":                    "WWW-Authenticate is []",
		"other challenge":                 `max_age=\"901\"`,
		"old login suffices":              "status 200, want 401",
	} {
		out, differences := playIn(t, newCompany(spoil))
		if !strings.Contains(strings.Join(differences, "\n"), hint) {
			t.Errorf("%s: differences %q lack %q", spoil, differences, hint)
		}
		if !strings.Contains(out, "DIFF") {
			t.Errorf("%s: the paper does not show it", spoil)
		}
	}
}
