package outlets

import (
	"strings"
	"time"
	"unicode/utf8"
)

// slackBody is what an incoming webhook of Slack takes, and what Mattermost and others took over: text for notifications, and
// blocks (docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, docs.slack.dev/reference/block-kit/blocks).
type slackBody struct {
	Text   string       `json:"text"`
	Blocks []slackBlock `json:"blocks"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	Text     *slackText  `json:"text,omitempty"`
	Fields   []slackText `json:"fields,omitempty"`
	Elements []slackText `json:"elements,omitempty"`
}

type slackText struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim,omitempty"` // Slack makes no links, channels or people of it
}

// Bounds in characters, within those of Slack (a header 150, a section 3,000, a field 2,000, ten fields) and of MaxBody.
const (
	slackHeader  = 150
	slackSection = 2000
	slackField   = 800
	slackFields  = 10
)

// slackVerbs begin the sentence that a channel reads.
var slackVerbs = map[string]string{"finding.opened": "Found", "finding.reopened": "Found again", "finding.assigned": "Assigned",
	"finding.escalated": "Overdue", "finding.accepted": "Accepted", "finding.acceptance_ending": "Acceptance ends soon",
	"finding.closed": "Closed", "exception.ending": "Exception ends soon", TypeTest: "Test"}

func slack(e *Event) []byte {
	d := &e.Data
	verb := slackVerbs[e.Type]
	if verb == "" {
		verb = e.Type
	}
	title := verb + ": " + d.Summary
	b := slackBody{Text: escapeSlack(title, slackSection), Blocks: []slackBlock{
		{Type: "header", Text: &slackText{Type: "plain_text", Text: escapeSlack(verb+": "+d.Subject, slackHeader)}},
		{Type: "section", Text: mrkdwn(escapeSlack(d.Summary, slackSection))}}}
	var fields []slackText
	for _, f := range [][2]string{{"Severity", d.Severity}, {"Kind", d.Kind}, {"Team", d.Team}, {"Person", d.Person}, {"Owner", d.Owner},
		{"Deadline", instant(d.Deadline)}, {"Until", instant(d.Until)}, {"Case", d.Case}, {"Tell", d.To}, {"Page", d.Page}} {
		if f[1] != "" && len(fields) < slackFields {
			fields = append(fields, *mrkdwn("*" + f[0] + "*\n" + escapeSlack(f[1], slackField-40)))
		}
	}
	if len(fields) > 0 {
		b.Blocks = append(b.Blocks, slackBlock{Type: "section", Fields: fields})
	}
	for _, f := range [][2]string{{"Fix", strings.TrimSpace(d.Fix.Text + " " + d.Fix.URL)}, {"Reason", d.Reason},
		{"Evidence", strings.Join(d.Evidence, "; ")}} {
		if f[1] != "" {
			b.Blocks = append(b.Blocks, slackBlock{Type: "section", Text: mrkdwn("*" + f[0] + "*\n" + escapeSlack(f[1], slackSection-40))})
		}
	}
	foot := mrkdwn(escapeSlack(e.Type+" "+e.ID+" "+instant(e.At), slackField))
	b.Blocks = append(b.Blocks, slackBlock{Type: "context", Elements: []slackText{*foot}})
	return spell(b)
}

func mrkdwn(text string) *slackText { return &slackText{Type: "mrkdwn", Text: text, Verbatim: true} }

func instant(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// escapeSlack replaces the three characters that mean something to Slack (docs.slack.dev/messaging/formatting-message-text,
// "Escaping text"), so that nobody's device name calls a channel or hides a link. No entity is cut in two.
func escapeSlack(text string, most int) string {
	var b strings.Builder
	left := most - 1 // for …
	for _, r := range text {
		piece := string(r)
		switch r {
		case '&':
			piece = "&amp;"
		case '<':
			piece = "&lt;"
		case '>':
			piece = "&gt;"
		}
		if left -= utf8.RuneCountInString(piece); left < 0 {
			b.WriteString("…")
			break
		}
		b.WriteString(piece)
	}
	return b.String()
}
