package unary_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/tiergate/tiergate/authz/unary"
)

func TestCalls(t *testing.T) {
	address, _ := listen(t, unary.Options{Methods: methods(nil)})
	c := dial(t, address)
	for _, x := range []struct{ path, text, want string }{
		{echoPath, "hello", `200 grpc 0 "hello" reset false`},
		{echoPath, "", `200 grpc 0 "" reset false`},
		{echoPath, strings.Repeat("x", 40_000), `200 grpc 0 "` + strings.Repeat("x", 40_000) + `" reset false`},
		{"/test.Echo/Missing", "", `200 grpc 3 "" reset false`},
		{"/test.Echo/None", "", `200 grpc 12 "" reset false`},
	} {
		id := c.open(x.path)
		for rest := message(x.text); ; {
			n := min(len(rest), 16<<10)
			c.must(c.framer.WriteData(id, n == len(rest), rest[:n]))
			if rest = rest[n:]; len(rest) == 0 {
				break
			}
		}
		c.must(c.framer.WriteWindowUpdate(0, uint32(len(x.text))+5))
		if got := c.until(id); got.String() != x.want {
			t.Errorf("%s: %.200s, want %.200s", x.path, got, x.want)
		}
	}
}

// Every way in which there is no message is told to the method, and no error of gRPC.
func TestFaults(t *testing.T) {
	address, _ := listen(t, unary.Options{Methods: methods(nil), MaxMessage: 1000})
	for _, x := range []struct {
		name, body, want string
		ends, resets     bool
	}{
		{"nothing", "", "there is no message", true, false},
		{"no length", "\x00\x00", "has 2 bytes and no length", true, false},
		{"compressed", "\x01\x00\x00\x00\x01x", "is compressed", true, false},
		{"cut off", "\x00\x00\x00\x00\x05abc", "has 3 bytes and says that it has 5", true, false},
		{"two", string(message("a")) + string(message("b")), "more than one message", true, false},
		{"too long", string(message(strings.Repeat("x", 1001))), "has 1001 bytes; the limit is 1000", true, false},
		{"too long, and more to come", "\x00\x7f\xff\xff\xff", "has 2147483647 bytes; the limit is 1000", false, true},
		{"two, and more to come", string(message("a")) + "\x00", "more than one message", false, true},
	} {
		c := dial(t, address)
		id := c.open(echoPath)
		c.must(c.framer.WriteData(id, x.ends, []byte(x.body)))
		got := c.until(id)
		if got.grpc != "0" || !strings.HasPrefix(got.text, "fault: ") || !strings.Contains(got.text, x.want) {
			t.Errorf("%s: %s", x.name, got)
		}
		if !x.resets {
			continue
		}
		c.must(c.framer.WriteData(id, false, []byte("more"))) // under way when the answer came
		c.must(c.framer.WriteData(id, true, []byte("more")))
		if got := c.until(c.call(echoPath, "next")); got.text != "next" {
			t.Errorf("%s: then %s", x.name, got)
		}
	}
}

func TestNoGRPC(t *testing.T) {
	address, _ := listen(t, unary.Options{Methods: methods(nil)})
	for _, changes := range [][]string{{":method", "GET"}, {"content-type", "application/json"}, {"content-type", ""},
		{"content-type", "application/grpc+json"}} {
		c := dial(t, address)
		id := c.open(echoPath, changes...)
		c.must(c.framer.WriteData(id, true, nil))
		if got := c.until(id); got.status != "415" || !strings.Contains(string(got.body), "gRPC") {
			t.Errorf("%q: %s", changes, got)
		}
	}
	for _, kind := range []string{"application/grpc+proto", "application/grpc;x=y", "application/grpc ; x=y"} {
		c := dial(t, address)
		id := c.open(echoPath, "content-type", kind)
		c.must(c.framer.WriteData(id, true, message("a")))
		if got := c.until(id); got.text != "a" {
			t.Errorf("%q: %s", kind, got)
		}
	}
}

// A method that waits holds up no other request of its connection, and its own request stays what it was.
func TestSlow(t *testing.T) {
	release := make(chan struct{})
	address, _ := listen(t, unary.Options{Methods: methods(release)})
	c := dial(t, address)
	var slow []uint32
	for i := range 50 {
		slow = append(slow, c.call(slowPath, fmt.Sprintf("slow %d %s", i, strings.Repeat("s", 2000))))
	}
	for i := range 200 {
		text := fmt.Sprintf("fast %d %s", i, strings.Repeat("f", 3000))
		if got := c.until(c.call(echoPath, text)); got.text != text {
			t.Fatalf("%s", got)
		}
		c.must(c.framer.WriteWindowUpdate(0, 4000))
	}
	c.must(c.framer.WriteRSTStream(slow[7], http2.ErrCodeCancel)) // nobody waits for it any more
	c.must(c.framer.WritePing(false, [8]byte{1}))
	for {
		f, err := c.framer.ReadFrame()
		c.must(err)
		if p, ok := f.(*http2.PingFrame); ok && p.IsAck() {
			break
		}
	}
	close(release)
	c.must(c.framer.WriteWindowUpdate(0, 1<<20))
	got, err := c.collect(append(slow[:7:7], slow[8:]...)...)
	c.must(err)
	for i, id := range slow {
		if i != 7 && got[id].text != fmt.Sprintf("slow %d %s", i, strings.Repeat("s", 2000)) {
			t.Errorf("%d: %s", i, got[id])
		}
	}
}

// No more than 1,000 requests are under way at once; the others are refused so that they may be asked again.
func TestTooManyStreams(t *testing.T) {
	release := make(chan struct{})
	address, _ := listen(t, unary.Options{Methods: methods(release)})
	c := dial(t, address)
	ids := make([]uint32, 0, 1000)
	for i := range 1000 {
		if i%2 == 0 {
			ids = append(ids, c.call(slowPath, "x"))
		} else {
			ids = append(ids, c.open(echoPath))
		}
	}
	if got := c.until(c.call(echoPath, "one too many")); !got.wasReset || got.reset != http2.ErrCodeRefusedStream {
		t.Errorf("%s", got)
	}
	close(release)
	for i := 1; i < len(ids); i += 2 {
		c.must(c.framer.WriteData(ids[i], true, message("y")))
	}
	_, err := c.collect(ids...)
	c.must(err)
	if got := c.until(c.call(echoPath, "again")); got.text != "again" {
		t.Errorf("%s", got)
	}
}

// What a client asked before it was told that the server ends is answered; what it asks later is refused.
func TestShutdown(t *testing.T) {
	release := make(chan struct{})
	address, server := listen(t, unary.Options{Methods: methods(release)})
	c, idle := dial(t, address), dial(t, address)
	half, slow := c.open(echoPath), c.call(slowPath, "slow")
	if got := c.until(c.call(echoPath, "a")); got.text != "a" {
		t.Fatal(got)
	}
	_ = idle
	done := make(chan struct{})
	go func() { shutdown(server, 10*time.Second); close(done) }()
	said := 0
	for said < 2 {
		f, err := c.framer.ReadFrame()
		c.must(err)
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			if said++; said == 1 && f.LastStreamID != 1<<31-1 || said == 2 && f.LastStreamID != c.next-2 {
				t.Errorf("GOAWAY %d: last stream %d", said, f.LastStreamID)
			}
		case *http2.PingFrame:
			late := c.call(echoPath, "late") // it crosses the GOAWAY
			c.must(c.framer.WritePing(true, f.Data))
			if got := c.until(late); got.text != "late" {
				t.Errorf("%s", got)
			}
		}
	}
	if got := c.until(c.call(echoPath, "too late")); got.reset != http2.ErrCodeRefusedStream {
		t.Errorf("%s", got)
	}
	c.must(answerPing(idle))
	c.must(c.framer.WriteData(half, true, message("half")))
	if got := c.until(half); got.text != "half" {
		t.Errorf("%s", got)
	}
	close(release)
	if got := c.until(slow); got.text != "slow" {
		t.Errorf("%s", got)
	}
	if _, err := c.framer.ReadFrame(); err != io.EOF {
		t.Errorf("then %v", err)
	}
	<-done
}
