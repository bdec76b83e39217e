package unary

import "encoding/binary"

// handle deals with one frame. A *streamError ends its stream, every other error the connection.
func (c *conn) handle(f *frame) error {
	if c.headers.unfinished && (f.kind != frameContinuation || f.stream != c.headers.stream) {
		return broken(protocolError, "a header block is interrupted")
	}
	switch f.kind {
	case frameHeaders:
		return c.headersFrame(f)
	case frameContinuation:
		return c.continuation(f)
	case frameData:
		return c.data(f)
	case framePush:
		return broken(protocolError, "a client may not push")
	}
	if c.idle++; c.idle > maxIdleFrames {
		return broken(enhanceYourCalm, "the client asks for nothing, and often")
	}
	switch f.kind {
	case frameSettings:
		return c.settings(f)
	case framePing:
		return c.ping(f)
	case frameWindow:
		return c.windowUpdate(f)
	case frameReset:
		return c.reset(f)
	case framePriority:
		return c.priority(f)
	case frameGoAway:
		if f.stream != 0 || len(f.payload) < 8 {
			return broken(protocolError, "a GOAWAY frame of a stream, or too short")
		}
	}
	return nil // also a frame of a kind that nobody knows (RFC 9113, section 5.5)
}

func (c *conn) settings(f *frame) error {
	switch {
	case f.stream != 0:
		return broken(protocolError, "settings of a stream")
	case len(f.payload)%6 != 0 || f.has(flagAck) && len(f.payload) != 0:
		return broken(frameSizeError, "a SETTINGS frame of a length that none has")
	case f.has(flagAck):
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for b := f.payload; len(b) > 0; b = b[6:] {
		value := binary.BigEndian.Uint32(b[2:])
		switch binary.BigEndian.Uint16(b) {
		case settingPush:
			if value > 1 {
				return broken(protocolError, "ENABLE_PUSH is neither 0 nor 1")
			}
		case settingWindow:
			if value > maxWindow {
				return broken(flowControlError, "INITIAL_WINDOW_SIZE is too large")
			}
			c.initial = int64(value)
		case settingFrame:
			if value < maxFrame || value >= 1<<24 {
				return broken(protocolError, "MAX_FRAME_SIZE is out of its range")
			}
		}
	}
	c.out = appendFrame(c.out, 0, frameSettings, flagAck, 0)
	return c.pump()
}

// farewell is what a PING says whose answer ends a connection (drain).
var farewell = [8]byte{'t', 'i', 'e', 'r', 'g', 'a', 't', 'e'}

func appendPing(b []byte) []byte {
	return append(appendFrame(b, 8, framePing, 0, 0), 0, 0, 0, 0, 0, 0, 0, 0)
}

func (c *conn) ping(f *frame) error {
	switch {
	case f.stream != 0:
		return broken(protocolError, "a PING frame of a stream")
	case len(f.payload) != 8:
		return broken(frameSizeError, "a PING frame that has not 8 bytes")
	case f.has(flagAck):
		if [8]byte(f.payload) == farewell {
			return c.leaveFinally()
		}
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(appendFrame(c.out, 8, framePing, flagAck, 0), f.payload...)
	return nil
}

func (c *conn) windowUpdate(f *frame) error {
	if len(f.payload) != 4 {
		return broken(frameSizeError, "a WINDOW_UPDATE frame that has not 4 bytes")
	}
	n := int64(binary.BigEndian.Uint32(f.payload) & maxWindow)
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.stream == 0 {
		if n == 0 {
			return broken(protocolError, "a WINDOW_UPDATE of nothing")
		}
		if c.window += n; c.window > maxWindow {
			return broken(flowControlError, "the connection's window grows too large")
		}
		return c.pump()
	}
	if f.stream > c.last {
		return broken(protocolError, "a WINDOW_UPDATE of a stream that is not open")
	}
	if n == 0 {
		return &streamError{f.stream, protocolError}
	}
	raised := c.raised(f.stream)
	if raised == nil {
		return nil // of a stream that is over
	}
	if *raised += n; c.initial+*raised > maxWindow {
		return &streamError{f.stream, flowControlError}
	}
	return c.pump()
}

// raised is by how much the client has raised the window of a stream, less what was sent; nil: the stream is over. The
// sender is locked.
func (c *conn) raised(id uint32) *int64 {
	if s := c.open[id]; s != nil {
		return &s.raised
	}
	if o := c.sending[id]; o != nil {
		return &o.raised
	}
	return nil
}

func (c *conn) reset(f *frame) error {
	switch {
	case len(f.payload) != 4:
		return broken(frameSizeError, "a RST_STREAM frame that has not 4 bytes")
	case f.stream == 0 || f.stream > c.last:
		return broken(protocolError, "a RST_STREAM of a stream that is not open")
	}
	return c.forget(f.stream)
}

func (c *conn) priority(f *frame) error {
	switch {
	case f.stream == 0:
		return broken(protocolError, "a priority of no stream")
	case len(f.payload) != 5:
		return &streamError{f.stream, frameSizeError}
	case binary.BigEndian.Uint32(f.payload)&maxWindow == f.stream:
		return &streamError{f.stream, protocolError}
	}
	return nil
}

// endStream tells the client that a stream is over, and why.
func (c *conn) endStream(s *streamError) error {
	if c.idle++; c.idle > maxIdleFrames {
		return broken(enhanceYourCalm, "the client breaks the protocol, and often")
	}
	c.mu.Lock()
	c.out = appendReset(c.out, s.stream, s.code)
	c.mu.Unlock()
	c.past.reset(s.stream)
	return c.forget(s.stream)
}

// forget drops a stream of which nothing more is to be said.
func (c *conn) forget(id uint32) error {
	if s := c.open[id]; s != nil {
		c.release(s)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(id)
	return nil
}
