package evidence

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// TestReplayGivesTheRecordedVerdict: through the queue, the file and the reader, and judged again, byte for byte.
func TestReplayGivesTheRecordedVerdict(t *testing.T) {
	t.Parallel()
	p := world(t)
	seen := map[string]int{}
	for range 8 {
		rapid.Check(t, func(rt *rapid.T) { replayed(rt, p, seen) })
	}
	t.Log(seen)
	for _, reason := range []string{"allow allowed", "step-up step-up", "deny posture", "deny evidence", "deny path", "deny isolated",
		"waived by exception", "waived by grace", "waived by last-known"} {
		if seen[reason] == 0 {
			t.Errorf("the test has not seen %q: %v", reason, seen)
		}
	}
}

func replayed(rt *rapid.T, p *policy.Policy, seen map[string]int) {
	in := anyInput().Draw(rt, "input")
	judge, digest := p, p.Digest()
	if rapid.IntRange(0, 30).Draw(rt, "no policy yet") == 30 {
		judge, digest = nil, ""
	}
	assessed := in // as authz asks: with an assessment that was made before
	if in.Device.Packed != nil && judge != nil {
		assessed.Device.Assessment = p.Assess(in.Device.Packed.Posture())
	}
	verdict := judge.Evaluate(&assessed)
	given := verdict
	if Demanded(&verdict) && rapid.IntRange(0, 5).Draw(rt, "not on record") == 5 {
		given = Withheld(verdict)
	}
	var e encoder
	if err := e.add(line{V: Version, Record: &newEntry(&Record{ID: "1", Policy: digest, Input: assessed, Verdict: given}, false).record}); err != nil {
		rt.Fatal(err)
	}
	if strings.Contains(e.buffer.String(), "secret") {
		rt.Fatal("the query is in the record")
	}
	for r, err := range Read(bytes.NewReader(e.buffer.Bytes())) {
		if err != nil {
			rt.Fatal(err)
		}
		replayed, err := Replay(p, &r)
		if err != nil {
			rt.Fatal(err)
		}
		want, _ := json.Marshal(given)
		got, _ := json.Marshal(replayed)
		if !bytes.Equal(want, got) || len(Differences(r.Verdict, replayed)) > 0 || len(Differences(given, replayed)) > 0 {
			rt.Fatalf("recorded %s\nreplayed %s\n%q\n%s", want, got, Differences(r.Verdict, replayed), e.buffer.String())
		}
		seen[given.Outcome.String()+" "+string(given.Reason)]++
		for _, w := range given.Waived {
			seen["waived by "+string(w.By)]++
		}
	}
}

// TestReplayRefuses: what the policy cannot judge.
func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	p := world(t)
	for want, r := range map[string]*Record{
		"3 decisions are in no record":                       {Lost: 3},
		"decision 1 was made with policy sha256:00, this is": {ID: "1", Policy: "sha256:00"},
	} {
		if _, err := Replay(p, r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestReplayOfAFault: an evaluation that panics is the denial that authz makes of it.
func TestReplayOfAFault(t *testing.T) {
	t.Parallel()
	p := world(t)
	r := sample("1")
	r.Policy, r.Input.Request = p.Digest(), policy.Request{Method: "GET", Host: "app.example", Path: "/"}
	r.Input.Device.Packed, r.Input.Device.Assessment = &signals.Packed{}, nil // never made by Pack
	r.Verdict = policy.Verdict{Reason: policy.ReasonInternal}
	replayed, err := Replay(p, r)
	if err != nil || len(Differences(r.Verdict, replayed)) > 0 {
		t.Errorf("%+v (%v)", replayed, err)
	}
	early := &Record{ID: "2", Input: policy.Input{At: noon}, Verdict: r.Verdict}
	if replayed, err := Replay(p, early); err != nil || len(Differences(r.Verdict, replayed)) > 0 {
		t.Errorf("a fault before any policy was asked: %+v (%v)", replayed, err)
	}
}

// TestDifferences: every field that differs, and also where only the bytes of a text do.
func TestDifferences(t *testing.T) {
	t.Parallel()
	was := policy.Verdict{Outcome: policy.Allow, Reason: policy.ReasonAllowed, Detail: "a\xff", Route: "app"}
	is := policy.Verdict{Outcome: policy.Deny, Reason: policy.ReasonPosture, Detail: "a\xfe", Route: "app", Unmet: []policy.Unmet{{Signal: "disk"}}}
	want := []string{"detail was \"a\uFFFDff\", is \"a\uFFFDfe\"", `outcome was "allow", is "deny"`, `reason was "allowed", is "posture"`}
	got := Differences(was, is)
	if len(got) != 4 || !slices.Equal(got[:3], want) || !strings.HasPrefix(got[3], "unmet was not there, is [{") {
		t.Errorf("%q", got)
	}
	if got := Differences(is, is); got != nil {
		t.Errorf("%q", got)
	}
	if got := Differences(was, policy.Verdict{Outcome: 9}); len(got) == 0 {
		t.Error("a verdict without a JSON form is like any other")
	}
}
