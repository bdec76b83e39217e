package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/findings/engine"
)

// TestAFindingThroughReceivers: two receivers share a signed store. A delivery says that a laptop's disk is not encrypted: a
// case is open, and told at a webhook, within seconds; both receivers show it. The one that looks ends, the other goes on;
// the laptop is mended, the case is closed by that, and told once. Without the store the verbs say so.
func TestAFindingThroughReceivers(t *testing.T) {
	t.Parallel()
	w := newWatchers(t)
	a := w.start("a")
	w.deliver(a, "C02AAAA0001", true)
	w.soon("somebody looks", func() bool {
		return !strings.Contains(w.here(a, exitFine, "finding", "list"), "nobody has looked")
	})
	b := w.start("b")
	w.here(a, exitFine, "finding", "list", "--fail")
	began := time.Now()
	w.deliver(a, "C02AAAA0001", false)
	w.soon("the case is told", func() bool { return w.told() == "finding.opened" })
	t.Logf("from the delivery to the webhook: %v", time.Since(began).Round(time.Millisecond))
	text := w.here(b, exitFine, "finding", "list")
	tells(t, text, "high", "open", "drift", "(disk-encrypted)", "endpoint", "not judged: what decisions saw")
	id := strings.Fields(strings.Split(text, "\n")[1])[0]
	tells(t, w.here(b, exitFine, "finding", "show", id), "Turn on FileVault.", "DE.CM-09", "found since")
	tells(t, w.here(b, exitNo, "finding", "list", "--fail", "--kind", "drift", "--owner", "endpoint", "--severity", "high"), id)
	tells(t, w.here(b, exitFine, "finding", "list", "--overdue", "--fail"), "no findings")
	tells(t, w.here(a, exitFine, "finding", "assign", id, "--person", "eve@acme.example"), "assigned to eve@acme.example of team endpoint")
	w.soon("the step is told", func() bool { return w.told() == "finding.opened finding.assigned" })

	a.stop()
	w.deliver(b, "C02AAAA0001", true)
	shown := func() (f findingShown) {
		if err := json.Unmarshal([]byte(w.here(b, exitFine, "finding", "show", id, "-o", "json")), &f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	w.soon("the other one looks, and sees that it is mended", func() bool { return !shown().Gone.IsZero() })
	w.mu.Lock()
	w.ahead = 16 * time.Minute
	w.mu.Unlock()
	w.soon("the closure is told", func() bool { return w.told() == "finding.opened finding.assigned finding.closed" })
	if f := shown(); f.State != findings.Closed || len(f.History) != 3 || len(f.Taxonomy.CSF) == 0 {
		t.Errorf("%+v", f)
	}
	w.soon("a look says that nothing stands", func() bool {
		text := w.here(b, exitFine, "finding", "list")
		return strings.Contains(text, "no findings") && !strings.Contains(text, "nobody has looked")
	})
	w.here(b, exitFine, "finding", "list", "--fail")
	tells(t, w.here(b, exitFine, "finding", "list", "--state", "closed", "--subject", "DEVICE"), id, "over since")
	tells(t, w.here(b, exitNo, "finding", "assign", id, "--team", "iam"), "closed", "list those that stand")
}

// TestFindingVerbs: who may do what.
func TestFindingVerbs(t *testing.T) {
	t.Parallel()
	w := newWatchers(t)
	a := w.start("a")
	w.deliver(a, "C02AAAA0001", false)
	w.soon("the case is told", func() bool { return w.told() == "finding.opened" })
	id := findings.IDOf("drift|" + strings.TrimSpace(subjectOf(t, w, a)) + "|disk-encrypted")
	accept := []string{"finding", "accept", id, "--for", "72h", "--reason", "it is replaced on Monday"}
	tells(t, w.here(a, exitNo, accept...), "all local users count as one person", "eve@acme.example")
	tells(t, w.here(a, exitNo, "finding", "assign", id, "--team", "nobody"), "there is no such team", "endpoint")
	tells(t, w.here(a, exitNo, "finding", "assign", id, "--person", "ana@acme.example"), "not of the team")
	tells(t, w.here(a, exitNo, "finding", "show", "F-x"), "there is no such finding; see tiergate finding list")
	tells(t, w.there(a, exitFine, "finding", "assign", id, "--person", "eve@acme.example"), "eve@acme.example of team endpoint works on it")
	tells(t, w.there(a, exitNo, "finding", "accept", id, "--for", "2400h", "--reason", "x"), "at most 90 days")
	tells(t, w.there(a, exitFine, accept...), "finding "+id+": accepted until ")
	tells(t, w.there(a, exitFine, "finding", "list", "--owner", "eve@acme.example", "-o", "yaml"), "state: accepted", "DE.CM-09")
	tells(t, w.here(a, exitFine, "finding", "show", id), "accepted by eve@acme.example (corp); it is replaced on Monday")
	w.soon("the steps are told", func() bool { return w.told() == "finding.opened finding.assigned finding.accepted" })
	if err := os.WriteFile(w.mine, []byte("ana@acme.example"), 0o600); err != nil {
		t.Fatal(err)
	}
	tells(t, w.there(a, exitNo, accept...), "not yours to accept", "eve@acme.example")
	if err := os.WriteFile(w.mine, []byte("nobody"), 0o600); err != nil {
		t.Fatal(err)
	}
	tells(t, w.there(a, exitNo, "finding", "list"), "the token is not believed")
}

func subjectOf(t *testing.T, w *watchers, r *receiving) string {
	t.Helper()
	var list findingList
	if err := json.Unmarshal([]byte(w.here(r, exitFine, "finding", "list", "-o", "json")), &list); err != nil || len(list.Findings) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	return list.Findings[0].Finding.Subject
}

// TestWhatTheListDoesNotShow is said under it.
func TestWhatTheListDoesNotShow(t *testing.T) {
	t.Parallel()
	for want, list := range map[string]findingList{
		"nobody has looked yet: set policy.dir":  {Stale: true},
		"nobody has looked since 2026-11-22":     {Stale: true, Watch: engine.Watch{At: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)}},
		"not judged: 2 devices":                  {Watch: engine.Watch{At: time.Now(), Unread: 2}},
		"not judged: devices: away":              {Watch: engine.Watch{At: time.Now(), Blind: map[string]string{"devices": "away"}}},
		"not watched by any Monitor: 3 of drift": {Watch: engine.Watch{At: time.Now(), Unwatched: map[string]int{"drift": 3}}},
	} {
		var out strings.Builder
		if err := tableOfFindings(&out, &list); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q, %v", want, out.String(), err)
		}
	}
}
