package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// browse opens a page in somebody's browser and goes where that leads.
type browse struct {
	stage.Errand
	sent, logins int // how often the login application is come by, and how often the person logs in
	// page is all that the page says where it ends, a line each, with "*" for what differs from time to time. Nil: not asked.
	page []string
	// to is where a browser that stays is sent: all but the values of what is signed. Empty: nowhere.
	to string
	// until: open it again until the answer is as it should be, at most so long. Zero: once.
	until time.Duration
}

func (b browse) perform(ctx context.Context, p *play, w want) got {
	began := time.Now()
	for opened := 1; ; opened++ {
		visit := p.world.Browse(ctx, b.Errand)
		g := got{answer: &visit.Answer, err: b.differs(&visit)}
		if len(w.differences(g)) > 0 && time.Since(began) < b.until && pause(ctx) {
			continue
		}
		if b.page != nil {
			g.lines = stage.PageText(string(visit.Answer.Body))
		}
		switch to := visit.Answer.Header.Get("Location"); {
		case to != "":
			g.note = "sent to " + signedAway(to)
		case visit.Sent > 0:
			g.note = "sent to the login application and the provider's login page, and back"
		case opened > 1:
			g.note = "after " + milliseconds(time.Since(began))
		}
		return g
	}
}

func (b browse) differs(v *stage.Visit) error {
	if v.Answer.Err != nil {
		return nil // which want tells
	}
	if v.Sent != b.sent || v.Logins != b.logins {
		return fmt.Errorf("sent to the login application %d times, logged in %d times; want %d, %d", v.Sent, v.Logins, b.sent, b.logins)
	}
	if to := signedAway(v.Answer.Header.Get("Location")); to != b.to {
		return fmt.Errorf("sent to %q, want %q", to, b.to)
	}
	if b.page == nil {
		return nil
	}
	lines := stage.PageText(string(v.Answer.Body))
	same := slices.EqualFunc(lines, b.page, func(line, pattern string) bool {
		before, after, open := strings.Cut(pattern, anyValue)
		return line == pattern || open && len(line) > len(pattern) && strings.HasPrefix(line, before) && strings.HasSuffix(line, after)
	})
	switch id := v.Answer.DecisionID(); {
	case !same:
		return fmt.Errorf("the page says %q, want %q", lines, b.page)
	case id == "" || !slices.Contains(lines, "Decision: "+id):
		return fmt.Errorf("the page does not name its decision %q", id)
	}
	return nil
}

// signedAway is an address without the values of what authz/returnto signs, which differ each time.
func signedAway(address string) string {
	head, query, _ := strings.Cut(address, "?")
	var kept []string
	for part := range strings.SplitSeq(query, "&") {
		if name, _, _ := strings.Cut(part, "="); name == "acr_values" || name == "max_age" {
			kept = append(kept, part)
		}
	}
	if len(kept) == 0 {
		return head
	}
	slices.Sort(kept)
	return head + "?" + strings.Join(kept, "&")
}
