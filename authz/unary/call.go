package unary

import "sync"

// Call is one request. It and all that it holds are valid until its method returns.
type Call struct {
	// Message is the request's message: bytes that belong to the connection, so that nobody may write to them.
	Message []byte
	// Fault is why there is no message, for people; empty: there is one.
	Fault string
	// Peer is what Admit said of who is at the other end.
	Peer any
	// Slow has the connection's other requests served from here on. A method calls it before it waits for anything, or works
	// for longer than some ten microseconds; it does nothing the second time.
	Slow func()

	conn     *conn
	stream   *stream
	in       *[]byte // the read buffer that Message is in, once the connection reads into another
	detached bool
}

func newCall(c *conn) *Call {
	call := &Call{conn: c, Peer: c.peer}
	call.Slow = call.detach
	return call
}

// detach leaves the call to this goroutine and the connection to another.
func (c *Call) detach() {
	if c.detached {
		return
	}
	c.detached = true
	c.conn.leave(c)
}

// buffers are what connections read into: room for a frame and then some, so that one read takes many requests.
var buffers = sync.Pool{New: func() any { b := make([]byte, readBuffer); return &b }}

// replies are where methods write to.
var replies = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

func lent(pool *sync.Pool) *[]byte {
	b, _ := pool.Get().(*[]byte)
	return b
}
