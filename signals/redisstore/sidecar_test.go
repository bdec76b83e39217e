package redisstore

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/signals"
)

// sidecarACL makes the user that the package comment describes, as it stands there.
func sidecarACL(t *testing.T) []any {
	t.Helper()
	text, err := os.ReadFile("redisstore.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "//\tACL SETUSER sidecar ")
	rules, _, ended := strings.Cut(rest, "\npackage ")
	if !found || !ended {
		t.Fatal("the package comment does not say how to make the user of a sidecar")
	}
	command := []any{"ACL", "SETUSER", "sidecar"}
	for _, rule := range strings.Fields(strings.ReplaceAll(rules, "//", "")) {
		command = append(command, strings.Replace(rule, "PASSWORD", "secret", 1))
	}
	return command
}

func openSidecar(t *testing.T, live *server) *Store {
	t.Helper()
	s, err := New(Options{Address: live.socket, Username: "sidecar", Password: "secret", Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestASidecarNotesProofs: the user of a sidecar reads postures and writes the proofs that were used, and nothing else. What
// one sidecar noted another knows, also after the server was away; meanwhile what is new cannot be found out, and what was
// seen stays a replay.
func TestASidecarNotesProofs(t *testing.T) {
	t.Parallel()
	live := serve(t)
	admin := live.open(t, nil)
	if err := admin.PutPosture(t.Context(), small("a", 1), 0); err != nil {
		t.Fatal(err)
	}
	live.do(t, sidecarACL(t)...)
	patient := authz.ReplayOptions{Within: patience}
	stores := []*Store{openSidecar(t, live), openSidecar(t, live)}
	one, other := authz.NewReplays(stores[0], patient), authz.NewReplays(stores[1], patient)
	proof := func(i int) token.Once {
		return token.Once{Key: fmt.Sprint("key:", i), Until: time.Now().Add(time.Minute)}
	}
	for i := range 40 { // in every shard
		if err := one.Once(proof(i)); err != nil {
			t.Fatal(err)
		}
		if err := other.Once(proof(i)); !errors.Is(err, authz.ErrReplayed) {
			t.Fatalf("another sidecar takes what was noted: %v", err)
		}
	}
	if _, err := stores[0].Posture(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	says(t, stores[0].PutPosture(t.Context(), small("a", 2), 1), "may not")
	says(t, stores[0].PutRecord(t.Context(), signals.Record{Kind: "alias", Key: "a", Revision: 1}, 0), "may not")
	says(t, stores[0].PutRecord(t.Context(), signals.Record{Kind: "x:dpop-proof", Key: "a", Revision: 1}, 0), "may not")
	says(t, stores[0].PutRecord(t.Context(), signals.Record{Kind: "alias", Key: "x:records:dpop-proof", Revision: 1}, 0), "may not")
	noted, err := stores[0].Record(t.Context(), authz.KindProof, "key:1")
	if err != nil {
		t.Fatal(err)
	}
	says(t, stores[0].DeleteRecord(t.Context(), authz.KindProof, "key:1", noted.Revision), "may not")

	live.kill()
	if err := one.Once(proof(0)); !errors.Is(err, authz.ErrReplayed) {
		t.Errorf("what was seen, while the server is away: %v", err)
	}
	if err := one.Once(proof(99)); err == nil || errors.Is(err, authz.ErrReplayed) {
		t.Errorf("what is new, while the server is away: %v", err)
	}
	live.start(t)
	live.do(t, sidecarACL(t)...) // kept in no file here
	deadline := time.Now().Add(10 * time.Second)
	for err := one.Once(proof(99)); err != nil; err = one.Once(proof(99)) {
		if time.Now().After(deadline) || errors.Is(err, authz.ErrReplayed) {
			t.Fatalf("a proof that nobody was let in with cannot be tried again: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := authz.NewReplays(openSidecar(t, live), patient).Once(proof(7)); !errors.Is(err, authz.ErrReplayed) {
		t.Errorf("a new process, after the server was away: %v", err)
	}
}

// TestProofsLeaveTheServer: what has aged out takes no room, neither its value nor its place in the index.
func TestProofsLeaveTheServer(t *testing.T) {
	t.Parallel()
	live := serve(t)
	s := live.open(t, nil)
	for i := range 64 {
		r := signals.Record{Kind: authz.KindProof, Key: fmt.Sprint(i), Revision: 1, Expires: time.Now().Add(50 * time.Millisecond)}
		patiently(t, func() error { return s.PutRecord(t.Context(), r, 0) })
	}
	time.Sleep(100 * time.Millisecond)
	for i := range 64 { // each write removes some of those in its shard
		r := signals.Record{Kind: authz.KindProof, Key: fmt.Sprint("later ", i), Revision: 1, Expires: time.Now().Add(time.Minute)}
		patiently(t, func() error { return s.PutRecord(t.Context(), r, 0) })
	}
	for shard := range shards {
		for _, value := range []string{"records:", "record-expiries:"} {
			names, err := s.works.single.ZRange(t.Context(), tag(shard)+value+authz.KindProof, 0, -1).Result()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if len(name) < 3 {
					t.Errorf("shard %d still lists %s in %s", shard, name, value)
				}
			}
		}
	}
}

// patiently writes what a busy machine may not write in time at once; then it may have been written nevertheless.
func patiently(t *testing.T, write func() error) {
	t.Helper()
	for tries := 0; ; tries++ {
		switch err := write(); {
		case err == nil || errors.Is(err, signals.ErrConflict):
			return
		case tries == 5:
			t.Fatal(err)
		}
	}
}
