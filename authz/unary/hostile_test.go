package unary_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tiergate/tiergate/authz/unary"
)

// goodbye reads until the connection ends, and returns what the server said last.
func (c *client) goodbye() (code http2.ErrCode, why string) {
	c.t.Helper()
	code = http2.ErrCodeNo
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			return code, why
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			code, why = g.ErrCode, string(g.DebugData())
		}
	}
}

// What asks for nothing, or for too much, ends its connection, with a word on why; the server goes on.
func TestHostileConnections(t *testing.T) {
	var ended atomic.Int32
	address, _ := listen(t, unary.Options{Methods: methods(nil), Ended: func(string, error) { ended.Add(1) }})
	for name, x := range map[string]struct {
		code http2.ErrCode
		why  string
		do   func(c *client) error // one of many
	}{
		"pings":    {http2.ErrCodeEnhanceYourCalm, "asks for nothing", func(c *client) error { return c.framer.WritePing(true, [8]byte{}) }},
		"settings": {http2.ErrCodeEnhanceYourCalm, "asks for nothing", func(c *client) error { return c.framer.WriteSettings() }},
		"windows":  {http2.ErrCodeEnhanceYourCalm, "asks for nothing", func(c *client) error { return c.framer.WriteWindowUpdate(0, 1) }},
		"unknown": {http2.ErrCodeEnhanceYourCalm, "asks for nothing", func(c *client) error {
			return c.framer.WriteRawFrame(0xbb, 0, 0, []byte("x"))
		}},
		"rapid reset": {http2.ErrCodeEnhanceYourCalm, "asks for nothing", func(c *client) error {
			id, err := c.tryOpen(echoPath)
			return errors.Join(err, c.framer.WriteRSTStream(id, http2.ErrCodeCancel))
		}},
		"broken requests": {http2.ErrCodeEnhanceYourCalm, "breaks the protocol", func(c *client) error {
			_, err := c.tryOpen(echoPath, "UPPER", "x")
			return err
		}},
		"empty frames": {http2.ErrCodeEnhanceYourCalm, "without anything", func(c *client) error {
			if c.next == 1 {
				_, err := c.tryOpen(echoPath)
				return err
			}
			return c.framer.WriteData(1, false, nil)
		}},
		"continuations": {http2.ErrCodeEnhanceYourCalm, "too many frames", func(c *client) error {
			if c.next == 1 {
				c.next = 3
				return c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.head(echoPath)})
			}
			return c.framer.WriteContinuation(1, false, nil)
		}},
		"a long block": {http2.ErrCodeEnhanceYourCalm, "more than 64 KiB", func(c *client) error {
			if c.next == 1 {
				c.next = 3
				return c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.head(echoPath)})
			}
			return c.framer.WriteContinuation(1, false, bytes.Repeat([]byte{0}, 16000))
		}},
		"a bomb": {http2.ErrCodeEnhanceYourCalm, "stands for more", func(c *client) error {
			c.block.Reset()
			for range 100 { // one byte each, after the first
				_ = c.hpack.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("y", 3000)})
			}
			c.next += 2
			return c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.next - 2, BlockFragment: c.block.Bytes(), EndHeaders: true})
		}},
		"beyond the window": {http2.ErrCodeFlowControl, "connection's window", func(c *client) error {
			id, err := c.tryOpen(echoPath)
			err = errors.Join(err, c.framer.WriteData(id, false, []byte{0, 0, 0x10, 0, 0}))
			for range 63 {
				err = errors.Join(err, c.framer.WriteData(id, false, make([]byte, 16<<10)))
			}
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, address)
			var writing sync.WaitGroup
			defer writing.Wait()
			writing.Go(func() { // its answers are read meanwhile, or it would block
				for range 20_000 {
					if x.do(c) != nil {
						return
					}
				}
			})
			if code, why := c.goodbye(); code != x.code || !strings.Contains(why, x.why) {
				t.Errorf("%v %q", code, why)
			}
		})
	}
	if got := dial(t, address); got.until(got.call(echoPath, "still here")).text != "still here" {
		t.Error("the server is gone")
	}
	if ended.Load() == 0 {
		t.Error("nobody was told")
	}
}

// Whoever says nothing, or something else, is not waited for.
func TestFirstWords(t *testing.T) {
	refused := errors.New("not you")
	var shaken atomic.Int32
	address, _ := listen(t, unary.Options{Methods: methods(nil), Patience: 100 * time.Millisecond,
		Admit: func(nc net.Conn) (net.Conn, any, error) {
			if shaken.Add(1) == 1 {
				return nil, nil, refused
			}
			return nc, "peer", nil
		}})
	for _, words := range []string{"refused", "", "GET / HTTP/1.1\r\n\r\n", http2.ClientPreface, http2.ClientPreface[:10],
		http2.ClientPreface + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"} {
		c := dialRaw(t, address)
		if words != "refused" {
			_, _ = io.WriteString(c.nc, words) // it may be closed already
		}
		start := time.Now()
		c.goodbye()
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("%q: %v", words, took)
		}
	}
	var c *client
	again(t, func() (err error) {
		c, err = greet(t, address)
		return errors.Join(err, c.echoes("later"))
	})
	if time.Sleep(200 * time.Millisecond); c.echoes("much later") != nil {
		t.Error("the patience for the first words is that for all")
	}
}

// again tries until it works: whoever has no processor at times misses what a test wants in tenths of a second.
func again(t *testing.T, try func() error) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// echoes asks and is answered.
func (c *client) echoes(text string) error {
	id, err := c.tryOpen(echoPath)
	if err := errors.Join(err, c.framer.WriteData(id, true, message(text))); err != nil {
		return err
	}
	all, err := c.collect(id)
	if got := all[id]; err == nil && got.text != text {
		return errors.New(got.String())
	}
	return err
}

// A client that is gone without a word is found out; one that answers is left alone.
func TestSilentClient(t *testing.T) {
	address, _ := listen(t, unary.Options{Methods: methods(nil), Ping: 100 * time.Millisecond})
	var c *client
	var start time.Time
	again(t, func() error {
		c = dial(t, address)
		for range 3 {
			if err := answerPing(c); err != nil {
				return err
			}
		}
		start = time.Now()
		return c.echoes("x")
	})
	c.goodbye()
	if took := time.Since(start); took < 100*time.Millisecond || took > 10*time.Second {
		t.Errorf("closed after %v", took)
	}
}

// A client that reads nothing holds up nobody else, and ends with the server.
func TestClientThatDoesNotRead(t *testing.T) {
	address, server := listen(t, unary.Options{Methods: methods(nil)})
	deaf := dial(t, address, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	deaf.must(deaf.framer.WriteWindowUpdate(0, 1<<30))
	go func() {
		for range 5000 {
			if deaf.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: deaf.next, BlockFragment: deaf.head(echoPath),
				EndHeaders: true}) != nil || deaf.framer.WriteData(deaf.next, true, message(strings.Repeat("x", 10_000))) != nil {
				return
			}
			deaf.next += 2
		}
	}()
	for range 100 {
		if c := dial(t, address); c.until(c.call(echoPath, "x")).text != "x" {
			t.Error("held up")
		}
	}
	shutdown(server, 100*time.Millisecond)
}

// A client that reads only once it has written all that it wants gets all its answers: it would not go on writing if we did
// not go on reading.
func TestClientThatWritesFirst(t *testing.T) {
	address, _ := listen(t, unary.Options{Methods: methods(nil)})
	c := dial(t, address)
	c.must(c.framer.WriteWindowUpdate(0, 1<<30))
	text := strings.Repeat("x", 2000)
	ids := make([]uint32, 0, 1500)
	for range cap(ids) {
		ids = append(ids, c.call(echoPath, text))
	}
	got, err := c.collect(ids...)
	c.must(err)
	for _, id := range ids {
		if got[id].text != text {
			t.Fatalf("stream %d: %s", id, got[id])
		}
	}
}
