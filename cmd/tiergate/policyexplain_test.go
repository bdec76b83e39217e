package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
)

// explainIt runs the verb.
func explainIt(t *testing.T, args ...string) (status int, said string) {
	t.Helper()
	var out bytes.Buffer
	c := newPolicyExplain()
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs(args)
	err := c.ExecuteContext(t.Context())
	var usage usageError
	switch {
	case err == nil:
		return exitFine, out.String()
	case errors.Is(err, errSaid):
		return exitNo, out.String()
	case errors.As(err, &usage):
		return exitUsage, err.Error()
	}
	return exitNo, out.String() + err.Error()
}

// says demands each text, and the status.
func says(t *testing.T, what string, status int, said string, want int, texts ...string) {
	t.Helper()
	if status != want {
		t.Errorf("%s: exit %d, want %d:\n%s", what, status, want, said)
	}
	for _, text := range texts {
		if absent, ok := strings.CutPrefix(text, "!"); ok == strings.Contains(said, absent) {
			t.Errorf("%s: says %q: %t\n%s", what, absent, ok, said)
		}
	}
}

// anID is the UUIDv7 of an instant.
func anID(at time.Time, last string) string {
	ms := at.UnixMilli()
	const digits = "0123456789abcdef"
	raw := make([]byte, 12)
	for i := range raw {
		raw[11-i] = digits[ms>>(4*i)&15]
	}
	return string(raw[:8]) + "-" + string(raw[8:]) + "-7b1a-9d0e-00000000" + last
}

// explainRig is a policy directory and an evidence file that a recorder writes.
type explainRig struct {
	dir, file string
	policy    *policy.Policy
}

func newExplainRig(t *testing.T) *explainRig {
	t.Helper()
	g := &explainRig{dir: t.TempDir(), file: filepath.Join(t.TempDir(), "decisions.jsonl")}
	g.write(t, g.dir, onePolicy)
	return g
}

func (g *explainRig) write(t *testing.T, dir, content string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := compilePolicy(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	g.policy = p
}

// record puts decisions on record as a running process does: each of ana, at its instant.
func (g *explainRig) record(t *testing.T, change func(*evidence.Record), at ...time.Time) (ids []string) {
	t.Helper()
	o, err := newObserver(config.Log{Level: "error", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	recorder, err := newRecorder(&config.Settings{Evidence: config.Evidence{File: g.file, Within: 10 * time.Second}}, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, when := range at {
		in := policy.Input{At: when, Request: policy.Request{Method: "GET", Host: "app.acme.example", Path: "/reports"},
			Subject: identity.Subject{User: &identity.User{Issuer: "corp", Name: "ana", Subject: "ana",
				Token: identity.Validity{NotBefore: when, NotAfter: when.Add(time.Hour)}}}}
		r := &evidence.Record{ID: anID(when, "0001"), Policy: g.policy.Digest(), Input: in, Verdict: g.policy.Evaluate(&in)}
		if change != nil {
			change(r)
		}
		ids = append(ids, r.ID)
		recorder.Record(r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := recorder.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return ids
}

// rotate makes the file an older copy that was full at an instant.
func (g *explainRig) rotate(t *testing.T, full time.Time) {
	t.Helper()
	if err := os.Rename(g.file, g.file+"."+full.UTC().Format(rotatedForm)); err != nil {
		t.Fatal(err)
	}
}

func (g *explainRig) add(t *testing.T, text string) {
	t.Helper()
	f, err := os.OpenFile(g.file, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

var monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// TestExplainFindsDecisions in the file, in older copies, with a torn end, withdrawn or misdated, by all that names them.
func TestExplainFindsDecisions(t *testing.T) {
	t.Parallel()
	g := newExplainRig(t)
	first := g.record(t, nil, monday, monday.Add(time.Hour))
	g.rotate(t, monday.Add(2*time.Hour))
	second := g.record(t, nil, monday.Add(3*time.Hour), monday.Add(-100*time.Hour)) // the clock was set back
	g.rotate(t, monday.Add(4*time.Hour))
	third := g.record(t, nil, monday.Add(5*time.Hour), monday.Add(6*time.Hour))
	g.add(t, `{"v":1,"annul":"`+third[1]+`"}`+"\n"+`{"v":1,"lost":3}`+"\n"+`{"v":1,"id":"`+anID(monday.Add(7*time.Hour), "0001")+`","to`)
	for _, id := range slices.Concat(first, second, third) {
		for _, spelt := range []string{
			id, strings.ToUpper(id), " " + strings.ReplaceAll(id, "-", " "), id[:13], strings.ReplaceAll(id, "-", ""),
		} {
			status, said := explainIt(t, g.dir, "--evidence", g.file, "--decision", spelt)
			says(t, spelt, status, said, exitFine, "=== decision "+id+"\n", "The request to app.acme.example/reports was let through.",
				"explained with the policy of that time, read from "+g.dir)
			if annulled := strings.Contains(said, "It was not given: its record came too late"); annulled != (id == third[1]) {
				t.Errorf("%s is annulled: %t", id, annulled)
			}
		}
	}
	torn := anID(monday.Add(7*time.Hour), "0001")
	status, said := explainIt(t, g.dir, "--evidence", g.file, "--decision", torn)
	says(t, "torn", status, said, exitNo, "no record of decision "+torn)
	if err := os.Remove(g.file); err != nil { // just rotated, and nothing written since
		t.Fatal(err)
	}
	status, said = explainIt(t, g.dir, "--evidence", g.file, "--decision", first[0])
	says(t, "older copies alone", status, said, exitFine, first[0])
}

// TestExplainTakesThePolicyOfThatTime: DIR, else the kept one; else it says that it has another.
func TestExplainTakesThePolicyOfThatTime(t *testing.T) {
	t.Parallel()
	g := newExplainRig(t)
	id := g.record(t, nil, monday)[0]
	then, history := g.policy.Digest(), t.TempDir()
	g.write(t, g.dir, strings.Replace(onePolicy, "issuer: corp", "issuer: partner", 1))
	ask := func() (int, string) {
		return explainIt(t, g.dir, "--evidence", g.file, "--decision", id, "--history", history)
	}
	status, said := ask()
	says(t, "not kept", status, said, exitFine, "NOTE: this is what ANOTHER policy says, the one in "+g.dir, "That was "+then,
		history+" does not have it (any more)", `Recorded otherwise: outcome was "allow", is "deny"`, "/reports was refused")

	kept := filepath.Join(history, strings.TrimPrefix(then, "sha256:"), "policy")
	g.write(t, kept, onePolicy)
	status, said = ask()
	says(t, "kept", status, said, exitFine, "the policy of that time, read from "+kept, "/reports was let through", "!NOTE", "!otherwise")

	g.write(t, kept, strings.Replace(onePolicy, "issuer: corp", "issuer: other", 1))
	status, said = ask()
	says(t, "kept, and changed since", status, said, exitFine, "ANOTHER policy says, the one in "+g.dir,
		"come to another digest with today's settings", "give those with --config")

	if err := os.WriteFile(filepath.Join(kept, "policy.yaml"), []byte("kind: 7"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, said = ask()
	says(t, "kept, and damaged", status, said, exitFine, "ANOTHER policy", "cannot be used")
	status, said = explainIt(t, "--evidence", g.file, "--decision", id, "--history", history)
	says(t, "nothing that can judge", status, said, exitNo, "which is not at hand", "name the directory of a policy")
	status, said = explainIt(t, kept, "--evidence", g.file, "--decision", id)
	says(t, "a directory with faults", status, said, exitNo, "policy.yaml:1:")
}

// TestExplainTellsWhatWasChanged: a record that is not what its own policy says is no grounds to tell anybody anything.
func TestExplainTellsWhatWasChanged(t *testing.T) {
	t.Parallel()
	g := newExplainRig(t)
	forged := g.record(t, func(r *evidence.Record) { r.Verdict.Outcome, r.Verdict.Reason = policy.Deny, policy.ReasonAudience }, monday)[0]
	status, said := explainIt(t, g.dir, "--evidence", g.file, "--decision", forged)
	says(t, "forged", status, said, exitNo, "NOTE: the record is not what its own policy says", `outcome was "deny", is "allow"`)

	withheld := g.record(t, func(r *evidence.Record) { r.Verdict = evidence.Withheld(r.Verdict) }, monday.Add(time.Hour))[0]
	status, said = explainIt(t, g.dir, "--evidence", g.file, "--decision", withheld)
	says(t, "withheld", status, said, exitFine, "reason evidence",
		"The decision has to be put on record here,", "!NOTE", "!otherwise")

	status, said = explainIt(t, g.dir, "--evidence", g.file, "--decision", withheld, "-o", "json")
	var told explainedDecision
	if err := json.Unmarshal([]byte(said), &told); err != nil || status != exitFine {
		t.Fatalf("exit %d, %v:\n%s", status, err, said)
	}
	if told.ID != withheld || !told.SamePolicy || told.By != told.Policy || told.Explanation.Verdict.Reason != policy.ReasonEvidence {
		t.Errorf("%+v", told)
	}
	g.add(t, `{"v":1,"id":"`+anID(monday.Add(2*time.Hour), "0001")+`","unheard-of":1}`+"\n")
	status, said = explainIt(t, g.dir, "--evidence", g.file, "--decision", anID(monday.Add(2*time.Hour), "0001"))
	says(t, "a line of a later version", status, said, exitNo, "note: "+g.file+": of the lines about", "no record of decision")
}

// TestExplainByTheSettings: they name the evidence file, the directory of the policy and that of the kept ones.
func TestExplainByTheSettings(t *testing.T) {
	t.Parallel()
	g := newExplainRig(t)
	settings := filepath.Join(t.TempDir(), "settings.yaml")
	lay := func(recorded string) {
		text := "runtimeDir: " + filepath.Dir(settings) + "\npolicy: {dir: " + g.dir + "}\nstore: {embedded: {file: " +
			filepath.Join(filepath.Dir(settings), "t.db") + "}}\nidentity: {issuers: [{name: corp, issuer: \"https://login.acme.example\"," +
			" audiences: [apps], jwksFile: " + filepath.Join(g.dir, "jwks.json") + "}]}\n" + recorded
		if err := errors.Join(os.WriteFile(settings, []byte(text), 0o600),
			os.WriteFile(filepath.Join(g.dir, "jwks.json"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	lay("evidence: {file: " + g.file + "}\n")
	var err error
	if g.policy, err = compilePolicy(g.dir, settings); err != nil {
		t.Fatal(err)
	}
	id := g.record(t, nil, monday)[0]
	status, said := explainIt(t, "--config", settings, "--decision", id)
	says(t, "by the settings alone", status, said, exitFine, "the policy of that time, read from "+g.dir)

	kept := filepath.Join(filepath.Dir(settings), "policies", strings.TrimPrefix(g.policy.Digest(), "sha256:"), "policy")
	g.write(t, kept, onePolicy)
	g.write(t, g.dir, strings.Replace(onePolicy, "path: /**", "path: /other/**", 1))
	status, said = explainIt(t, "--config", settings, "--decision", id[:8])
	says(t, "kept where the settings say", status, said, exitFine, "the policy of that time, read from "+kept, "was let through")

	lay("")
	status, said = explainIt(t, "--config", settings, "--decision", id)
	says(t, "nothing is recorded", status, said, exitNo, "evidence.file is not set; name a file with --evidence")
	status, said = explainIt(t, "--config", settings+"x", "--decision", id)
	says(t, "no settings", status, said, exitNo, "there is no settings file")
}

// TestDecisionIDs: as people write them, and what is none.
func TestDecisionIDs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]decisionID{
		"0199c7d2": "0199c7d2", "0199C7D2-7C": "0199c7d2-7c", " 0199c7d2 7c1e\t7b1a ": "0199c7d2-7c1e-7b1a",
		"0199c7d27c1e7b1a9d0e000000000001": "0199c7d2-7c1e-7b1a-9d0e-000000000001", "0199c7d": "", "": "", "0199c7dg": "",
		"0199c7d2-7c1e-7b1a-9d0e-000000000001-0": "", "0199c7d2*": "", "../../../": "",
	} {
		got, err := parseDecisionID(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is read as %q, %v", text, got, err)
		}
	}
	from, to := decisionID("0199c7d2").madeBetween()
	if at, _ := time.Parse(time.RFC3339, "2025-10-09T03:32:00Z"); to.Sub(from) != 65535*time.Millisecond || from.Sub(at).Abs() > 24*time.Hour {
		t.Errorf("made between %s and %s", from, to)
	}
	if from, to := decisionID(anID(monday, "0001")).madeBetween(); !from.Equal(monday) || !to.Equal(monday) {
		t.Errorf("made between %s and %s", from, to)
	}
}

// TestLikelyCopiesComeFirst, and none is left out.
func TestLikelyCopiesComeFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "d.jsonl")
	var names []string
	for hour := range 5 {
		names = append(names, file+"."+monday.Add(time.Duration(hour)*time.Hour).Format(rotatedForm))
	}
	names = append(names, file)
	for _, name := range append(slices.Clone(names), file+".lock", file+".bak", filepath.Join(dir, "other.jsonl")) {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for at, first := range map[time.Duration][]string{
		90 * time.Minute: names[2:3], 125 * time.Minute: {names[3]}, 119 * time.Minute: names[2:3], 10 * time.Hour: names[5:],
		-100 * time.Hour: names[:1], 55 * time.Minute: names[1:3],
	} {
		got, err := evidenceCopies(file, decisionID(anID(monday.Add(at), "0001")))
		if err != nil || len(got) != len(names) || !slices.Equal(got[:len(first)], first) {
			t.Errorf("%s: %q, %v; want first %q", at, got, err, first)
		}
	}
}

// TestLinesWithBoundsWhatItKeeps: of lines without end, and of more lines than one can mean.
func TestLinesWithBoundsWhatItKeeps(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3<<20) + "here" + strings.Repeat("y", 1<<20)
	for text, want := range map[string]string{
		"": "", "no\n": "", "a here\nb\nc here": "a here\nc here", long + "\nno\n": long + "\n",
		strings.Repeat("here\n", linesMost+5): strings.Repeat("here\n", linesMost),
	} {
		got, err := linesWith(strings.NewReader(text), []byte("here"))
		if err != nil || string(got) != want {
			t.Errorf("%.40q: %.40q (%d bytes), %v", text, got, len(got), err)
		}
	}
	broken := errors.New("broken")
	if _, err := linesWith(iotest.ErrReader(broken), []byte("here")); !errors.Is(err, broken) {
		t.Error(err)
	}
}
