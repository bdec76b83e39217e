package unary

import (
	"encoding/binary"
	"fmt"
)

// Types of frames (RFC 9113, section 6).
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	framePriority     = 0x2
	frameReset        = 0x3
	frameSettings     = 0x4
	framePush         = 0x5
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindow       = 0x8
	frameContinuation = 0x9
)

// Flags of frames.
const (
	flagAck        = 0x1 // SETTINGS, PING
	flagEndStream  = 0x1 // DATA, HEADERS
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// code is why a stream or a connection ends (RFC 9113, section 7).
type code uint32

const (
	noError          code = 0x0
	protocolError    code = 0x1
	flowControlError code = 0x3
	streamClosed     code = 0x5
	frameSizeError   code = 0x6
	refusedStream    code = 0x7
	compressionError code = 0x9
	enhanceYourCalm  code = 0xb
)

// Settings (RFC 9113, section 6.5.2).
const (
	settingPush       = 0x2
	settingStreams    = 0x3
	settingWindow     = 0x4
	settingFrame      = 0x5
	settingHeaderList = 0x6
)

const (
	preface     = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHeader = 9
	maxFrame    = 16 << 10 // what we take: the default, so that nobody has to be told
	maxWindow   = 1<<31 - 1
	firstWindow = 1<<16 - 1

	readBuffer = 64 << 10
)

// frame is one frame; its payload is a part of the read buffer.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

func (f *frame) has(flag byte) bool { return f.flags&flag != 0 }

// connectionError ends a connection (RFC 9113, section 5.4.1).
type connectionError struct {
	code code
	why  string
}

func (e *connectionError) Error() string { return fmt.Sprintf("HTTP/2 error %d: %s", e.code, e.why) }

// streamError ends a stream (RFC 9113, section 5.4.2).
type streamError struct {
	stream uint32
	code   code
}

func (e *streamError) Error() string {
	return fmt.Sprintf("HTTP/2 error %d of stream %d", e.code, e.stream)
}

func broken(c code, why string) error { return &connectionError{c, why} }

// unpadded takes the padding off a frame that may have some (RFC 9113, section 6.1).
func (f *frame) unpadded() ([]byte, error) {
	if !f.has(flagPadded) {
		return f.payload, nil
	}
	if len(f.payload) == 0 || int(f.payload[0]) >= len(f.payload) {
		return nil, broken(protocolError, "a frame has more padding than it has bytes")
	}
	return f.payload[1 : len(f.payload)-int(f.payload[0])], nil
}

// appendFrame begins a frame of n bytes.
func appendFrame(b []byte, n int, kind, flags byte, stream uint32) []byte {
	b = append(b, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	return binary.BigEndian.AppendUint32(b, stream)
}

func appendReset(b []byte, stream uint32, c code) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(b, 4, frameReset, 0, stream), uint32(c))
}

func appendWindow(b []byte, stream uint32, n int) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(b, 4, frameWindow, 0, stream), uint32(n))
}

func appendGoAway(b []byte, last uint32, c code, why string) []byte {
	b = appendFrame(b, 8+len(why), frameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	return append(binary.BigEndian.AppendUint32(b, uint32(c)), why...)
}

// appendSetting is one setting of a SETTINGS frame.
func appendSetting(b []byte, id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, id), value)
}
