package redisstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/checkpoint"
)

// TestAReceiverAfterAStranger: a receiver that starts over a store without its checkpoint makes none of what it finds, and
// goes on from no older version; what an operator then vouches for is served again.
func TestAReceiverAfterAStranger(t *testing.T) {
	k := newKept(t)
	s := k.devices(t)
	k.stop()
	full := s.checkpoint(t)
	s.put(t, postures, string(s.sickDevice), s.healthy)

	t.Run("goes on from nothing older", func(t *testing.T) {
		k.receive(t, "another")
		until(t, "it is noticed", func() bool { return k.heard("receiver: rolled back " + string(s.sickDevice)) })
		k.report(t, "news", s.sick, `{"firewall":true}`)
		until(t, "the report is a dead letter", func() bool {
			return k.heard("dead news what the store has of this device is not believed")
		})
		k.stop()
	})
	t.Run("makes none of what it finds", func(t *testing.T) {
		s.putCheckpoint(t, nil)
		k.mu.Lock()
		k.told = nil
		k.mu.Unlock()
		k.receive(t, "third")
		until(t, "it says so", func() bool { return k.heard("withheld devices were written under a checkpoint") })
		b := k.sidecar(t)
		for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if admits(t, b.checks, s.sick) || admits(t, b.checks, s.well) {
				t.Fatal("it was let in")
			}
		}
		if len(s.checkpoint(t)) > 0 {
			t.Error("a checkpoint was made of what a stranger left")
		}
		k.stop()
	})
	t.Run("until somebody vouches", func(t *testing.T) {
		b := k.sidecar(t)
		s.remove(t, postures, string(s.sickDevice)) // what is vouched for is the store without it
		if err := checkpoint.Vouch(t.Context(), k.store, "operator", time.Now()); err != nil {
			t.Fatal(err)
		}
		until(t, "the other is let in", func() bool { return admits(t, b.checks, s.well) })
		if standing, err := checkpoint.Compare(t.Context(), k.store); err != nil || standing.Fault != "" || standing.Missing > 0 ||
			standing.Devices != 1 || standing.Checkpoint.By != "operator" {
			t.Errorf("%+v, %v", standing, err)
		}
		for key, text := range full { // and the one before does not come back
			s.put(t, recordsOf(checkpoint.Kind), key, text)
		}
		until(t, "an old one is refused", func() bool {
			return k.heard("no start: the checkpoint has ordinal") || k.heard("no start: the checkpoint is not believed")
		})
		if standing, err := checkpoint.Compare(t.Context(), k.store); err != nil || standing.Missing != 1 ||
			!strings.Contains(standing.Some[0], checkpoint.MarkOf(s.sickDevice).String()) {
			t.Errorf("%+v, %v", standing, err)
		}
	})
}

// TestWhatRemainsPossible is the limit that the package comment of checkpoint tells: all put back together while no receiver
// runs. A sidecar that starts then tells that the checkpoint is late, once that is older than the bound, and knows no more.
func TestWhatRemainsPossible(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	k.report(t, "early", "SICK", `{"disk_encryption":true,"compromised":false}`)
	k.device(t, "SICK")
	s := k.devices(t)
	k.stop()
	s.put(t, postures, string(s.sickDevice), s.healthy)
	if err := checkpoint.Vouch(t.Context(), k.store, "long ago", time.Now().Add(-time.Hour)); err != nil { // that of an hour ago
		t.Fatal(err)
	}
	b := k.sidecar(t)
	until(t, "it is told", func() bool { return k.heard("late") })
	until(t, "it serves", func() bool { return admits(t, b.checks, s.well) })
	k.receive(t, "again")
	if !admits(t, b.checks, s.sick) {
		t.Error("the limit is no longer one: say so in the package comment and in the README")
	}
}

// TestAStoreOfBefore: one that no receiver of this version has written to is served, and that is told.
func TestAStoreOfBefore(t *testing.T) {
	t.Parallel()
	k := &kept{wired: &wired{live: serve(t)}, key: newKey(t)}
	k.raw = k.live.open(t, nil)
	k.store = signals.Sealed(k.raw, k.key, k.key.Checker())
	p := laptop("OLD", 5, false, time.Now().UTC())
	if err := k.store.PutPosture(t.Context(), p, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := checkpoint.Read(t.Context(), k.store); !errors.Is(err, signals.ErrNotFound) {
		t.Fatalf("%v", err)
	}
	b := k.sidecar(t)
	until(t, "it is served", func() bool { return admits(t, b.checks, "OLD") })
	if !k.heard("unchecked") {
		t.Errorf("nobody was told: %q", k.words())
	}
	k.receive(t, "receiver")
	t.Cleanup(func() { k.stop() })
	until(t, "it has a checkpoint now", func() bool {
		c, err := checkpoint.Read(t.Context(), k.store)
		return err == nil && c.Revision(p.Device) == 5
	})
	until(t, "the sidecar has read it", func() bool { return b.copied.Checked() != nil })
}

// TestASidecarReadsTheCheckpoint with what its user of the store may do, and without that does not start to serve.
func TestASidecarReadsTheCheckpoint(t *testing.T) {
	t.Parallel()
	k := newKept(t)
	s := k.devices(t)
	k.live.do(t, sidecarACL(t)...)
	k.sight = openSidecar(t, k.live)
	b := k.sidecar(t)
	until(t, "it serves", func() bool { return admits(t, b.checks, s.well) && !admits(t, b.checks, s.sick) })
	says(t, k.sight.PutRecord(t.Context(), signals.Record{Kind: checkpoint.Kind, Key: "head", Revision: 1 << 60}, 1), "may not")

	var without []any
	for _, rule := range sidecarACL(t) {
		if !strings.Contains(fmt.Sprint(rule), "checkpoint") {
			without = append(without, rule)
		}
	}
	without[2] = "older"
	k.live.do(t, without...)
	older, err := New(Options{Address: k.live.socket, Username: "older", Password: "secret", Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = older.Close() })
	k.sight = older
	b = k.sidecar(t)
	until(t, "it says why", func() bool { return strings.Contains(b.copied.Status().LastError, "the ACL user may not") })
	if admits(t, b.checks, s.well) {
		t.Error("what could not be checked is served")
	}
}
