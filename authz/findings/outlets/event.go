package outlets

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/policy"
)

// Event is one thing to tell. It is kept in the queue as JSON, below MaxEvent bytes.
type Event struct {
	// ID is the same for the same event however often it is told, so that receivers can tell what they have: "evt_" and 32 hex
	// digits, of the SHA-256 of the notice's id.
	ID string `json:"id"`
	// Type is what happened, such as finding.opened: see TypeOf.
	Type string    `json:"type"`
	At   time.Time `json:"at"`
	// About is what events are kept in order by: the case, or the subject where there is none.
	About string `json:"about"`
	Data  Data   `json:"data"`
}

// Data is what an event tells: the same words in every body. Evidence and Person are left out unless the outlet's settings
// say details, since they name people and addresses.
type Data struct {
	Case      string            `json:"case,omitempty"`     // F-…; `tiergate finding show` knows it
	Kind      string            `json:"kind,omitempty"`     // the kind of finding
	Severity  string            `json:"severity,omitempty"` // low, medium, high, critical
	Monitor   string            `json:"monitor,omitempty"`
	Subject   string            `json:"subject"` // a word and a name: device ID, exception NAME …
	Detail    string            `json:"detail,omitempty"`
	Summary   string            `json:"summary"`
	Evidence  []string          `json:"evidence,omitempty"`
	Fix       policy.Fix        `json:"fix,omitzero"`
	Owner     string            `json:"owner,omitempty"` // the team that answers for what was found
	Team      string            `json:"team,omitempty"`  // the team that looks after it
	Person    string            `json:"person,omitempty"`
	To        string            `json:"to,omitempty"`   // the contact to tell
	Page      string            `json:"page,omitempty"` // where the team is paged, of an escalation
	Audiences []string          `json:"audiences,omitempty"`
	Deadline  time.Time         `json:"deadline,omitzero"`
	Until     time.Time         `json:"until,omitzero"` // when an acceptance or exception ends
	Reopened  int               `json:"reopened,omitempty"`
	Reason    string            `json:"reason,omitempty"`
	Taxonomy  findings.Taxonomy `json:"taxonomy,omitzero"`
}

// MaxEvent bounds an event in the queue, and MaxBody what is sent of it, in bytes.
const (
	MaxEvent = 12_000
	MaxBody  = 20_000
)

// TypeTest is the type of what `tiergate outlet test` sends.
const TypeTest = "outlet.test"

// TypeOf is the Event.Type of a notice: "finding." and what it tells, or exception.ending. Between full stops are letters and _
// alone, as Standard Webhooks 1.0.0 recommends ("Event types").
func TypeOf(what findings.What) string {
	if what == findings.ToldExceptionEnding {
		return "exception.ending"
	}
	return "finding." + strings.ReplaceAll(string(what), "-", "_")
}

// Of is the event of a notice: the one place in which one becomes the other. Texts are cut to their bounds, which only what
// somebody else wrote could exceed.
func Of(n *findings.Notice) Event {
	e := Event{ID: idOf(n.ID), Type: TypeOf(n.What), At: n.At.UTC(), About: cut(cmp.Or(n.Case, n.Subject), 300), Data: Data{
		Case: cut(n.Case, 100), Kind: cut(string(n.Kind), 100), Severity: cut(string(n.Severity), 20), Monitor: cut(n.Monitor, 100),
		Subject: cut(n.Subject, 300), Detail: cut(n.Detail, 300), Summary: cut(n.Summary, 600), Evidence: cutAll(n.Evidence, 10, 200),
		Fix: policy.Fix{Text: cut(n.Fix.Text, 500), URL: cut(n.Fix.URL, 300)}, Owner: cut(n.Owner, 100), Team: cut(n.Team, 100),
		Person: cut(n.Person, 200), To: cut(n.To, 200), Page: cut(n.Page, 300), Audiences: cutAll(n.Audiences, 20, 63),
		Deadline: n.Deadline, Until: n.Until, Reopened: n.Reopened, Reason: cut(n.Reason, 500), Taxonomy: n.Taxonomy}}
	if e.size() > MaxEvent { // each text is within its bound and escapes made it large: what matters least goes
		e.Data.Evidence, e.Data.Audiences = nil, nil
	}
	return e
}

// idOf makes an id that fits into a header whatever the notice's is made of.
func idOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return "evt_" + hex.EncodeToString(sum[:16])
}

// cut makes a text harmless for one line: UTF-8 without control characters, and at most so many bytes, with … for what is
// missing.
func cut(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029':
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) <= most {
		return text
	}
	end := most - len("…")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

func cutAll(texts []string, number, most int) []string {
	var out []string
	for _, text := range texts {
		if len(out) == number {
			return append(out, "…")
		}
		out = append(out, cut(text, most))
	}
	return out
}

// severityRank orders what may go first where there is no room: a notice without a severity is between.
func severityRank(severity string) int {
	switch policy.Severity(severity) {
	case policy.SeverityLow:
		return 0
	case policy.SeverityHigh:
		return 2
	case policy.SeverityCritical:
		return 3
	default:
		return 1
	}
}

// testEvent is what a test of an outlet sends.
func testEvent(outlet string, at time.Time, chance string) Event {
	return Event{ID: idOf("test/" + outlet + "/" + chance), Type: TypeTest, At: at.UTC(), About: "outlet " + outlet,
		Data: Data{Subject: "outlet " + outlet, Severity: string(policy.SeverityLow),
			Summary: "a test of outlet " + outlet + ": nothing is wrong"}}
}
