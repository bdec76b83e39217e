package unary

// past is what is remembered of streams that are over: which of them were opened at all, and which of them we ended while
// the client was still writing.
type past struct {
	opened [64]uint32
	ours   [64]uint32
	n, m   int
}

func (p *past) open(id uint32) {
	p.opened[p.n%len(p.opened)] = id
	p.n++
}

func (p *past) reset(id uint32) {
	p.ours[p.m%len(p.ours)] = id
	p.m++
}

func (p *past) wasOpened(id uint32) bool { return isIn(&p.opened, id) }

func (p *past) wasReset(id uint32) bool { return isIn(&p.ours, id) }

func isIn(ids *[64]uint32, id uint32) bool {
	for _, one := range ids {
		if one == id {
			return true
		}
	}
	return false
}

// afterEnd judges a header block of a stream that is over.
func (c *conn) afterEnd(id uint32) error {
	switch {
	case c.past.wasReset(id):
		return nil // it was sent before the client could know
	case c.past.wasOpened(id):
		return broken(streamClosed, "a HEADERS frame of a stream that is over")
	}
	return broken(protocolError, "streams are opened in another order than that of their numbers")
}
