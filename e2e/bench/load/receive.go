package load

import (
	"fmt"
	"time"
)

// unpad removes what a frame may be padded with (RFC 9113, section 6.1) and, from HEADERS, the priority.
func unpad(h frameHeader, payload []byte) ([]byte, error) {
	padding, head := 0, 0
	if h.flags&flagPadded != 0 && len(payload) > 0 {
		padding, head = int(payload[0]), 1
	}
	if h.kind == frameHeaders && h.flags&flagPriority != 0 {
		head += 5
	}
	if head+padding > len(payload) {
		return nil, fmt.Errorf("the server sent a frame of %d bytes that is padded with %d", len(payload), padding)
	}
	return payload[head : len(payload)-padding], nil
}

// data takes a part of an answer. A stream that ends with DATA has no trailers, so no grpc-status.
func (c *connection) data(h frameHeader, payload []byte, _ time.Time) error {
	s := c.streams[h.stream]
	if s == nil {
		return fmt.Errorf("the server answers on stream %d, where nothing is asked", h.stream)
	}
	if c.received += int64(len(payload)); c.received > ourWindow/2 {
		c.out = appendUint32Frame(c.out, frameWindowUpdate, 0, uint32(c.received))
		c.received = 0
	}
	payload, err := unpad(h, payload)
	if err != nil {
		return err
	}
	s.body = append(s.body, payload...)
	if h.flags&flagEndStream != 0 {
		return fmt.Errorf("the answer on stream %d ends without a grpc-status", h.stream)
	}
	return nil
}

// headers decodes every block, for its entries go into the table that later blocks point to. The last block of a
// stream is its trailers and ends the call.
func (c *connection) headers(h frameHeader, payload []byte, now time.Time) error {
	if h.kind == frameHeaders {
		var err error
		if payload, err = unpad(h, payload); err != nil {
			return err
		}
		c.block, c.blockOf = c.block[:0], h
	}
	if h.flags&flagEndHeaders == 0 {
		c.block = append(c.block, payload...)
		return nil
	}
	if len(c.block) > 0 {
		payload = append(c.block, payload...)
	}
	ends := c.blockOf.flags&flagEndStream != 0
	c.blockOf, c.status = frameHeader{}, ""
	if _, err := c.decoder.Write(payload); err != nil {
		return fmt.Errorf("the server's headers cannot be read: %w", err)
	}
	if err := c.decoder.Close(); err != nil {
		return fmt.Errorf("the server's headers end too early: %w", err)
	}
	if !ends {
		return nil
	}
	return c.answered(h.stream, now)
}

// answered checks an answer and counts it.
func (c *connection) answered(number uint32, now time.Time) error {
	s := c.streams[number]
	switch {
	case s == nil:
		return fmt.Errorf("the server answers on stream %d, where nothing is asked", number)
	case c.status != "0":
		return fmt.Errorf("the call failed with grpc-status %q; Check never may", c.status)
	}
	if err := checkAnswer(s.body); err != nil {
		return err
	}
	if c.watch.phase.Load() == phaseMeasure {
		c.counted.record(now.Sub(s.due))
	}
	delete(c.streams, number)
	c.free = append(c.free, s)
	c.release()
	c.onDone(c)
	return nil
}
