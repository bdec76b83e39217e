package unary

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2/hpack"
)

// Bounds of one connection.
const (
	maxStreams    = 1000     // that are incomplete, or whose answers are under way
	maxBlock      = 64 << 10 // bytes of one header block, and of the fields that it stands for
	maxIdleFrames = 10_000   // that ask for nothing, between two requests that do
	streamWindow  = defaultMaxMessage + 64<<10
	connWindow    = 16 << 20 // of bytes that incomplete requests hold
	flushAt       = 16 << 10
)

// conn is one connection. Its first part belongs to the goroutine that reads, which is another one after leave.
type conn struct {
	server *Server
	peer   any

	in       *[]byte
	from, to int // what was read and not yet dealt with
	call     *Call
	headers  headers
	open     map[uint32]*stream // whose requests are incomplete
	last     uint32             // the highest stream that the client has opened
	past     past
	unpaid   int  // bytes that are dealt with and that the client may send anew
	held     int  // bytes of incomplete requests, and of frames that nobody waited for
	idle     int  // frames that asked for nothing, since the last request that did
	heard    bool // the client's first words
	asked    bool // whether the client is there (Options.Ping)
	spare    []*stream

	leaving atomic.Bool // it was asked to end (drain)

	mu sync.Mutex
	sender
}

func newConn(s *Server, nc net.Conn, peer any) *conn {
	c := &conn{server: s, peer: peer, in: lent(&buffers), open: map[uint32]*stream{}}
	c.call = newCall(c)
	c.headers.decoder = hpack.NewDecoder(4<<10, c.headers.take)
	c.headers.decoder.SetMaxStringLength(maxBlock)
	c.sender = newSender(newOutbox(nc, &c.mu, s.running.Go))
	return c
}

// greet says what we take, hears the client's first words, and serves.
func (c *conn) greet() {
	c.mu.Lock()
	err := c.flush()
	c.mu.Unlock()
	if err == nil {
		err = c.hear()
	}
	if err == nil {
		err = c.serve()
	}
	c.end(err)
}

// hear reads the preface (RFC 9113, section 3.4).
func (c *conn) hear() error {
	for c.to < len(preface) {
		n, err := c.nc.Read((*c.in)[c.to:len(preface)])
		c.to += n
		if !bytes.HasPrefix([]byte(preface), (*c.in)[:c.to]) {
			return broken(protocolError, "the client does not speak HTTP/2 with prior knowledge")
		}
		if err != nil && c.to < len(preface) {
			return err
		}
	}
	c.from, c.to = 0, 0
	f, err := c.first()
	if err != nil {
		return err
	}
	if f.kind != frameSettings || f.has(flagAck) {
		return broken(protocolError, "the client's first frame is not its settings")
	}
	c.heard = true
	_ = c.nc.SetDeadline(time.Time{}) // of a connection that is broken, reading tells
	return c.handle(&f)
}

func (c *conn) first() (frame, error) {
	for {
		if f, ok, err := c.next(); ok || err != nil {
			return f, err
		}
		if err := c.fill(); err != nil {
			return frame{}, err
		}
	}
}

// errLeft says that another goroutine reads now.
var errLeft = errors.New("the connection was left behind")

// serve handles frames until the connection ends.
func (c *conn) serve() error {
	for {
		f, ok, err := c.next()
		if err == nil && ok {
			err = c.handle(&f)
			var s *streamError
			if errors.As(err, &s) {
				err = c.endStream(s)
			}
		} else if err == nil {
			err = c.refill()
		}
		if err != nil {
			return err
		}
	}
}

// refill sends what is to be sent and reads on.
func (c *conn) refill() error {
	c.mu.Lock()
	if c.unpaid >= connWindow/2 {
		c.out = appendWindow(c.out, 0, c.unpaid)
		c.held -= c.unpaid
		c.unpaid = 0
	}
	err := c.flush()
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.fill()
}

// next is the next whole frame that was read.
func (c *conn) next() (f frame, ok bool, err error) {
	b := (*c.in)[c.from:c.to]
	if len(b) < frameHeader {
		return frame{}, false, nil
	}
	length := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	if length > maxFrame {
		return frame{}, false, broken(frameSizeError, "a frame is longer than 16,384 bytes")
	}
	if len(b) < frameHeader+length {
		return frame{}, false, nil
	}
	c.from += frameHeader + length
	return frame{kind: b[3], flags: b[4], stream: (uint32(b[5])<<24 | uint32(b[6])<<16 | uint32(b[7])<<8 | uint32(b[8])) & maxWindow,
		payload: b[frameHeader : frameHeader+length]}, true, nil
}

// fill reads more, after what is there.
func (c *conn) fill() error {
	if c.from == c.to {
		c.from, c.to = 0, 0
	} else if len(*c.in)-c.from < frameHeader+maxFrame {
		c.to = copy(*c.in, (*c.in)[c.from:c.to])
		c.from = 0
	}
	for {
		c.wait()
		if c.isDone() {
			return io.EOF
		}
		n, err := c.nc.Read((*c.in)[c.to:])
		if n > 0 {
			c.to += n
			c.asked = false
			return nil
		}
		switch late := errors.Is(err, os.ErrDeadlineExceeded); {
		case late && c.heard && c.leaving.Load(): // woken, to look whether it is done
		case !late || !c.heard || c.asked:
			return silent(err, late && c.asked)
		default:
			c.asked = true
			if err := c.send(appendPing); err != nil {
				return err
			}
		}
	}
}

// wait sets until when to wait for the client.
func (c *conn) wait() {
	switch ping := c.server.opts.Ping; {
	case !c.heard: // the deadline is that of the first words
	case ping > 0 && c.asked:
		_ = c.nc.SetReadDeadline(time.Now().Add(ping / 2)) // of a connection that is broken, reading tells
	case ping > 0:
		_ = c.nc.SetReadDeadline(time.Now().Add(ping))
	case c.leaving.Load():
		_ = c.nc.SetReadDeadline(time.Time{})
	}
}

// isDone: the connection was asked to end, and nothing is left to do. It is looked at after the deadline was set, so that
// whoever does the last thing wakes the one who reads.
func (c *conn) isDone() bool {
	if !c.leaving.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.final < maxWindow && len(c.open) == 0 && len(c.sending) == 0
}

func silent(err error, asked bool) error {
	if asked {
		return errSilent
	}
	return err
}

var errSilent = errors.New("the client has not answered a PING")

// send appends something and sends it at once.
func (c *conn) send(what func([]byte) []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = what(c.out)
	return c.flush()
}

// leave has another goroutine read on while this one stays with a call.
func (c *conn) leave(call *Call) {
	if call.stream.body == nil { // the message is in the read buffer
		fresh := lent(&buffers)
		c.to = copy(*fresh, (*c.in)[c.from:c.to])
		c.from, c.in, call.in = 0, fresh, c.in
	}
	c.call = newCall(c)
	c.mu.Lock()
	c.sending[call.stream.id] = &outgoing{raised: call.stream.raised}
	c.mu.Unlock()
	c.server.running.Go(func() { c.end(c.serve()) })
}

// end tells the client why, and closes.
func (c *conn) end(err error) {
	if errors.Is(err, errLeft) {
		return
	}
	var fault *connectionError
	told := errors.As(err, &fault)
	if told {
		_ = c.send(func(b []byte) []byte { return appendGoAway(b, c.last, fault.code, fault.why) }) // it is gone if this fails
	}
	c.mu.Lock()
	c.settle()
	c.mu.Unlock()
	if told {
		c.linger()
	}
	_ = c.nc.Close()
	buffers.Put(c.in)
	c.server.gone(c, ending(err))
}

// ending is nil for the ways in which connections come to their end.
func ending(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// linger reads for a moment what the client has sent: closing with it unread would take our last words back.
func (c *conn) linger() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = io.CopyN(io.Discard, c.nc, connWindow)
}
