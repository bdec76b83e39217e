package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// author is what the company knows of tools and of edits under open connections.
type author struct {
	edits   int // of scene 19
	sockets []*socket
	applied bool // the draft of scene 20
}

func (c *company) Lint(_ context.Context, configuration string) ([]stage.Finding, error) {
	finding := func(code, severity string) stage.Finding {
		f := stage.Finding{Code: code, Severity: severity, Where: "here", What: "what is wrong", Fix: "what to write"}
		if c.spoil == "a hole without a fix" {
			f.Fix = ""
		}
		return f
	}
	list := []stage.Finding{finding("admin-tcp", "weak")}
	switch {
	case c.spoil == "no lint":
		return nil, errors.New("no Envoy answers")
	case configuration == "" && c.spoil == "ours has a hole":
		return append(list, finding("way-around", "hole")), nil
	case configuration == "":
		return list, nil
	}
	for _, code := range []string{"path-not-normalized", "admin-open", "authz-disabled-route", "authz-fail-open", "reserved-headers"} {
		if code != "authz-fail-open" || c.spoil != "a hole is not seen" {
			list = append(list, finding(code, "hole"))
		}
	}
	return list, nil
}

// edited follows the edits that the tiers and routes bear; the one that mends a broken policy is told elsewhere.
func (c *company) edited(replacement string) {
	if strings.Contains(replacement, "tier:") || c.spoil == "edits not in force" {
		return
	}
	c.edits++
	for i, s := range c.sockets {
		s.ended = s.ended || c.spoil == "an edit drops all" || c.spoil == "an edit drops one" && i == 3
	}
}

func (c *company) Open(_ context.Context, r stage.Request) (stage.Conversation, error) {
	time.Sleep(10 * time.Millisecond) // as in Ask
	c.mu.Lock()
	defer c.mu.Unlock()
	late := c.spoil == "Envoy is late" && len(c.sockets) == 0 && c.asked%7 != 0
	c.asked++
	if late || c.spoil == "no WebSockets" || r.Path != "/live/feed" || r.As != "ana" {
		return nil, errors.New("403 Forbidden")
	}
	s := &socket{deaf: c.spoil == "nothing is said back"}
	c.sockets = append(c.sockets, s)
	return s, nil
}

type socket struct{ ended, deaf bool }

func (s *socket) Say(text string) (string, error) {
	switch {
	case s.ended:
		return "", errors.New("connection reset by peer")
	case s.deaf:
		return "", nil
	}
	return text, nil
}

func (s *socket) Close() error {
	s.ended = true
	return nil
}

// TestToolsNoticeEveryWrong: holes that are not found, and connections that an edit costs, are seen.
func TestToolsNoticeEveryWrong(t *testing.T) {
	for spoil, hint := range map[string]string{
		"no lint":              "no Envoy answers",
		"ours has a hole":      "the holes are [way-around], want []",
		"a hole is not seen":   "the holes are [admin-open authz-disabled-route path-not-normalized reserved-headers], want [admin-open",
		"a hole without a fix": " is named without its place or a fix",
		"edits not in force":   "tier internal advise os-current: the change is not in force: not within 10s",
		"exception refused":    "for WebSockets: the change is not in force: the exception has no end",
		"directory read-only":  "for WebSockets: read-only file system",
		"no WebSockets":        "opens eight WebSockets: 403 Forbidden",
		"nothing is said back": `opens eight WebSockets: it said "" to "1 of 8"`,
		"an edit drops all":    "8 of 8 WebSockets were dropped, the first: connection reset by peer",
		"an edit drops one":    "1 of 8 WebSockets were dropped, the first: connection reset by peer",
	} {
		_, differences := playIn(t, newCompany(spoil))
		if !strings.Contains(strings.Join(differences, "\n"), hint) {
			t.Errorf("%s: differences %q lack %q", spoil, differences, hint)
		}
	}
	_, differences := playIn(t, newCompany("no WebSockets"))
	if !strings.Contains(strings.Join(differences, "\n"), "8 of 8 WebSockets were dropped, the first: it was never open") {
		t.Errorf("nothing was open, and nothing differs: %q", differences)
	}
}

// TestToolsInARightWorld: what the scenes tell, and that every WebSocket is closed at their end.
func TestToolsInARightWorld(t *testing.T) {
	for _, spoil := range []string{"", "Envoy is late"} {
		c := newCompany(spoil)
		out, differences := playIn(t, c)
		if len(differences) > 0 {
			t.Errorf("%q", differences)
		}
		for _, part := range []string{"5 holes, 1 lesser things", "admin-open: what is wrong; fix: what to write", "0 holes, 1 lesser things",
			"8 open, each says back what it is told", "8 of 8 answer, 0 dropped", "sha256:new"} {
			if !strings.Contains(out, part) {
				t.Errorf("the paper lacks %q:\n%s", part, out)
			}
		}
		for i, s := range c.sockets {
			if !s.ended {
				t.Errorf("socket %d is still open", i+1)
			}
		}
	}
}
