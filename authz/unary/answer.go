package unary

import (
	"strconv"
	"time"
)

// Header blocks that need no table (RFC 7541): an indexed ":status: 200", and literals that are not indexed, of names in the
// static table or spelled out.
const (
	answerHeaders  = "\x88\x0f\x10\x10application/grpc"
	answerTrailers = "\x00\x0bgrpc-status\x010"

	refusalText    = "This is a gRPC service. Ask with gRPC over HTTP/2: POST, content-type: application/grpc.\n"
	refusalHeaders = "\x08\x03415\x0f\x10\x19text/plain; charset=utf-8"
)

// appendLiteral is a field of which name and value are spelled out, without Huffman's code.
func appendLiteral(b []byte, name, value string) []byte {
	b = append(appendInteger(append(b, 0), len(name)), name...)
	return append(appendInteger(b, len(value)), value...)
}

// appendInteger is RFC 7541, section 5.1, with a prefix of 7 bits.
func appendInteger(b []byte, n int) []byte {
	const prefix = 1<<7 - 1
	if n < prefix {
		return append(b, byte(n))
	}
	b = append(b, prefix)
	for n -= prefix; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// appendStatusOnly is an answer without a message (Trailers-Only of the gRPC protocol).
func appendStatusOnly(b []byte, id uint32, status Status) []byte {
	block := appendLiteral([]byte(answerHeaders), "grpc-status", strconv.FormatUint(uint64(status.Code), 10))
	if status.Message != "" {
		block = appendLiteral(block, "grpc-message", percentEncoded(status.Message))
	}
	return append(appendFrame(b, len(block), frameHeaders, flagEndHeaders|flagEndStream, id), block...)
}

// maxStatusText bounds grpc-message, so that a header block is one frame.
const maxStatusText = 2 << 10

// percentEncoded is how grpc-message is written.
func percentEncoded(text string) string {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text) && len(out) < maxStatusText; i++ {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			out = append(out, '%', hex[c>>4], hex[c&0xf])
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}

// ask has a method answer a request.
func (c *conn) ask(s *stream, message []byte, fault string, early bool) error {
	call := c.call
	call.Message, call.Fault, call.stream = message, fault, s
	buffer := lent(&replies)
	reply, status := s.method(call, (*buffer)[:0])
	left := call.detached
	var err error
	if left {
		c.finish(s, reply, status, early)
		err = errLeft
		if call.in != nil {
			buffers.Put(call.in)
		}
	} else {
		call.Message, call.stream = nil, nil
		err = c.answer(s, reply, status, early)
	}
	if cap(reply) <= maxFrame {
		*buffer = reply[:0]
	}
	replies.Put(buffer)
	return err
}

// answer answers a request at once.
func (c *conn) answer(s *stream, reply []byte, status Status, early bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(s.id, s.raised, reply, status, early)
	if len(c.spare) < maxSpare {
		c.spare = append(c.spare, s)
	}
	if len(c.out) >= flushAt {
		return c.flush()
	}
	return nil
}

// maxSpare is how many streams are kept to be used again.
const maxSpare = 32

// finish answers a request that was left behind, unless the client does not want to know any more.
func (c *conn) finish(s *stream, reply []byte, status Status, early bool) {
	c.mu.Lock()
	if o := c.sending[s.id]; o != nil {
		delete(c.sending, s.id)
		c.put(s.id, o.raised, reply, status, early)
		_ = c.flush() // whoever reads finds out
	}
	c.mu.Unlock()
	c.wake()
}

// wake has whoever reads look whether the connection is done.
func (c *conn) wake() {
	if c.leaving.Load() {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // of a connection that is broken, reading tells
	}
}

// refuseHTTP answers what is no gRPC as its protocol has it: 415, with a word for people.
func (c *conn) refuseHTTP(s *stream) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(appendFrame(c.out, len(refusalHeaders), frameHeaders, flagEndHeaders, s.id), refusalHeaders...)
	c.later(s.id, &outgoing{raised: s.raised, data: []byte(refusalText)})
	return nil
}

// mayOpen: there is room for one more stream, and the connection is not about to end.
func (c *conn) mayOpen(id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return id <= c.final && len(c.open)+len(c.sending) < maxStreams
}

// drain tells the client to ask elsewhere, and to answer a PING: what it has asked until then is answered, and then the
// connection ends (RFC 9113, section 6.8).
func (c *conn) drain() {
	c.leaving.Store(true)
	_ = c.send(func(b []byte) []byte { // whoever reads finds out
		b = appendGoAway(b, maxWindow, noError, "")
		return append(appendFrame(b, 8, framePing, 0, 0), farewell[:]...)
	})
}

// leaveFinally is the answer to that PING.
func (c *conn) leaveFinally() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.leaving.Load() || c.final < maxWindow {
		return nil
	}
	c.final = c.last
	c.out = appendGoAway(c.out, c.last, noError, "")
	return nil
}
