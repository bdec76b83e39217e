package unary

// stream is a request that is not complete yet.
type stream struct {
	id       uint32
	method   Method // nil: answered without one
	httpOnly bool   // no gRPC: answered as HTTP is
	path     string // where no method is
	body     []byte // what has come of it, once it takes more than one frame
	length   int64  // as content-length has it; -1: not said
	received int64  // bytes of the body
	held     int    // bytes of its frames, which count against the windows
	raised   int64  // by how much the client has raised its window
}

// opens a stream with the fields that have just been read.
func (c *conn) opens() error {
	h := &c.headers
	id := h.stream
	c.last = id
	c.past.open(id)
	switch {
	case h.dependent, !h.isRequest():
		return &streamError{id, protocolError}
	case !c.mayOpen(id):
		return &streamError{id, refusedStream}
	}
	s := c.newStream(id)
	s.httpOnly, s.length = !h.isGRPC(), h.contentLength
	if s.method = c.server.opts.Methods[h.path]; s.method == nil {
		s.path = h.path
	}
	if h.ends {
		return c.complete(s, nil)
	}
	c.open[id] = s
	return nil
}

func (c *conn) newStream(id uint32) *stream {
	s := &stream{}
	if n := len(c.spare); n > 0 {
		s, c.spare = c.spare[n-1], c.spare[:n-1]
	}
	*s = stream{id: id}
	return s
}

// release ends the reception of a stream: its bytes no longer count.
func (c *conn) release(s *stream) {
	delete(c.open, s.id)
	c.unpaid += s.held
	s.held = 0
}

// trailers of a request end it; there is nothing in them for us.
func (c *conn) trailers(s *stream) error {
	h := &c.headers
	if h.dependent || !h.isTrailer() || !h.ends {
		return &streamError{s.id, protocolError}
	}
	return c.complete(s, s.body)
}

// data is a part of a request, nearly always all of its message.
func (c *conn) data(f *frame) error {
	if f.stream == 0 || f.stream > c.last {
		return broken(protocolError, "a DATA frame of a stream that is not open")
	}
	if c.held += len(f.payload); c.held > connWindow {
		return broken(flowControlError, "more came than the connection's window allows")
	}
	payload, err := f.unpadded()
	if err != nil {
		return err
	}
	s := c.open[f.stream]
	if s == nil {
		c.unpaid += len(f.payload)
		if c.past.wasReset(f.stream) {
			return nil // it was sent before the client could know
		}
		return &streamError{f.stream, streamClosed}
	}
	s.held += len(f.payload)
	s.received += int64(len(payload))
	ends := f.has(flagEndStream)
	switch {
	case s.held > streamWindow:
		return &streamError{s.id, flowControlError}
	case ends && s.body == nil:
		return c.complete(s, payload)
	case len(payload) == 0 && !ends:
		if c.idle++; c.idle > maxIdleFrames {
			return broken(enhanceYourCalm, "the client sends frames without anything in them, and often")
		}
		return nil
	}
	if s.httpOnly || s.method == nil {
		s.body = payload[:0:0] // nobody reads it
	} else {
		s.body = append(s.body, payload...)
	}
	if ends {
		return c.complete(s, s.body)
	}
	if fault := hopeless(s.body, c.server.opts.MaxMessage); fault != "" {
		return c.early(s, fault)
	}
	return nil
}

// complete answers a request that is all here.
func (c *conn) complete(s *stream, body []byte) error {
	c.release(s)
	if s.length >= 0 && s.length != s.received {
		return &streamError{s.id, protocolError} // RFC 9113, section 8.1.1
	}
	c.idle = 0
	switch {
	case s.httpOnly:
		return c.refuseHTTP(s)
	case s.method == nil:
		return c.answer(s, nil, Status{codeUnimplemented, "there is no method " + s.path}, false)
	}
	message, fault := unwrap(body, c.server.opts.MaxMessage)
	return c.ask(s, message, fault, false)
}

// early answers a request whose rest cannot change the answer.
func (c *conn) early(s *stream, fault string) error {
	c.release(s)
	c.past.reset(s.id)
	c.idle = 0
	return c.ask(s, nil, fault, true)
}
