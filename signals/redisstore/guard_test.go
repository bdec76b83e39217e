package redisstore

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// TestHostileLengths: a server that announces what it will never send costs neither memory nor the process.
func TestHostileLengths(t *testing.T) {
	live := serve(t)
	p := through(t, live, nil)
	for _, hostile := range []string{
		"$1000000000\r\n", "$9223372036854775807\r\n", "$9223372036854775806\r\n", "$-2\r\n", "=1000000000\r\n", "!1000000000\r\n",
		"*1000000000\r\n", "*9223372036854775807\r\n", "%4611686018427387904\r\n", "~1000000000\r\n", ">1000000000\r\n",
		"*2\r\n$1\r\na\r\n$1000000000\r\n", strings.Repeat("*1\r\n", 5_000_000),
		"*60000\r\n" + strings.Repeat("*60000\r\n", 60_000), "+" + strings.Repeat("a", 20<<20) + "\r\n",
	} {
		t.Run(fmt.Sprintf("%.24q", hostile), func(t *testing.T) {
			s, err := New(Options{Address: p.address()})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			p.set(trouble{reply: []byte(hostile)})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range 3 {
				refusedCalls(t, s)
			}
			runtime.ReadMemStats(&after)
			if grown := int64(after.TotalAlloc-before.TotalAlloc) >> 20; grown > 64 {
				t.Errorf("it cost %d MiB", grown)
			}
		})
	}
	p.set(trouble{})
	s, err := Open(t.Context(), Options{Address: p.address(), Patience: patience})
	if err != nil {
		t.Fatal("when the trouble is over:", err)
	}
	_ = s.Close()
}

func refusedCalls(t *testing.T, s *Store) {
	t.Helper()
	for what, call := range map[string]func() error{
		"posture": func() error { _, err := s.Posture(t.Context(), "a"); return err },
		"put":     func() error { return s.PutPosture(t.Context(), small("a", 1), 0) },
		"each": func() error {
			_, err := s.EachPosture(t.Context(), func(signals.Posture) error { return nil }, nil)
			return err
		},
		"watch": func() error {
			return s.WatchPostures(t.Context(), "", func(signals.Change) error { return nil })
		},
	} {
		fails(t, what, 4*time.Second, call)
	}
}

// TestGuardPassesWhatIsRight: whatever the pieces that it comes in, byte for byte.
func TestGuardPassesWhatIsRight(t *testing.T) {
	for _, right := range []string{
		"+OK\r\n", "-ERR no\r\n:7\r\n", "$0\r\n\r\n$3\r\na\nb\r\n", "$-1\r\n*-1\r\n*0\r\n",
		"*2\r\n*2\r\n$1\r\na\r\n*0\r\n$10\r\n$99999999\r\n\r\n+OK\r\n", "%1\r\n+a\r\n:1\r\n_\r\n,1.5\r\n",
		strings.Repeat("*2\r\n*1\r\n:1\r\n*1\r\n:1\r\n", 100_000), // the bounds are of one reply
		"*100000\r\n" + strings.Repeat(":1\r\n", 100_000) + "*100000\r\n" + strings.Repeat("$-1\r\n", 100_000),
		"$100\r\n" + strings.Repeat("x", 100) + "\r\n",
	} {
		for _, piece := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
			got, err := io.ReadAll(guarded(reading{Reader: piece(strings.NewReader(right))}, 100))
			if err != nil || string(got) != right {
				t.Errorf("%.40q: %d of %d bytes, %v", right, len(got), len(right), err)
			}
		}
	}
	for _, wrong := range []string{
		"$101\r\n", "*1\r\n$101\r\n", "$1x\r\n", "$\r\n", "*131073\r\n", "*\r\n", "|1\r\n", strings.Repeat("*1\r\n", maxDepth+1),
		"+" + strings.Repeat("a", maxLine+1), "*70000\r\n*70000\r\n", "$99999999999999999999\r\n",
	} {
		for _, piece := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader} {
			if _, err := io.ReadAll(guarded(reading{Reader: piece(strings.NewReader(wrong))}, 100)); err == nil {
				t.Errorf("%.40q was passed on", wrong)
			}
		}
	}
}

type reading struct {
	net.Conn
	io.Reader
}

func (r reading) Read(p []byte) (int, error) { return r.Reader.Read(p) }
func (reading) Close() error                 { return nil }

// TestPasswordStaysHere: a Cluster or a Sentinel that names an address elsewhere does not get the password in the clear.
func TestPasswordStaysHere(t *testing.T) {
	for _, c := range []struct {
		opts Options
		to   string
		ok   bool
	}{
		{Options{Cluster: []string{"127.0.0.1:1"}, Password: "x"}, "10.0.0.9:6379", false},
		{Options{Sentinels: []string{"localhost:1"}, SentinelPassword: "x"}, "10.0.0.9:6379", false},
		{Options{Cluster: []string{"127.0.0.1:1"}, Password: "x"}, "[::1]:6379", true},
		{Options{Cluster: []string{"127.0.0.1:1"}}, "10.0.0.9:6379", true},
		{Options{Cluster: []string{"10.0.0.8:6379"}, Password: "x"}, "10.0.0.9:6379", true},
	} {
		if err := c.opts.mayDial(c.to); (err == nil) != c.ok {
			t.Errorf("%+v to %s: %v", c.opts, c.to, err)
		}
	}
	live := serve(t)
	p := through(t, live, nil)
	p.set(trouble{reply: []byte("-MOVED 1 10.0.0.9:6379\r\n")})
	c := newSide(&Options{Cluster: []string{p.address()}, Password: "x"}, patience, 100)
	defer func() { _ = c.Close() }()
	_, err := c.connect(context.Background(), "", "10.0.0.9:6379")
	says(t, err, "10.0.0.9:6379", "in the clear")
}
