package redisstore

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

func says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestWaitAOF(t *testing.T) {
	t.Parallel()
	for _, fsync := range []string{"always", "everysec"} {
		t.Run(fsync, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "--appendfsync", fsync).open(t, func(o *Options) { o.WaitAOF = 1 })
			patiently(t, func() error { return s.PutPosture(t.Context(), small("a", 1), 0) })
			if err := s.PutPosture(t.Context(), small("a", 2), 0); !errors.Is(err, signals.ErrConflict) {
				t.Fatalf("got %v, want ErrConflict", err)
			}
			record := signals.Record{Kind: "k", Key: "a", Revision: 1}
			patiently(t, func() error { return s.PutRecord(t.Context(), record, 0) })
			if err := s.DeleteRecord(t.Context(), "k", "a", 1); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestNotSynced: the server answers [0 0] and no error. The write must fail, and so must the retry, which finds
// its own first attempt: a conflict would be taken for "is already stored".
func TestNotSynced(t *testing.T) {
	t.Parallel()
	live := serve(t, "--appendfsync", "no")
	waiting := func(o *Options) { o.WaitAOF = 1 }
	live.do(t, "CONFIG", "SET", "appendfsync", "always")
	s, other := live.open(t, waiting), live.open(t, waiting)
	live.do(t, "CONFIG", "SET", "appendfsync", "no")
	soon, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	if patience := aofPatience(soon); patience > 850*time.Millisecond {
		t.Errorf("the server is given %v of a second", patience)
	}
	record := signals.Record{Kind: "delivery", Key: "a", Revision: 1}
	err := s.PutRecord(t.Context(), record, 0)
	says(t, err, "not synced", "appendfsync", "waitAOF: 0")
	// The sender comes back to another receiver: WAITAOF there knows of no write on its own connection.
	err = other.PutRecord(t.Context(), record, 0)
	says(t, err, "not synced")
	if errors.Is(err, signals.ErrConflict) {
		t.Fatal("a conflict with what is not durable was reported as if it were")
	}
	live.do(t, "CONFIG", "SET", "appendfsync", "always")
	if err := s.PutRecord(t.Context(), record, 0); !errors.Is(err, signals.ErrConflict) {
		t.Fatalf("once the server syncs: got %v, want ErrConflict", err)
	}
}

func TestNoAppendOnlyFile(t *testing.T) {
	t.Parallel()
	live := serve(t, "--appendonly", "no")
	_, err := Open(t.Context(), Options{Address: live.socket, WaitAOF: 1, Patience: patience})
	says(t, err, "appendonly yes", "waitAOF: 0", live.socket)
	s, err := New(Options{Address: live.socket, WaitAOF: 1, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	says(t, s.PutPosture(t.Context(), small("a", 1), 0), "appendonly yes")
	live.open(t, nil) // without WaitAOF it is the operator's choice
}

func TestCredentials(t *testing.T) {
	live := serve(t, "--requirepass", "right")
	for what, c := range map[string]struct{ user, password, word string }{
		"wrong password": {"", "wrong", "password is wrong"},
		"wrong user":     {"nobody", "right", "password is wrong"},
		"no password":    {"", "", "passwordFile"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := Open(t.Context(), Options{Address: live.socket, Username: c.user, Password: c.password, Patience: patience})
			says(t, err, c.word, live.socket)
			refusedEverywhere(t, Options{Address: live.socket, Username: c.user, Password: c.password})
		})
	}
	live.open(t, func(o *Options) { o.Password = "right" })
}

// refusedEverywhere: no call may read a server that lets nobody in as one that is empty.
func refusedEverywhere(t *testing.T, o Options) {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	fails(t, "posture", time.Second, func() error { _, err := s.Posture(t.Context(), "a"); return err })
	fails(t, "put", time.Second, func() error { return s.PutPosture(t.Context(), small("a", 1), 0) })
	fails(t, "delete", time.Second, func() error { return s.DeleteRecord(t.Context(), "k", "a", 1) })
	fails(t, "watch", time.Second, func() error {
		return s.WatchPostures(t.Context(), "", func(signals.Change) error { return nil })
	})
	fails(t, "each posture", time.Second, func() error {
		_, err := s.EachPosture(t.Context(), func(signals.Posture) error { return nil }, nil)
		return err
	})
	fails(t, "each record", time.Second, func() error {
		_, err := s.EachRecord(t.Context(), "k", func(signals.Record) error { return nil })
		return err
	})
}

// TestACL: a user that may only read postures can do all that a replica does, and is told what it may not.
func TestACL(t *testing.T) {
	t.Parallel()
	live := serve(t)
	admin := live.open(t, nil)
	if err := admin.PutPosture(t.Context(), small("a", 1), 0); err != nil {
		t.Fatal(err)
	}
	live.do(t, "ACL", "SETUSER", "sidecar", "on", ">secret", "~tg:{*}:posture*",
		"-@all", "+getrange", "+exists", "+zrange", "+xrevrange", "+xread", "+auth", "+hello", "+ping")
	s, err := New(Options{Address: live.socket, Username: "sidecar", Password: "secret", Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	cursor := cursorOf(t, s)
	if _, err := s.Posture(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := admin.PutPosture(t.Context(), small("a", 2), 1); err != nil {
		t.Fatal(err)
	}
	heard := errors.New("heard")
	if err := s.WatchPostures(t.Context(), cursor, func(signals.Change) error { return heard }); !errors.Is(err, heard) {
		t.Fatal(err)
	}
	says(t, s.PutPosture(t.Context(), small("a", 3), 2), "may not")
	says(t, s.Ping(t.Context()), "may not")
}

func TestServerThatRefuses(t *testing.T) {
	live := serve(t)
	s := live.open(t, nil)
	live.do(t, "CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "noeviction")
	says(t, s.PutPosture(t.Context(), small("a", 1), 0), "memory is full")
	live.do(t, "CONFIG", "SET", "maxmemory", "0")
	live.do(t, "REPLICAOF", "127.0.0.1", "1")
	says(t, s.PutPosture(t.Context(), small("a", 1), 0), "address of the primary")
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{}, {Address: "redis"}, {Address: "relative/socket"}, {Address: "a:1", WaitAOF: 2}, {Address: "a:1", WaitAOF: -1},
	} {
		if s, err := New(o); err == nil {
			_ = s.Close()
			t.Errorf("%+v was taken", o)
		}
	}
	_, err := Open(t.Context(), Options{Address: "127.0.0.1:1"})
	says(t, err, "127.0.0.1:1", "cannot be reached")
}
