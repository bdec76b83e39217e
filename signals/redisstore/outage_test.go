package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// fails makes a call that must fail within a bound, and returns its error. One that took longer is made again: a busy machine
// may have stood still, and bounds that are wrong are so each time.
func fails(t *testing.T, what string, within time.Duration, call func() error) error {
	t.Helper()
	began := time.Now()
	err := call()
	took := time.Since(began)
	for tries := 1; err != nil && took > within && tries < 10; tries++ {
		began = time.Now()
		err = call()
		took = time.Since(began)
	}
	if took > within {
		t.Errorf("%s took %v to fail, want less than %v", what, took, within)
	}
	known := errors.Is(err, signals.ErrNotFound) || errors.Is(err, signals.ErrConflict) ||
		errors.Is(err, signals.ErrCorrupt)
	if err == nil || known {
		t.Fatalf("%s: got %v, want that the store cannot be reached", what, err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %q is more than one line", what, err)
	}
	return err
}

func eventually(t testing.TB, what string, call func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = call(); err == nil {
			return
		}
	}
	t.Fatalf("%s: still %v", what, err)
}

func TestServerKilledAndBack(t *testing.T) {
	t.Parallel()
	live := serve(t)
	s := live.openHasty(t, nil)
	if err := s.PutPosture(t.Context(), small("a", 1), 0); err != nil {
		t.Fatal(err)
	}
	cursor := cursorOf(t, s)
	watch := make(chan error, 1)
	go func() {
		watch <- s.WatchPostures(context.Background(), cursor, func(signals.Change) error { return nil })
	}()
	time.Sleep(50 * time.Millisecond)
	live.kill()
	select {
	case err := <-watch:
		if err == nil || errors.Is(err, signals.ErrGap) {
			t.Errorf("the watch ended with %v; an outage is neither an end nor a gap", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the watch did not notice")
	}
	for range 50 { // nobody listens, so that nothing waits for an answer
		fails(t, "posture", writeTimeout, func() error { _, err := s.Posture(t.Context(), "a"); return err })
		fails(t, "put", writeTimeout, func() error { return s.PutPosture(t.Context(), small("a", 2), 1) })
		fails(t, "ping", writeTimeout, func() error { return s.Ping(t.Context()) })
		fails(t, "watch", writeTimeout, func() error {
			return s.WatchPostures(t.Context(), cursor, func(signals.Change) error { return nil })
		})
	}
	live.start(t)
	eventually(t, "posture", func() error { _, err := s.Posture(t.Context(), "a"); return err })
	eventually(t, "put", func() error { return s.PutPosture(t.Context(), small("a", 2), 1) })
	resumed := errors.New("resumed")
	err := live.open(t, nil).WatchPostures(t.Context(), cursor, func(c signals.Change) error {
		if c.Key != "a" {
			return fmt.Errorf("heard of %q", c.Key)
		}
		return resumed
	})
	if !errors.Is(err, resumed) {
		t.Fatalf("the cursor from before the outage: %v", err)
	}
}

// TestServerHangs: a server that takes connections and answers nothing must not hold a decision.
func TestServerHangs(t *testing.T) {
	live := serve(t)
	s := live.openHasty(t, nil)
	live.signal(t, syscall.SIGSTOP)
	read := func() error { _, err := s.Posture(t.Context(), "a"); return err }
	if err := fails(t, "posture", 4*writeTimeout, read); !strings.Contains(err.Error(), "in time") {
		t.Errorf("%q does not say that no answer came in time", err)
	}
	fails(t, "record", 4*writeTimeout, func() error { _, err := s.Record(t.Context(), "k", "a"); return err })
	// A decision, which sets itself less time than a write may take, is not kept waiting for all of it: the connection ends it.
	decision := func() error {
		return fails(t, "posture for a decision", 4*writeTimeout, func() error {
			ctx, stop := context.WithTimeout(t.Context(), writeTimeout*99/100)
			defer stop()
			_, err := s.Posture(ctx, "a")
			return err
		})
	}
	err := decision()
	for tries := 1; !strings.Contains(err.Error(), "i/o timeout") && tries < 10; tries++ { // a busy machine had not begun in time
		err = decision()
	}
	if !strings.Contains(err.Error(), "i/o timeout") {
		t.Error(err)
	}
	fails(t, "put", 4*writeTimeout, func() error { return s.PutPosture(t.Context(), small("a", 1), 0) })
	fails(t, "put with a deadline", writeTimeout/2, func() error {
		hasty, stop := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer stop()
		return s.PutPosture(hasty, small("b", 1), 0)
	})
	fails(t, "watch", 3*time.Second, func() error {
		return s.WatchPostures(t.Context(), "", func(signals.Change) error { return nil })
	})
	live.signal(t, syscall.SIGCONT)
	eventually(t, "after it goes on", func() error {
		if err := read(); !errors.Is(err, signals.ErrNotFound) && err != nil {
			return err
		}
		return nil
	})
}

// TestHungServerEndsWatch: a watch that was running notices within its own timeouts.
func TestHungServerEndsWatch(t *testing.T) {
	live := serve(t)
	s := live.openHasty(t, nil)
	fails(t, "watch", 2*(watchBlock+watchTimeout), func() error {
		watch := make(chan error, 1)
		go func() { watch <- s.WatchPostures(context.Background(), "", func(signals.Change) error { return nil }) }()
		time.Sleep(50 * time.Millisecond)
		live.signal(t, syscall.SIGSTOP)
		defer live.signal(t, syscall.SIGCONT)
		return <-watch
	})
}

// TestNonsense: a server that is none.
func TestNonsense(t *testing.T) {
	for _, answer := range []string{
		"", "hello\r\n", "$-7\r\n", "*7\r\n", "$70000\r\nabc", "+OK\r\n+OK\r\n", ":\r\n", "-\r\n", "\x00\x00",
	} {
		t.Run(fmt.Sprintf("%q", answer), func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write([]byte(answer))
					_ = conn.(*net.TCPConn).CloseWrite()
				}
			}()
			defer func() { _ = l.Close() }()
			s, err := New(Options{Address: l.Addr().String()})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			fails(t, "ping", 2*writeTimeout, func() error { return s.Ping(t.Context()) })
			_, err = s.Posture(t.Context(), "a")
			if err == nil {
				t.Fatal("nonsense was read as a posture")
			}
			_ = fails(t, "watch", 2*writeTimeout, func() error {
				return s.WatchPostures(t.Context(), "", func(signals.Change) error { return nil })
			})
		})
	}
}

// flushing watches from a cursor while something happens to the server, and returns how the watch ended.
func flushing(t *testing.T, s *Store, happens func()) error {
	t.Helper()
	cursor := cursorOf(t, s)
	var heard atomic.Int32
	done := make(chan error, 1)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	go func() {
		done <- s.WatchPostures(ctx, cursor, func(signals.Change) error { heard.Add(1); return nil })
	}()
	time.Sleep(30 * time.Millisecond)
	happens()
	err := <-done
	if heard.Load() > 0 {
		t.Errorf("%d changes came across the gap", heard.Load())
	}
	return err
}

// TestFlushedServer: whoever watches an emptied server is told, whether or not somebody writes to it again, and so
// is who comes back with a cursor from before.
func TestFlushedServer(t *testing.T) {
	t.Parallel()
	live := serve(t)
	s := live.open(t, nil)
	fill := func() signals.Cursor {
		live.do(t, "FLUSHALL")
		for i := range 40 {
			if err := s.PutPosture(t.Context(), small(fmt.Sprint(i), 1), 0); err != nil {
				t.Fatal(err)
			}
		}
		return cursorOf(t, s)
	}
	old := fill()
	silent := flushing(t, s, func() { live.do(t, "FLUSHALL") })
	fill()
	rewritten := flushing(t, s, func() {
		pipe := live.raw.TxPipeline()
		pipe.FlushAll(t.Context())
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Error(err)
		}
		for i := range 40 {
			if err := s.PutPosture(t.Context(), small(fmt.Sprint(i), 2), 0); err != nil {
				t.Error(err)
			}
		}
	})
	late := s.WatchPostures(t.Context(), old, func(c signals.Change) error { return fmt.Errorf("%q came", c.Key) })
	for what, err := range map[string]error{"silent": silent, "rewritten": rewritten, "late": late} {
		if !errors.Is(err, signals.ErrGap) {
			t.Errorf("%s: got %v, want ErrGap", what, err)
		}
	}
}

// TestLostTail: after a failover that lost its last writes, later writes have other predecessors than those seen.
func TestLostTail(t *testing.T) {
	t.Parallel()
	live := serve(t)
	s := live.open(t, nil)
	stream := tag(shardOf("a")) + postures.changes
	for n := signals.Revision(1); n <= 3; n++ {
		if err := s.PutPosture(t.Context(), small("a", n), n-1); err != nil {
			t.Fatal(err)
		}
	}
	cursor := cursorOf(t, s)
	last, err := s.tails(t.Context(), s.works, postures, allShards...)
	if err != nil {
		t.Fatal(err)
	}
	live.do(t, "XDEL", stream, last[shardOf("a")]) // the new primary never had it
	nobody := func(c signals.Change) error { return fmt.Errorf("%q came", c.Key) }
	if err := s.WatchPostures(t.Context(), cursor, nobody); !errors.Is(err, signals.ErrGap) {
		t.Errorf("before the next write: got %v, want ErrGap", err)
	}
	if err := s.PutPosture(t.Context(), small("a", 9), 3); err != nil {
		t.Fatal(err)
	}
	if err := s.WatchPostures(t.Context(), cursor, nobody); !errors.Is(err, signals.ErrGap) {
		t.Errorf("after the next write: got %v, want ErrGap", err)
	}
}

// TestPatience: with patience a server that stands still for a second is waited for, by every sort of call; a watch goes on.
func TestPatience(t *testing.T) {
	t.Parallel()
	live := serve(t)
	s, err := New(Options{Address: live.socket, Patience: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	cursor := cursorOf(t, s)
	heard := errors.New("heard")
	watch := make(chan error, 1)
	go func() {
		watch <- s.WatchPostures(context.Background(), cursor, func(signals.Change) error { return heard })
	}()
	time.Sleep(50 * time.Millisecond)
	live.signal(t, syscall.SIGSTOP)
	time.AfterFunc(2*(watchBlock+watchTimeout), func() { _ = live.cmd.Process.Signal(syscall.SIGCONT) })
	hasty, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	if _, err := s.Posture(hasty, "a"); !errors.Is(err, signals.ErrNotFound) {
		t.Errorf("a read: %v", err)
	}
	if err := s.PutPosture(t.Context(), small("a", 1), 0); err != nil {
		t.Errorf("a write: %v", err)
	}
	if err := <-watch; !errors.Is(err, heard) {
		t.Errorf("the watch ended: %v", err)
	}
}
