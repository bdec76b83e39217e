package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/authz/policydiff"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
)

// verb runs a command as a user would.
func verb(t *testing.T, want int, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if exit := run(t.Context(), args, &stdout, &stderr); exit != want {
		t.Fatalf("%q: exit %d, want %d\n%s%s", args, exit, want, &stdout, &stderr)
	}
	return stdout.String() + stderr.String()
}

// digestOnceNot waits until the policy in force is another.
func digestOnceNot(t *testing.T, s *stage.Stage, before string) string {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if status, err := s.Policy(t.Context()); err == nil && status.Digest != before && status.Fault == "" {
			return status.Digest
		}
	}
	t.Fatal("the edit never came into force")
	return ""
}

// changesOn are the changes on record, oldest first.
func changesOn(t *testing.T, file string) (all []evidence.Change) {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	for r, err := range evidence.Read(f) {
		must(t, err)
		if r.Change != nil {
			all = append(all, *r.Change)
		}
	}
	return all
}

// TestRollbackOfARunningSidecar by the verbs: a loosening edit is taken back, over a restart, on record with who did it.
func TestRollbackOfARunningSidecar(t *testing.T) {
	t.Parallel()
	s := aPlace(t)
	file := recording(t, s, 0o700)
	stop := serving(t, s)
	me, err := user.Current()
	must(t, err)
	who := me.Username + " (uid " + me.Uid + ")"
	tiers := s.Path("policy", "access", "tiers.yaml")
	good := digestOnceNot(t, s, "")
	edit(t, tiers, "recheckEvery: 5m", "recheckEvery: 50m")
	bad := digestOnceNot(t, s, good)

	config := []string{"--config", s.Settings()}
	var said string
	soon(t, "the edit is kept", func() bool { // it is in force before it is written to the disk
		said = verb(t, exitFine, append(config, "policy", "history")...)
		return strings.Contains(said, shortDigest(bad)+"  ")
	})
	for _, want := range []string{shortDigest(good) + "  ", shortDigest(bad) + "  ", "  30         edit   in force\n", "  30         start  -\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	rollback := append([]string{"policy", "rollback", shortDigest(good), "--reason", "fifty minutes is a slip", "--ticket", "INC-8"}, config...)
	said = verb(t, exitFine, rollback...)
	for _, want := range []string{"in force: " + good + " (30 documents)\nbefore:   " + bad + "\n", "pinned by " + who + ", until", "\non record\n",
		"1 change: tightens\n  tightens: tier "} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	if _, text := probe(s.Ports.ServeMetrics, "/metrics", http.StatusOK); !strings.Contains(text, "tiergate_policy_pinned 1\n") ||
		!strings.Contains(text, `tiergate_evidence_changes_total{result="written"} 3`+"\n") {
		t.Errorf("the metrics do not say so:\n%s", text)
	}
	stop()

	stop = serving(t, s)
	var kept []admin.KeptPolicy
	must(t, json.Unmarshal([]byte(verb(t, exitFine, append(config, "policy", "history", "-o", "json")...)), &kept))
	if len(kept) != 2 || kept[0].Digest != good || !kept[0].InForce || !kept[0].Pinned || kept[0].By != byRollback {
		t.Errorf("after a restart: %+v", kept)
	}
	// What is kept can be compared by the other verbs.
	if said := verb(t, exitFine, "policy", "check", kept[0].Dir, "--config", s.Settings()); !strings.Contains(said, good) {
		t.Errorf("the kept files compile to\n%s", said)
	}
	var move admin.PolicyMove
	release := append([]string{"policy", "rollback", "--release", "-o", "json"}, config...)
	must(t, json.Unmarshal([]byte(verb(t, exitFine, release...)), &move))
	if move.Digest != bad || move.Before != good || move.Pinned != nil || move.By != who || move.Direction != policydiff.Loosens {
		t.Errorf("the release: %+v", move)
	}
	if said := verb(t, exitNo, release...); !strings.Contains(said, "nothing is pinned: the policy directory counts") {
		t.Errorf("a second release says %s", said)
	}
	stop()

	var got []string
	for _, c := range changesOn(t, file) {
		got = append(got, strings.Join([]string{string(c.Kind), c.Policy, c.Before, c.By, c.Reason, c.Ticket}, "|"))
	}
	want := []string{"policy-in-force|" + good + "||start||", "policy-in-force|" + bad + "|" + good + "|edit||",
		"rollback|" + good + "|" + bad + "|" + who + "|fifty minutes is a slip|INC-8",
		"policy-in-force|" + good + "||start|fifty minutes is a slip|INC-8", "release|" + bad + "|" + good + "|" + who + "||"}
	if !slices.Equal(got, want) {
		t.Errorf("on record is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// Old readers of decisions leave changes out.
	said = verb(t, exitNo, "evidence", "replay", file, "--policy", s.Path("policy"))
	if !strings.Contains(said, "5 not decisions, but changes of the policy\n") || strings.Contains(said, "unreadable") {
		t.Errorf("replay says %s", said)
	}
}

// TestRollbackIsRefused by the process, whoever sends it and however.
func TestRollbackIsRefused(t *testing.T) {
	t.Parallel()
	s := aPlace(t)
	stop := serving(t, s)
	defer stop()
	digest := digestOnceNot(t, s, "")
	socket := s.Path("run", "admin.sock")
	for body, want := range map[string]string{
		`{"digest":"` + digest + `"}`:                               "say why: a rollback needs a reason",
		`{"digest":"` + digest + `","reason":"a\nb"}`:               "cannot be printed",
		`{"digest":"` + digest + `","reason":"x","force":true}`:     `unknown field "force"`,
		`{"digest":"../../../../etc/tiergate","reason":"x"}`:        "is no digest",
		`{"digest":"` + strings.Repeat("9", 64) + `","reason":"x"}`: "no policy that is kept",
		`{"reason":"` + strings.Repeat("x", 1001) + `"}`:            "write at most 1000",
		`{"reason":"` + strings.Repeat("x", maxOrderBytes) + `"}`:   "too large",
	} {
		answer, err := callAdmin(t.Context(), socket, http.MethodPost, "/v1/policy/rollback", json.RawMessage(body))
		if err == nil {
			_ = answer.Close() // it should not be there
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", body, err, want)
		}
	}
	said := verb(t, exitFine, "policy", "rollback", digest, "--reason", "keep it", "--config", s.Settings(), "-o", "yaml")
	if !strings.Contains(said, "direction: neither\n") || !strings.Contains(said, `record: "not on record: no decisions are recorded`) {
		t.Errorf("pinning what is in force says\n%s", said)
	}
	// Over anything but the Unix socket nobody is known.
	read := &recordedAnswer{header: http.Header{}}
	r := &reloader{orders: make(chan *policyOrder)}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/policy/release", strings.NewReader("{}"))
	must(t, err)
	r.order(read, req, true)
	if read.status != http.StatusForbidden || !strings.Contains(read.body.String(), "a change of the policy needs a name") {
		t.Errorf("%d %s", read.status, &read.body)
	}
}

type recordedAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *recordedAnswer) Header() http.Header         { return a.header }
func (a *recordedAnswer) WriteHeader(status int)      { a.status = status }
func (a *recordedAnswer) Write(b []byte) (int, error) { return a.body.Write(b) }
