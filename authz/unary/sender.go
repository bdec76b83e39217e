package unary

import "encoding/binary"

// sender is what is written to a connection, under its lock: frames that wait to be sent together, and answers for which
// the client has no room yet.
type sender struct {
	*outbox
	window  int64                // of the connection, as the client has it
	initial int64                // the client's window of a new stream
	sending map[uint32]*outgoing // whose answers are not made yet, or have to wait
	waiting int                  // how many of them have to wait
	final   uint32               // the last stream that is answered
}

// outgoing is an answer under way.
type outgoing struct {
	raised   int64  // by how much the client has raised the stream's window, less what was sent
	data     []byte // what is still to be sent; nil: the answer is not made yet
	trailers []byte // a header block; nil: the data ends the stream
	resets   bool   // the client is to stop writing (RFC 9113, section 8.1)
}

// newSender has our first words in it.
func newSender(to *outbox) sender {
	out := appendFrame(make([]byte, 0, 4<<10), 18, frameSettings, 0, 0)
	out = appendSetting(out, settingStreams, maxStreams)
	out = appendSetting(out, settingWindow, streamWindow)
	out = appendSetting(out, settingHeaderList, maxBlock)
	to.out = appendWindow(out, 0, connWindow-firstWindow)
	return sender{outbox: to, window: firstWindow, initial: firstWindow, sending: map[uint32]*outgoing{}, final: maxWindow}
}

// put appends an answer, or has it wait for room.
func (s *sender) put(id uint32, raised int64, message []byte, status Status, resets bool) {
	if status.Code != 0 {
		s.out = appendStatusOnly(s.out, id, status)
		s.resets(id, resets)
		return
	}
	size := prefixBytes + len(message)
	s.out = append(appendFrame(s.out, len(answerHeaders), frameHeaders, flagEndHeaders, id), answerHeaders...)
	if s.waiting > 0 || int64(size) > min(maxFrame, s.window, s.initial+raised) {
		data := append(appendPrefix(make([]byte, 0, size), len(message)), message...)
		s.later(id, &outgoing{raised: raised, data: data, trailers: []byte(answerTrailers), resets: resets})
		return
	}
	s.window -= int64(size)
	s.out = append(appendPrefix(appendFrame(s.out, size, frameData, 0, id), len(message)), message...)
	s.out = append(appendFrame(s.out, len(answerTrailers), frameHeaders, flagEndHeaders|flagEndStream, id), answerTrailers...)
	s.resets(id, resets)
}

func appendPrefix(b []byte, length int) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0), uint32(length))
}

func (s *sender) resets(id uint32, yes bool) {
	if yes {
		s.out = appendReset(s.out, id, noError)
	}
}

// later sends as much of an answer as there is room for, and keeps the rest.
func (s *sender) later(id uint32, o *outgoing) {
	if !s.push(id, o) {
		s.sending[id] = o
		s.waiting++
	}
}

// push sends as much of an answer as there is room for; true: that was all.
func (s *sender) push(id uint32, o *outgoing) bool {
	for len(o.data) > 0 {
		n := int(min(int64(len(o.data)), maxFrame, s.window, s.initial+o.raised))
		if n <= 0 {
			return false
		}
		flags := byte(0)
		if n == len(o.data) && o.trailers == nil {
			flags = flagEndStream
		}
		s.out = append(appendFrame(s.out, n, frameData, flags, id), o.data[:n]...)
		o.data = o.data[n:]
		o.raised -= int64(n)
		s.window -= int64(n)
	}
	if o.trailers != nil {
		s.out = append(appendFrame(s.out, len(o.trailers), frameHeaders, flagEndHeaders|flagEndStream, id), o.trailers...)
	}
	s.resets(id, o.resets)
	return true
}

// pump sends what waited for room.
func (s *sender) pump() error {
	if s.waiting == 0 {
		return nil
	}
	for id, o := range s.sending {
		if s.window <= 0 {
			break
		}
		if o.data != nil && s.push(id, o) {
			delete(s.sending, id)
			s.waiting--
		}
		if len(s.out) >= flushAt {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// drop forgets an answer that nobody waits for any more.
func (s *sender) drop(id uint32) {
	if o := s.sending[id]; o != nil && o.data != nil {
		s.waiting--
	}
	delete(s.sending, id)
}
