package outlets

import (
	"encoding/json"
	"flag"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/policy"
)

var update = flag.Bool("update", false, "write what is said now as what should be said")

func sample() findings.Notice {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	return findings.Notice{ID: "F-0123456789ab/escalated/2026-11-22T12:00:00Z", What: findings.ToldEscalated, At: at, Case: "F-0123456789ab",
		Kind: findings.Drift, Severity: policy.SeverityHigh, Monitor: "drift", Subject: "device C02 <ceo> & co", Detail: "disk-encrypted",
		Summary: "disk-encrypted fails on device C02 <ceo> & co", Evidence: []string{"ana@acme.example", "10.1.2.3"},
		Fix: policy.Fix{Text: "Turn on FileVault.", URL: "https://it.acme.example/disk"}, Owner: "endpoint", Team: "secops",
		Person: "bo@acme.example", To: "posture@acme.example", Page: "https://pager.acme.example/secops", Audiences: []string{"executives"},
		Deadline: at.Add(-time.Hour), Reopened: 2, Reason: "the deadline has passed", Taxonomy: findings.Drift.Taxonomy()}
}

var bodies = map[string]func(*Event) []byte{"webhook": plain, "slack": slack, "jsonlines": jsonLine,
	"cloudevents": func(e *Event) []byte { return cloud(e, DefaultSource) }}

// TestBodies: byte for byte what the README shows.
func TestBodies(t *testing.T) {
	n := sample()
	e := Of(&n)
	for name, body := range bodies {
		for suffix, details := range map[string]bool{"": false, "-details": true} {
			told := e.told(details)
			got := body(&told)
			file := filepath.Join("testdata", name+suffix+".json")
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || string(want) != string(got) {
				t.Errorf("%s: %v\ngot  %s\nwant %s", file, err, got, want)
			}
			for _, person := range []string{"ana@", "bo@", "10.1.2.3"} {
				if strings.Contains(string(got), person) != details {
					t.Errorf("%s, details %v: %s", name, details, person)
				}
			}
		}
	}
}

// TestTypes: each event has a type of full stops and words (Standard Webhooks), a verb for a channel, and as a CloudEvent all
// attributes that CloudEvents 1.0.2 requires, in their forms (section "Context Attributes").
func TestTypes(t *testing.T) {
	words := regexp.MustCompile(`^[a-z]+(\.[a-z_]+)+$`)
	for _, what := range []findings.What{findings.ToldOpened, findings.ToldReopened, findings.ToldAssigned, findings.ToldEscalated,
		findings.ToldAccepted, findings.ToldAcceptanceEnding, findings.ToldClosed, findings.ToldExceptionEnding, "test"} {
		n := sample()
		n.What = what
		e := Of(&n)
		if what == "test" {
			e = testEvent("secops", n.At, "chance")
		}
		if !words.MatchString(e.Type) || slackVerbs[e.Type] == "" || !strings.Contains(readme(t), strings.TrimPrefix(e.Type, "finding")+"`") {
			t.Errorf("type %q", e.Type)
		}
		var ce map[string]any
		if err := json.Unmarshal(cloud(&e, "https://acme.example/tiergate/eu"), &ce); err != nil {
			t.Fatal(err)
		}
		for name, value := range ce {
			text, isText := value.(string)
			if !regexp.MustCompile(`^[a-z0-9]{1,20}$`).MatchString(name) || isText == (name == "data") || isText && text == "" {
				t.Errorf("%s: attribute %s is %v", e.Type, name, value)
			}
		}
		at, err := time.Parse(time.RFC3339Nano, ce["time"].(string))
		if ce["specversion"] != "1.0" || ce["id"] != e.ID || ce["source"] != "https://acme.example/tiergate/eu" ||
			ce["type"] != "dev.tiergate."+e.Type || ce["datacontenttype"] != "application/json" || ce["subject"] != e.About ||
			err != nil || !at.Equal(e.At) {
			t.Errorf("%v", ce)
		}
	}
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestBodiesAreBounded: whatever a notice is made of, each body is JSON below its bound, and one line of it is one line.
func TestBodiesAreBounded(t *testing.T) {
	for _, piece := range []string{"x", "\x00", "\u2028", "<!channel>", "&", `"\`, "💥", "\xff", "\n", "\u202e", "\x7f"} {
		long := strings.Repeat(piece, 100_000/len(piece))
		n := findings.Notice{ID: long, What: findings.What(long[:50]), At: time.Now(), Case: long, Kind: findings.Kind(long), Severity: policy.Severity(long),
			Monitor: long, Subject: long, Detail: long, Summary: long, Reason: long, Owner: long, Team: long, Person: long, To: long, Page: long,
			Fix: policy.Fix{Text: long, URL: long}, Reopened: 1 << 30, Taxonomy: findings.IdentityUnowned.Taxonomy()}
		for range 1000 {
			n.Evidence, n.Audiences = append(n.Evidence, long[:1000]), append(n.Audiences, long[:1000])
		}
		e := Of(&n)
		if e.size() > MaxEvent {
			t.Errorf("%q: the event has %d bytes", piece, e.size())
		}
		for name, body := range bodies {
			got := body(&e)
			if len(got) > MaxBody || !json.Valid(got) || !utf8.Valid(got) || strings.Contains(strings.TrimRight(string(got), "\n"), "\n") {
				t.Errorf("%q, %s: %d bytes, JSON %v", piece, name, len(got), json.Valid(got))
			}
		}
	}
}

var entity = regexp.MustCompile(`&(amp|lt|gt);`)

// FuzzSlackEscapes: nobody's text calls a channel, hides a link or says another thing than it did.
func FuzzSlackEscapes(f *testing.F) {
	for _, text := range []string{"<!channel>", "&lt;", "a<b>c&d", "<https://evil.example|bank>", "&&&&&&&&", "\x00\xff", "é<", ""} {
		f.Add(text, 20)
	}
	f.Fuzz(func(t *testing.T, text string, most int) {
		most = 6 + max(0, most%5000)
		clean := cut(text, 10_000)
		got := escapeSlack(clean, most)
		if strings.ContainsAny(got, "<>") || strings.Contains(entity.ReplaceAllString(got, ""), "&") || !utf8.ValidString(got) {
			t.Errorf("%q became %q", text, got)
		}
		if utf8.RuneCountInString(got) > most {
			t.Errorf("%d characters of %d", utf8.RuneCountInString(got), most)
		}
		back := html.UnescapeString(entity.ReplaceAllStringFunc(got, func(s string) string { return s }))
		if strings.HasSuffix(got, "…") {
			back = strings.TrimSuffix(back, "…")
		}
		if strings.Count(clean, "&") == 0 && !strings.HasPrefix(clean, back) {
			t.Errorf("%q reads as %q", clean, back)
		}
	})
}
