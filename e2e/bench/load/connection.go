package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"
)

// connection is the client's end of one HTTP/2 connection. Its reader runs read; begin may be called by others.
type connection struct {
	socket  net.Conn
	watch   *watch
	counted *histogram
	onDone  func(*connection) // an answer came; called with mu held, may begin the next call
	decoder *hpack.Decoder
	status  string // grpc-status of the header block that is being read
	block   []byte // of a HEADERS frame that CONTINUATION goes on with
	blockOf frameHeader

	mu          sync.Mutex
	first, next call
	out         []byte // to be written
	free        []*stream
	streams     map[uint32]*stream
	lastStream  uint32
	waiting     []time.Time // calls that a window keeps back, by when they were due
	window      int64       // what we may still send on the connection
	perStream   int64       // and on a new stream
	maxStreams  int         // that may be open at once
	received    int64       // bytes of DATA since our window was last renewed
}

// stream is a call under way.
type stream struct {
	due  time.Time
	body []byte
}

// maxWaiting bounds what an open loop piles up before a server that cannot follow.
const maxWaiting = 20_000

// dial connects and greets.
func dial(o *Options, w *watch, onDone func(*connection)) (*connection, error) {
	first, next, err := encodeCalls(o.Request)
	if err != nil {
		return nil, err
	}
	socket, err := net.Dial("unix", o.Socket)
	if err != nil {
		return nil, fmt.Errorf("connect to the server: %w", err)
	}
	c := &connection{
		socket: socket, watch: w, counted: &histogram{}, onDone: onDone, first: first, next: next,
		// maxStreams is 0: no call begins before the server has said how many it takes.
		streams: map[uint32]*stream{}, window: defaultWindow, perStream: defaultWindow,
	}
	c.decoder = hpack.NewDecoder(defaultTable, func(f hpack.HeaderField) {
		if f.Name == "grpc-status" {
			c.status = f.Value
		}
	})
	if _, err := socket.Write(greeting()); err != nil {
		return nil, errors.Join(fmt.Errorf("greet the server: %w", err), socket.Close())
	}
	return c, nil
}

// begin starts a call that was due at an instant, or keeps it until the server's windows are open. It writes nothing:
// flush does. The caller holds mu.
func (c *connection) begin(due time.Time) error {
	if len(c.waiting) >= maxWaiting {
		return fmt.Errorf("%d calls wait: the server does not follow this rate", len(c.waiting))
	}
	c.waiting = append(c.waiting, due)
	c.release()
	return nil
}

// release begins what waits, as far as the windows reach.
func (c *connection) release() {
	n := 0
	for ; n < len(c.waiting); n++ {
		if c.window < int64(c.next.flow) || c.perStream < int64(c.next.flow) || len(c.streams) >= c.maxStreams {
			break
		}
		c.window -= int64(c.next.flow)
		encoded := &c.next
		if c.lastStream == 0 {
			encoded = &c.first
			c.lastStream = 1
		} else {
			c.lastStream += 2
		}
		c.out = encoded.appendTo(c.out, c.lastStream)
		c.streams[c.lastStream] = c.newStream(c.waiting[n])
	}
	c.waiting = c.waiting[:copy(c.waiting, c.waiting[n:])]
}

func (c *connection) newStream(due time.Time) *stream {
	s := &stream{}
	if last := len(c.free) - 1; last >= 0 {
		s, c.free = c.free[last], c.free[:last]
	}
	s.due, s.body = due, s.body[:0]
	return s
}

// flush writes what has gathered. The caller holds mu.
func (c *connection) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.socket.Write(c.out)
	c.out = c.out[:0]
	return err
}

// read serves the connection until it is closed. Everything that one system call brought is handled before one other
// writes what follows from it.
func (c *connection) read() {
	buffer, filled := make([]byte, 4*(maxFrame+frameHeaderBytes)), 0
	for {
		n, err := c.socket.Read(buffer[filled:])
		if err != nil {
			c.watch.fail(fmt.Errorf("the server closed the connection: %w", err))
			return
		}
		filled += n
		c.mu.Lock()
		used, err := c.handle(buffer[:filled], time.Now())
		if err == nil {
			err = c.flush()
		}
		c.mu.Unlock()
		if err != nil {
			c.watch.fail(err)
			return
		}
		filled = copy(buffer, buffer[used:filled])
	}
}

// handle takes every whole frame and returns how many bytes these were.
func (c *connection) handle(b []byte, now time.Time) (used int, err error) {
	for len(b)-used >= frameHeaderBytes {
		h := parseFrameHeader(b[used:])
		if h.length > maxFrame {
			return used, fmt.Errorf("the server sent a frame of %d bytes; %d are the limit", h.length, maxFrame)
		}
		end := used + frameHeaderBytes + h.length
		if end > len(b) {
			break
		}
		if err := c.frame(h, b[used+frameHeaderBytes:end], now); err != nil {
			return used, err
		}
		used = end
	}
	return used, nil
}

func (c *connection) frame(h frameHeader, payload []byte, now time.Time) error {
	if c.blockOf.stream != 0 && (h.kind != frameContinuation || h.stream != c.blockOf.stream) {
		return errors.New("the server broke off a header block")
	}
	switch h.kind {
	case frameData:
		return c.data(h, payload, now)
	case frameHeaders, frameContinuation:
		return c.headers(h, payload, now)
	case frameSettings:
		return c.settings(h, payload)
	case framePing:
		if h.flags&flagAck == 0 {
			c.out = appendFrame(c.out, framePing, flagAck, 0, payload)
		}
		return nil
	case frameWindowUpdate:
		if len(payload) != 4 {
			return errors.New("the server sent a WINDOW_UPDATE that is not 4 bytes long")
		}
		if h.stream == 0 { // the window of a single stream is never used up: a call fits into it or is not begun
			c.window += int64(binary.BigEndian.Uint32(payload))
			c.release()
		}
		return nil
	case frameReset:
		return fmt.Errorf("the server reset a call (HTTP/2 error %x)", payload)
	case frameGoAway:
		return fmt.Errorf("the server ends the connection (GOAWAY %q)", payload)
	default: // PRIORITY, PUSH_PROMISE (never to us) and what is unknown: RFC 9113, section 5.5
		return nil
	}
}

func (c *connection) settings(h frameHeader, payload []byte) error {
	if h.flags&flagAck != 0 {
		return nil
	}
	if c.maxStreams == 0 {
		c.maxStreams = math.MaxInt32
	}
	for ; len(payload) >= 6; payload = payload[6:] {
		value := binary.BigEndian.Uint32(payload[2:])
		switch binary.BigEndian.Uint16(payload) {
		case settingTableSize:
			if value < defaultTable {
				return fmt.Errorf("the server keeps only %d bytes of headers; calls are encoded for %d", value, defaultTable)
			}
		case settingMaxStreams:
			c.maxStreams = int(min(value, math.MaxInt32))
		case settingInitialWindow:
			c.perStream = int64(value)
		}
	}
	c.out = appendFrame(c.out, frameSettings, flagAck, 0, nil)
	c.release()
	return nil
}
