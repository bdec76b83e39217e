package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/xds"
)

// rolled is a reloader that runs with a history and a record.
type rolled struct {
	*followed
	history string
	heard   *heardHistory
	changes chan evidence.Change
	end     func()
}

// rolling starts one on a policy directory; history is where it keeps.
func rolling(t *testing.T, policyDir, history string) (*rolled, error) {
	t.Helper()
	return rollingWith(t, policyDir, history, machineDisk(), policy.World{})
}

func rollingWith(t *testing.T, policyDir, history string, disk historyDisk, world policy.World) (*rolled, error) {
	t.Helper()
	f := &rolled{followed: followDir(t), history: history, changes: make(chan evidence.Change, 100)}
	f.dir, f.r.dir, f.r.world = policyDir, policyDir, world
	k, heard := openKept(t, history, 5, disk)
	f.heard, f.r.history, f.r.orders = heard, k, make(chan *policyOrder)
	f.r.record = func(c *evidence.Change) *evidence.ChangeReceipt {
		f.changes <- *c
		return (*evidence.Recorder)(nil).RecordChange(c)
	}
	if err := f.r.load(t.Context()); err != nil {
		return f, errors.Join(err, k.close())
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.r.run(ctx) }()
	ended := false
	f.end = func() {
		if !ended {
			ended = true
			cancel()
			must(t, <-done)
			must(t, k.close())
		}
	}
	t.Cleanup(f.end)
	return f, nil
}

func (f *rolled) order(o admin.PolicyOrder, release bool) policyAnswer {
	order := &policyOrder{PolicyOrder: o, release: release, by: "ana (uid 7)", answer: make(chan policyAnswer, 1)}
	f.r.orders <- order
	return <-order.answer
}

// change is the next one on record.
func (f *rolled) change(t *testing.T, kind evidence.ChangeKind, by string) evidence.Change {
	t.Helper()
	c := <-f.changes
	if c.Kind != kind || c.By != by || c.Policy == "" || c.At.IsZero() {
		t.Errorf("on record is %+v, want %s by %s", c, kind, by)
	}
	return c
}

func (f *rolled) is(t *testing.T, what, want string, pinned bool) {
	t.Helper()
	f.await(t, what, func() bool { return f.inForce() == want && (f.r.policyStatus().Pinned != nil) == pinned })
}

const (
	versionA = "tier-a route-a 1"
	versionB = "tier-b route-b 1"
	versionC = "tier-c route-c 1"
)

// aAndThenB is a directory in which policy b follows a.
func aAndThenB(t *testing.T) (f *rolled, a, b string) {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, versionText("a"))
	f, err := rolling(t, dir, t.TempDir()+"/policies")
	must(t, err)
	first := f.change(t, evidence.ChangeInForce, byStart)
	put(t, dir, versionText("b"))
	f.is(t, "the edit", versionB, false)
	second := f.change(t, evidence.ChangeInForce, byEdit)
	if first.Before != "" || second.Before != first.Policy {
		t.Errorf("before were %q and %q", first.Before, second.Before)
	}
	return f, first.Policy, second.Policy
}

var internsOrder = admin.PolicyOrder{Reason: "b lets interns in", Ticket: "INC-7"}

func (f *rolled) rollBackTo(t *testing.T, digest string) *admin.PolicyMove {
	t.Helper()
	o := internsOrder
	o.Digest = digest
	answer := f.order(o, false)
	must(t, answer.err)
	return answer.move
}

// TestRollback: what was kept is in force, pinned, on record, and stays over a restart, until the policy directory is edited
// to something good or it is released.
func TestRollback(t *testing.T) {
	t.Parallel()
	f, a, b := aAndThenB(t)
	move := f.rollBackTo(t, a[:len("sha256:")+8])
	f.is(t, "the rollback", versionA, true)
	if move.Digest != a || move.Before != b || move.By != "ana (uid 7)" || move.Pinned == nil || move.Pinned.Digest != a ||
		move.Fault != "" || len(move.Changes) == 0 || move.Direction == "" {
		t.Errorf("the answer is %+v", move)
	}
	c := f.change(t, evidence.ChangeRollback, "ana (uid 7)")
	if c.Policy != a || c.Before != b || c.Kept != "" || c.Reason != internsOrder.Reason || c.Ticket != internsOrder.Ticket {
		t.Errorf("on record is %+v", c)
	}
	put(t, f.dir, map[string]string{"tiers.yaml": "kind: nonsense\n"})
	f.await(t, "a broken edit is told", func() bool { return f.r.policyStatus().Fault != "" })
	f.is(t, "a broken edit", versionA, true)
	put(t, f.dir, versionText("b"))
	f.await(t, "and taken back", func() bool { return f.r.policyStatus().Fault == "" })
	f.is(t, "the directory is again what it was when pinned", versionA, true)
	f.end()

	f, err := rolling(t, f.dir, f.history)
	must(t, err)
	f.is(t, "a restart", versionA, true)
	if c := f.change(t, evidence.ChangeInForce, byStart); c.Policy != a || c.Reason != internsOrder.Reason || len(f.heard.pinned) != 1 {
		t.Errorf("a restart is on record as %+v; told %v", c, f.heard.pinned)
	}
	list := f.r.history.list(f.r.policyStatus().Digest)
	if len(list) != 2 || !list[0].InForce || !list[0].Pinned || list[0].Digest != a || list[0].By != byRollback || list[1].Pinned {
		t.Errorf("the history is %+v", list)
	}
	put(t, f.dir, versionText("c"))
	f.is(t, "a good edit wins", versionC, false)
	if c := f.change(t, evidence.ChangeInForce, byEdit); c.Before != a {
		t.Errorf("on record is %+v", c)
	}
	put(t, f.dir, versionText("b"))
	f.is(t, "the pin is gone for good", versionB, false)
	f.end()
	f, err = rolling(t, f.dir, f.history)
	must(t, err)
	f.is(t, "and after a restart too", versionB, false)
}

// TestRelease: the policy directory counts again, if it can.
func TestRelease(t *testing.T) {
	t.Parallel()
	f, a, b := aAndThenB(t)
	if answer := f.order(admin.PolicyOrder{}, true); answer.err == nil || !strings.Contains(answer.err.Error(), "nothing is pinned") {
		t.Errorf("a release of nothing: %v", answer.err)
	}
	f.rollBackTo(t, a)
	f.change(t, evidence.ChangeRollback, "ana (uid 7)")
	put(t, f.dir, map[string]string{"tiers.yaml": "kind: nonsense\n"})
	if answer := f.order(internsOrder, true); answer.err == nil || !strings.Contains(answer.err.Error(), "the pinned policy stays") {
		t.Errorf("a release to a broken directory: %v", answer.err)
	}
	f.is(t, "it stays", versionA, true)
	put(t, f.dir, versionText("b"))
	f.await(t, "it is mended", func() bool { return f.r.policyStatus().Fault == "" })
	answer := f.order(internsOrder, true)
	must(t, answer.err)
	f.is(t, "the release", versionB, false)
	if c := f.change(t, evidence.ChangeRelease, "ana (uid 7)"); c.Policy != b || c.Before != a || answer.move.Digest != b || answer.move.Pinned != nil {
		t.Errorf("on record is %+v, the answer %+v", c, answer.move)
	}
	if list := f.r.history.list(b); list[0].Digest != b || list[0].By != byRelease {
		t.Errorf("the history is %+v", list)
	}
}

// TestStartsOfAPinnedPolicy: with an edit meanwhile, with a broken one, and with a kept policy that cannot be used.
func TestStartsOfAPinnedPolicy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(t *testing.T, dir, entry string)
		want   string // in force; else the refusal
		pinned bool
		fault  string
	}{
		"an edit meanwhile":  {func(t *testing.T, dir, _ string) { put(t, dir, versionText("c")) }, versionC, false, ""},
		"a broken edit":      {func(t *testing.T, dir, _ string) { put(t, dir, map[string]string{"tiers.yaml": "x"}) }, versionA, true, "tiers.yaml"},
		"no directory":       {func(t *testing.T, dir, _ string) { must(t, os.RemoveAll(dir)) }, versionA, true, "there is no policy directory"},
		"a damaged entry":    {func(t *testing.T, _, entry string) { put(t, entry+"/policy", versionText("b")) }, "is damaged and is not used", false, ""},
		"a missing entry":    {func(t *testing.T, _, entry string) { must(t, os.RemoveAll(entry)) }, "no policy that is kept", false, ""},
		"damaged but edited": {func(t *testing.T, dir, entry string) { put(t, dir, versionText("c")); must(t, os.RemoveAll(entry)) }, versionC, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, a, _ := aAndThenB(t)
			f.rollBackTo(t, a)
			f.end()
			c.before(t, f.dir, filepath.Join(f.history, nameOf(a)))
			f, err := rolling(t, f.dir, f.history)
			if err != nil {
				if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "remove "+filepath.Join(f.history, pinFile)) {
					t.Errorf("it does not start: %v", err)
				}
				return
			}
			f.is(t, name, c.want, c.pinned)
			if fault := f.r.policyStatus().Fault; c.fault == "" != (fault == "") || !strings.Contains(fault, c.fault) {
				t.Errorf("the fault is %q", fault)
			}
		})
	}
}

// TestRollbackUnderOtherSettings: a digest names documents and settings; the documents come back, under today's.
func TestRollbackUnderOtherSettings(t *testing.T) {
	t.Parallel()
	f, a, _ := aAndThenB(t)
	f.end()
	f, err := rollingWith(t, f.dir, f.history, machineDisk(), policy.World{Issuers: []string{"corp"}})
	must(t, err)
	f.change(t, evidence.ChangeInForce, byStart)
	move := f.rollBackTo(t, a)
	f.is(t, "the rollback", versionA, true)
	if c := f.change(t, evidence.ChangeRollback, "ana (uid 7)"); move.Digest == a || move.Pinned.Digest != a || c.Kept != a || c.Policy != move.Digest {
		t.Errorf("the answer is %+v, on record %+v", move, c)
	}
	f.end()
	f, err = rollingWith(t, f.dir, f.history, machineDisk(), policy.World{Issuers: []string{"else"}})
	if err == nil || !strings.Contains(err.Error(), `issuer "corp"`) {
		t.Errorf("settings that do not know its issuer: %v, in force %v", err, f.versions)
	}
}

// TestRollbackThatCannotBe changes nothing: no such policy, a damaged one, a full disk, Envoy's configuration that cannot be
// published.
func TestRollbackThatCannotBe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var full, unpublished atomic.Bool
	disk := machineDisk()
	write := disk.write
	disk.write = func(file string, content []byte) error {
		if full.Load() {
			return syscall.ENOSPC
		}
		return write(file, content)
	}
	put(t, dir, versionText("a"))
	f, err := rollingWith(t, dir, t.TempDir()+"/policies", disk, policy.World{})
	must(t, err)
	a := f.change(t, evidence.ChangeInForce, byStart).Policy
	put(t, dir, versionText("b"))
	f.is(t, "the edit", versionB, false)
	b := f.change(t, evidence.ChangeInForce, byEdit).Policy
	publish := f.r.publish
	f.r.publish = func(ctx context.Context, p *policy.Policy, s *xds.Snapshot) error {
		_ = publish(ctx, p, s) // as where the decision is swapped and Envoy's part fails
		if unpublished.Swap(false) {
			return errors.New("no room at Envoy")
		}
		return nil
	}
	try := func(what, digest, want string) {
		t.Helper()
		o := internsOrder
		o.Digest = digest
		if answer := f.order(o, false); answer.err == nil || !strings.Contains(answer.err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, answer.err, want)
		}
		f.is(t, what, versionB, false)
		if status := f.r.policyStatus(); status.Digest != b || status.Fault != "" || f.r.history.pinned() != nil || len(f.changes) > 0 {
			t.Errorf("%s: %+v, %d on record", what, status, len(f.changes))
		}
		if _, err := os.Stat(filepath.Join(f.history, pinFile)); err == nil {
			t.Errorf("%s: a restart would pin it", what)
		}
	}
	try("no such policy", strings.Repeat("9", 64), "no policy that is kept")
	full.Store(true)
	try("a full disk", a, "nothing was changed: what is pinned cannot be changed in policy.history.dir")
	full.Store(false)
	unpublished.Store(true)
	try("not published", a, "what was in force stays: no room at Envoy")
	must(t, os.WriteFile(filepath.Join(f.history, nameOf(a), "policy", "tiers.yaml"), nil, 0o600))
	try("damaged", a, "is damaged and is not used")

	full.Store(true)
	put(t, dir, versionText("c"))
	f.is(t, "a good edit on a full disk", versionC, false)
	f.await(t, "is told", func() bool { return strings.Contains(f.r.policyStatus().HistoryFault, "no space left") })
	f.change(t, evidence.ChangeInForce, byEdit)
	full.Store(false)
	put(t, dir, versionText("b"))
	f.is(t, "the next", versionB, false)
	f.change(t, evidence.ChangeInForce, byEdit)
	if fault := f.r.policyStatus().HistoryFault; fault != "" {
		t.Errorf("still told is %q", fault)
	}
}
