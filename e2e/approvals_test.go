package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/signals"
)

// TestApprovalsByRealPeople: who may approve that an alarm ends, shown by real tokens and certificates, and what comes of it.
func TestApprovalsByRealPeople(t *testing.T) {
	t.Parallel()
	b := newBureau(t)
	b.open("https://another.acme.example")
	b.signIn("cho")
	b.refused("a token for another audience", "another audience than https://another", b.as("cho", "device", "clear", "--list"))
	b.open(approvalsAudience)
	b.signIn("cho")
	began := time.Now() // the token is no younger
	b.write("old", []byte(b.read("cho")))
	b.certify(b.people, "cho", "cho")
	foreign, err := devca.New("people") // of the same name
	if err != nil {
		t.Fatal(err)
	}
	b.certify(foreign, "foreign", "cho")

	seen := time.Now().Add(-time.Minute)
	b.report("1", true, seen)
	b.wants("a report", true)
	name := b.clear("--config", b.settings)
	approve := func(of string) []string { return []string{"device", "clear", "--approve", of} }
	b.refused("a local user", "rule approver-unknown", append(approve(name), "--config", b.settings))
	b.signIn("ben")
	b.refused("whom nobody named", "rule approver-unnamed", b.as("ben", approve(name)...))
	b.refused("a certificate of another CA", "does not answer", b.as("foreign.pem", approve(name)...))
	byCertificate := b.clear(b.as("cho.pem")...)
	b.signIn("cho")
	b.refused("who asked by certificate, by token", "rule approver-is-requester", b.as("cho", approve(byCertificate)...))
	b.refused("who asked, the same way", "rule approver-is-requester", b.as("cho.pem", approve(byCertificate)...))
	if _, alarm := b.device(); !alarm {
		t.Fatal("the alarm is over, and nobody approved")
	}
	b.signIn("cho") // what was before took its time
	out, err := b.try(b.as("cho", approve(name)...)...)
	if err != nil || !strings.Contains(out, "cho@acme.example (corp)") {
		t.Fatalf("%v: %s", err, out)
	}
	p := b.wants("approved", false)
	if len(p.Clearances) != 1 || p.Clearances[0].Name != name {
		t.Errorf("%+v", p.Clearances)
	}
	b.report("2", true, seen) // another delivery of what was seen then
	b.report("3", false, seen.Add(-time.Hour))
	if out, err := b.try(b.as("cho.pem", "device", "clear", "--list", "-o", "json")...); err != nil || strings.Count(out, `"state": "in force"`) != 1 {
		t.Errorf("%v: %s", err, out)
	}
	time.Sleep(max(0, tokensLive+time.Second-time.Since(began)))
	b.refused("an expired token", "expired at", b.as("old", "device", "clear", "--list"))
	if _, alarm := b.device(); alarm {
		t.Error("what was cleared came back")
	}
	b.report("4", true, time.Now())
	b.wants("a newer alarm", true)
}

// TestForgedApprovalsCountNowhere: whoever can write to the store, and has seen what was approved, can neither approve nor
// clear.
func TestForgedApprovalsCountNowhere(t *testing.T) {
	t.Parallel()
	b := newBureau(t)
	b.open(approvalsAudience)
	b.report("1", true, time.Now().Add(-time.Minute))
	honest := b.wants("a report", true)
	name := b.clear("--config", b.settings)
	record, err := b.raw.Record(t.Context(), approvals.KindClearance, name)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := b.sealed.Record(t.Context(), approvals.KindClearance, name)
	if err != nil {
		t.Fatal(err)
	}
	var asked approvals.Clearance
	if err := json.Unmarshal(opened.Value, &asked); err != nil {
		t.Fatal(err)
	}
	asked.History = append(asked.History, approvals.Event{At: time.Now(), Step: approvals.StepApproved, By: approvals.Person{
		Way: approvals.WayOIDC, Issuer: "corp", Name: "cho@acme.example"}})
	asked.Name = "clearance-forged"
	approved, err := json.Marshal(asked)
	if err != nil {
		t.Fatal(err)
	}
	seal := record.Value[:len(record.Value)-len(opened.Value)]
	for key, value := range map[string][]byte{"clearance-forged": approved, "clearance-stolen": append(bytes.Clone(seal), approved...),
		"clearance-copied": record.Value} {
		forged := signals.Record{Kind: approvals.KindClearance, Key: key, Revision: signals.NextRevision(0, time.Now()), Value: value}
		if err := b.raw.PutRecord(t.Context(), forged, 0); err != nil {
			t.Fatal(err)
		}
	}
	forged := record // the request itself, as if it were approved
	forged.Value, forged.Revision = append(bytes.Clone(seal), bytes.ReplaceAll(approved, []byte("clearance-forged"), []byte(name))...), record.Revision+1
	if err := b.raw.PutRecord(t.Context(), forged, record.Revision); err != nil {
		t.Fatal(err)
	}
	b.open(approvalsAudience) // it looks at them at once
	b.signIn("cho")
	b.refused("to build upon a forged request", "counts for nothing", b.as("cho", "device", "clear", "--approve", name))
	if out, err := b.try("device", "clear", "--list", "--config", b.settings); err != nil || !strings.Contains(out, "no clearances") {
		t.Errorf("%v: %s", err, out)
	}
	time.Sleep(time.Second)
	if p, alarm := b.device(); !alarm || p.Revision != honest.Revision {
		t.Fatalf("forged approvals ended an alarm: %+v", p)
	}
	stored, err := b.raw.Posture(t.Context(), honest.Device)
	if err != nil {
		t.Fatal(err)
	}
	cleared, _ := stored.Merge(signals.Observation{Clearances: asked.Cleared(time.Now())})
	if cleared.Revision = signals.NextRevision(stored.Revision, time.Now()); len(cleared.Clearances) != 1 {
		t.Fatalf("%+v", cleared)
	}
	if err := b.raw.PutPosture(t.Context(), cleared, stored.Revision); err != nil {
		t.Fatal(err)
	}
	if p, err := b.sealed.Posture(t.Context(), honest.Device); err == nil {
		t.Errorf("a forged clearance of a posture is believed: %+v", p)
	}
}

// TestReceiverIsKilledWhileClearing: the receiver is killed (SIGKILL) at any moment around an approval. Whatever was approved
// is applied by the next one, and nothing that was not.
func TestReceiverIsKilledWhileClearing(t *testing.T) {
	t.Parallel()
	b := newBureau(t)
	b.certify(b.people, "cho", "cho")
	kills := fromEnv(t, "TIERGATE_CLEAR_KILLS", 4)
	between := 0
	for i := range kills {
		b.open(approvalsAudience)
		b.report(fmt.Sprint("alarm-", i), true, time.Now())
		b.wants("a report", true)
		name := b.clear("--config", b.settings)
		victim := b.process.Process
		killed := make(chan struct{})
		go func() { // an approval takes some milliseconds
			defer close(killed)
			for began := time.Now(); time.Since(began) < 30*time.Second; {
				var c approvals.Clearance
				record, err := b.sealed.Record(t.Context(), approvals.KindClearance, name)
				if err == nil && json.Unmarshal(record.Value, &c) == nil && c.State(time.Now()) == approvals.StateInForce || i%2 == 1 &&
					time.Since(began) > time.Duration(20+i*4)*time.Millisecond {
					_ = victim.Kill()
					return
				}
			}
		}()
		_, _ = b.try(b.as("cho.pem", "device", "clear", "--approve", name)...)
		<-killed
		if _, alarm := b.device(); alarm {
			between++
		}
		b.open(approvalsAudience)
		var c approvals.Clearance
		record, err := b.sealed.Record(t.Context(), approvals.KindClearance, name)
		if err == nil {
			err = json.Unmarshal(record.Value, &c)
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.State(time.Now()) == approvals.StateRequested {
			if _, alarm := b.device(); !alarm {
				t.Fatal("the alarm is over, and nobody approved")
			}
			if out, err := b.try(b.as("cho.pem", "device", "clear", "--approve", name)...); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		if p := b.wants("approved, killed, started", false); len(p.Clearances) != 1 || p.Clearances[0].Name != name {
			t.Errorf("%+v", p.Clearances)
		}
	}
	t.Logf("%d kills, %d before the alarm was over", kills, between)
}
