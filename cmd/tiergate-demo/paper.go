package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// paper is what the story is printed on. Lines may come from several goroutines.
type paper struct {
	mu     sync.Mutex
	out    io.Writer
	colour bool
}

// The colours, as ANSI says (ECMA-48, SGR).
const (
	bold  = "\x1b[1m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
	dim   = "\x1b[2m"
	plain = "\x1b[0m"
)

// newPaper uses colour on a terminal only, and not there if NO_COLOR is set (no-color.org).
func newPaper(out io.Writer) *paper {
	file, isFile := out.(*os.File)
	if !isFile || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return &paper{out: out}
	}
	info, err := file.Stat()
	return &paper{out: out, colour: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (p *paper) in(colour, text string) string {
	if !p.colour {
		return text
	}
	return colour + text + plain
}

func (p *paper) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(p.out, text)
}

func (p *paper) title(text string) { p.line("\n" + p.in(bold, text)) }

func (p *paper) bad(text string) { p.line(p.in(red, text)) }

// step prints one line: who, what, decision, reason, milliseconds; below it what the answer said and what differs.
func (p *paper) step(s step, g got, differences []string) {
	mark := p.in(green, "ok  ")
	if len(differences) > 0 {
		mark = p.in(red, "DIFF")
	}
	decision, took := "", ""
	if g.answer != nil && g.answer.Err == nil {
		decision = fmt.Sprintf("%d %s", g.answer.Status, reasonOf(g.answer))
		took = milliseconds(g.answer.Took)
	}
	line := fmt.Sprintf("  %s %-20s %-46s %-24s %9s", mark, s.who, s.what, decision, took)
	p.line(strings.TrimRight(line, " "))
	for _, detail := range details(g) {
		p.line(strings.TrimRight("       "+p.in(dim, detail), " "))
	}
	for _, d := range differences {
		p.bad("       differs: " + d)
	}
}

func reasonOf(a *stage.Answer) string {
	if reason := a.Reason(); reason != "" {
		return reason
	}
	if a.DecisionID() == "" {
		return "by Envoy"
	}
	return ""
}

// details are what stands below a step's line.
func details(g got) []string {
	var lines []string
	if g.note != "" {
		lines = append(lines, g.note)
	}
	lines = append(lines, g.lines...)
	if g.fault != "" {
		lines = append(lines, strings.Split(strings.TrimRight(g.fault, "\n"), "\n")...)
	}
	for _, excuse := range g.excused {
		lines = append(lines, "excused: "+excuse)
	}
	if g.answer == nil {
		return lines
	}
	if challenge := g.answer.Header.Get("WWW-Authenticate"); strings.Contains(challenge, "insufficient_user_authentication") {
		lines = append(lines, challenge)
	}
	if problem := g.answer.Problem; problem != nil {
		for _, u := range problem.Unmet {
			lines = append(lines, fmt.Sprintf("%s is %s (%s); owner %s, %s; fix: %s %s", u.Signal, u.Status, u.List, u.Owner,
				u.Contact, u.Fix.Text, u.Fix.URL))
		}
	}
	if echo := g.answer.Echo; echo != nil {
		var seen []string
		for _, name := range []string{"subject", "device", "tier", "route", "decision-id"} {
			if values, has := echo.Headers["x-tiergate-"+name]; has {
				seen = append(seen, name+" "+strings.Join(values, " AND "))
			}
		}
		lines = append(lines, fmt.Sprintf("%s saw over %s: %s", echo.Upstream, g.answer.Proto, strings.Join(seen, ", ")))
	}
	return lines
}

func (p *paper) summary(differences []string) {
	if len(differences) == 0 {
		p.title("Every answer is what the story tells.")
		return
	}
	p.title(fmt.Sprintf("%d answers differ from what the story tells:", len(differences)))
	for _, d := range differences {
		p.bad("  " + d)
	}
}

func (p *paper) suggestions(list []suggestion) {
	p.title("Everything stays up. To try by hand, until Ctrl-C:")
	for _, s := range list {
		p.line("\n" + p.in(dim, "# "+s.about) + "\n" + s.command)
	}
	p.line("")
}

// milliseconds with a digit where it matters.
func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms >= 100 {
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}
