package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
)

const onePolicy = `apiVersion: tiergate.dev/v1alpha1
kind: Governance
metadata: {name: acme}
spec: {accountable: {name: Head, contact: head@acme.example}, teams: {iam: {contact: iam@acme.example}}}
---
apiVersion: tiergate.dev/v1alpha1
kind: Tier
metadata: {name: person, owner: iam}
spec: {identify: user, evidence: required}
---
apiVersion: tiergate.dev/v1alpha1
kind: Audience
metadata: {name: staff, owner: iam}
spec: {members: [{issuer: corp}]}
---
apiVersion: tiergate.dev/v1alpha1
kind: Upstream
metadata: {name: app, owner: iam}
spec: {endpoints: ["127.0.0.1:9001"], plaintext: true}
---
apiVersion: tiergate.dev/v1alpha1
kind: Route
metadata: {name: app, owner: iam}
spec: {hosts: [app.acme.example], path: /**, tier: person, audiences: [staff], upstream: app}
`

// aRecord lays out a policy and what an observed recorder wrote of two decisions by it: one allowed, one without a
// user.
func aRecord(t *testing.T) (dir, file string, o *observer) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(onePolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := compilePolicy(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if o, err = newObserver(config.Log{Level: "error", Format: "json"}); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "decisions.jsonl")
	recorder, err := newRecorder(&config.Settings{Evidence: config.Evidence{File: file, Within: 10 * time.Second}}, o)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 12, 0, 0, 1, time.UTC)
	in := policy.Input{At: at, Request: policy.Request{Method: "GET", Host: "app.acme.example", Path: "/reports?secret"}}
	for id, who := range map[string]*identity.User{
		"nobody": nil, "ana": {Issuer: "corp", Name: "ana", Token: identity.Validity{NotBefore: at, NotAfter: at.Add(1)}},
	} {
		in.Subject.User = who
		recorder.Record(&evidence.Record{ID: id, Policy: p.Digest(), Input: in, Verdict: p.Evaluate(&in)})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := recorder.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return dir, file, o
}

// replay runs the verb.
func replay(t *testing.T, stdin io.Reader, args ...string) (status int, said string) {
	t.Helper()
	var out bytes.Buffer
	c := newEvidence()
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetIn(stdin)
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs(append([]string{"replay"}, args...))
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
	return exitNo, err.Error()
}

func TestEvidenceReplay(t *testing.T) {
	t.Parallel()
	dir, file, _ := aRecord(t)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	lines := strings.SplitAfter(text, "\n")
	ana := lines[0]
	if !strings.Contains(ana, `"id":"ana"`) {
		ana = lines[1]
	}
	forged := strings.Replace(text, `"issuer":"corp"`, `"issuer":"else"`, 1)
	for name, tt := range map[string]struct {
		text   string
		status int
		want   []string
	}{
		"as it was":      {text, exitFine, []string{": 2 decisions replayed, 2 the same, 0 different\n"}},
		"being written":  {text + `{"v":1,`, exitFine, []string{"line 3: the last line is torn", "2 the same"}},
		"with losses":    {text + `{"v":1,"lost":7}` + "\n", exitFine, []string{"2 the same", "7 lost: in no record\n"}},
		"with one annul": {text + `{"v":1,"annul":"ana"}` + "\n", exitFine, []string{"1 the same", "1 annulled: not given"}},
		"forged": {forged, exitNo, []string{"1 the same, 1 different", "decision ana\n", `outcome was "allow", is "deny"`,
			`reason was "allowed", is "audience"`}},
		"damaged": {text + "\x00\n", exitNo, []string{"line 3: it is no line of evidence", "2 the same", "1 unreadable\n"}},
		"of another policy": {strings.ReplaceAll(ana, "sha256:", "sha256:0"), exitNo, []string{"1 made with another policy\n",
			"nothing was compared: give the policy as it was then"}},
		"empty": {"", exitNo, []string{"0 decisions replayed", "nothing was compared"}},
	} {
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		for from, args := range map[string][]string{"file": {file, "--policy", dir}, "stdin": {"-", "--policy", dir}} {
			status, said := replay(t, strings.NewReader(tt.text), args...)
			for _, want := range tt.want {
				if !strings.Contains(said, want) {
					t.Errorf("%s, %s: it does not say %q:\n%s", name, from, want, said)
				}
			}
			if status != tt.status {
				t.Errorf("%s, %s: exit %d, want %d:\n%s", name, from, status, tt.status, said)
			}
		}
	}
	for want, args := range map[string][]string{
		"say with which policy: --policy DIR": {file}, "there is no policy directory": {file, "--policy", "nowhere"},
		"the record cannot be read: open nowhere": {"nowhere", "--policy", dir}, "requires at least 1 arg": {"--policy", dir},
		"there is no settings file": {file, "--policy", dir, "--config", "nowhere"},
	} {
		if status, said := replay(t, nil, args...); status == exitFine || !strings.Contains(said, want) {
			t.Errorf("%q: exit %d, %q", args, status, said)
		}
	}
}

// TestEvidenceIsCounted: the results add up to the offers.
func TestEvidenceIsCounted(t *testing.T) {
	t.Parallel()
	_, _, o := aRecord(t)
	response := httptest.NewRecorder()
	o.metrics().ServeHTTP(response, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		"tiergate_evidence_offered_total 2\n", `tiergate_evidence_decisions_total{result="written"} 2` + "\n",
		`tiergate_evidence_decisions_total{result="dropped"} 0` + "\n", `tiergate_evidence_decisions_total{result="failed"} 0` + "\n",
		`tiergate_evidence_decisions_total{result="withdrawn"} 0` + "\n", "tiergate_evidence_held 0\n",
		"tiergate_evidence_faults_total 0\n", "tiergate_evidence_torn_lines_total 0\n",
	} {
		if !strings.Contains(response.Body.String(), want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
}

// TestNoEvidenceFile: nothing is recorded, and a tier may not demand it.
func TestNoEvidenceFile(t *testing.T) {
	t.Parallel()
	recorder, err := newRecorder(&config.Settings{}, nil)
	if recorder != nil || err != nil {
		t.Errorf("%v, %v", recorder, err)
	}
	for _, file := range []string{"", "/var/lib/tiergate/decisions.jsonl"} {
		if w := world(&config.Settings{Evidence: config.Evidence{File: file}}); w.Evidence == nil || *w.Evidence != (file != "") {
			t.Errorf("with file %q the policy is told %v", file, w.Evidence)
		}
	}
}
