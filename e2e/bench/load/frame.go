package load

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/net/http2/hpack"
)

// The frame types, flags and settings of RFC 9113 that a gRPC server uses.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	frameContinuation = 0x9

	flagEndStream  = 0x1 // DATA, HEADERS
	flagAck        = 0x1 // SETTINGS, PING
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20

	settingTableSize     = 0x1
	settingMaxStreams    = 0x3
	settingInitialWindow = 0x4

	frameHeaderBytes = 9
	maxFrame         = 16 << 10 // we announce no larger one
	defaultWindow    = 65_535
	defaultTable     = 4_096
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// ourWindow is what the server may send ahead on the connection; it is renewed when half of it is used.
const ourWindow = 1 << 30

type frameHeader struct {
	length int
	kind   byte
	flags  byte
	stream uint32
}

func parseFrameHeader(b []byte) frameHeader {
	return frameHeader{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]), kind: b[3], flags: b[4],
		stream: binary.BigEndian.Uint32(b[5:]) & (1<<31 - 1),
	}
}

func appendFrame(to []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	to = append(to, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	to = binary.BigEndian.AppendUint32(to, stream)
	return append(to, payload...)
}

func appendUint32Frame(to []byte, kind byte, stream, value uint32) []byte {
	return appendFrame(to, kind, 0, stream, binary.BigEndian.AppendUint32(nil, value))
}

// greeting is what a client says first: the preface, its SETTINGS, and a connection window that is wide.
func greeting() []byte {
	settings := binary.BigEndian.AppendUint16(nil, settingInitialWindow)
	settings = binary.BigEndian.AppendUint32(settings, 1<<20)
	out := appendFrame([]byte(preface), frameSettings, 0, 0, settings)
	return appendUint32Frame(out, frameWindowUpdate, 0, ourWindow-defaultWindow)
}

// call is one gRPC call, encoded once: HEADERS and DATA with room for the stream's number.
type call struct {
	bytes []byte
	data  int // where the DATA frame begins
	flow  int // bytes that count against the server's windows
}

func (c *call) appendTo(out []byte, stream uint32) []byte {
	at := len(out)
	out = append(out, c.bytes...)
	binary.BigEndian.PutUint32(out[at+5:], stream)
	binary.BigEndian.PutUint32(out[at+c.data+5:], stream)
	return out
}

const checkMethod = "/envoy.service.auth.v3.Authorization/Check"

// encodeCalls returns the first call of a connection and all that follow. The first one puts its headers into the
// table that both sides of HPACK keep (RFC 7541, section 2.3.2), the others point there, as Envoy's do.
func encodeCalls(message []byte) (first, next call, err error) {
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":path", Value: checkMethod},
		{Name: ":authority", Value: "tiergate_authz"}, {Name: ":scheme", Value: "http"},
		{Name: "te", Value: "trailers"}, {Name: "grpc-timeout", Value: "5S"},
		{Name: "content-type", Value: "application/grpc"}, {Name: "x-envoy-internal", Value: "true"},
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	made := make([]call, 0, 2)
	for range 2 {
		block.Reset()
		for _, f := range fields {
			if err := encoder.WriteField(f); err != nil {
				return first, next, fmt.Errorf("encode the header %s: %w", f.Name, err)
			}
		}
		body := append([]byte{0}, binary.BigEndian.AppendUint32(nil, uint32(len(message)))...)
		body = append(body, message...)
		out := appendFrame(nil, frameHeaders, flagEndHeaders, 0, block.Bytes())
		made = append(made, call{bytes: appendFrame(out, frameData, flagEndStream, 0, body), data: len(out), flow: len(body)})
	}
	return made[0], made[1], nil
}
