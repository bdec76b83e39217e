package unary

import (
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
)

// headers is the header block that is being read, and the fields of it that count.
type headers struct {
	decoder    *hpack.Decoder
	unfinished bool // CONTINUATION frames are to come
	stream     uint32
	ends       bool // the stream, with this block
	dependent  bool // the stream is said to depend on itself
	block      []byte

	size          int
	wrong         bool // no request, and no trailers, has these fields (RFC 9113, section 8.1.1)
	regular       bool // a field that is no pseudo-header has come
	method, path  string
	scheme        string
	authority     bool
	contentType   string
	contentLength int64 // -1: none
}

// start forgets the fields of the block before.
func (h *headers) start() {
	*h = headers{decoder: h.decoder, unfinished: true, block: h.block[:0], contentLength: -1}
}

// take is what the decoder yields.
func (h *headers) take(f hpack.HeaderField) {
	if h.size += int(f.Size()); h.size > maxBlock {
		h.decoder.SetEmitEnabled(false) // the rest is still decoded: other blocks refer to it
		return
	}
	if strings.HasPrefix(f.Name, ":") {
		h.pseudo(f)
		return
	}
	h.regular = true
	if !validName(f.Name) || !httpguts.ValidHeaderFieldValue(f.Value) {
		h.wrong = true
		return
	}
	switch f.Name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		h.wrong = true
	case "te":
		h.wrong = h.wrong || f.Value != "trailers"
	case "content-type":
		h.contentType = f.Value
	case "content-length":
		n, err := strconv.ParseUint(f.Value, 10, 62)
		h.wrong = h.wrong || err != nil || h.contentLength >= 0
		h.contentLength = int64(n)
	}
}

func (h *headers) pseudo(f hpack.HeaderField) {
	into := &h.method
	switch f.Name {
	case ":method":
	case ":path":
		into = &h.path
	case ":scheme":
		into = &h.scheme
	case ":authority":
		h.wrong = h.wrong || h.regular || h.authority
		h.authority = true
		return
	default:
		h.wrong = true
		return
	}
	h.wrong = h.wrong || h.regular || *into != "" || f.Value == ""
	*into = f.Value
}

func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return httpguts.ValidHeaderFieldName(name)
}

// isRequest: a client may ask so (RFC 9113, section 8.3.1).
func (h *headers) isRequest() bool {
	return !h.wrong && h.method != "" && h.path != "" && h.scheme != ""
}

// isTrailer: a request may end so.
func (h *headers) isTrailer() bool {
	return !h.wrong && h.method == "" && h.path == "" && h.scheme == "" && !h.authority
}

// isGRPC: the request is a call of a method, whose messages are protobuf's.
func (h *headers) isGRPC() bool {
	kind, _, _ := strings.Cut(h.contentType, ";")
	kind = strings.TrimRight(kind, " ")
	return h.method == "POST" && (kind == "application/grpc" || kind == "application/grpc+proto")
}

func (c *conn) headersFrame(f *frame) error {
	if f.stream == 0 || f.stream%2 == 0 {
		return broken(protocolError, "a HEADERS frame of a stream that no client opens")
	}
	block, err := f.unpadded()
	if err != nil {
		return err
	}
	h := &c.headers
	h.start()
	h.stream, h.ends = f.stream, f.has(flagEndStream)
	if f.has(flagPriority) {
		if len(block) < 5 {
			return broken(frameSizeError, "a HEADERS frame without its priority")
		}
		on := (uint32(block[0])<<24 | uint32(block[1])<<16 | uint32(block[2])<<8 | uint32(block[3])) & maxWindow
		h.dependent, block = on == f.stream, block[5:]
	}
	if f.has(flagEndHeaders) { // whole, as nearly always
		return c.blockEnds(block)
	}
	h.block = append(h.block, block...)
	return nil
}

func (c *conn) continuation(f *frame) error {
	h := &c.headers
	if !h.unfinished {
		return broken(protocolError, "a CONTINUATION frame that continues nothing")
	}
	if h.block = append(h.block, f.payload...); len(h.block) > maxBlock {
		return broken(enhanceYourCalm, "a header block of more than 64 KiB")
	}
	if c.idle++; c.idle > maxIdleFrames {
		return broken(enhanceYourCalm, "a header block in too many frames")
	}
	if !f.has(flagEndHeaders) {
		return nil
	}
	return c.blockEnds(h.block)
}

// blockEnds decodes a header block and opens, or ends, its stream.
func (c *conn) blockEnds(block []byte) error {
	h := &c.headers
	h.unfinished = false
	h.decoder.SetEmitEnabled(true)
	if _, err := h.decoder.Write(block); err != nil {
		return broken(compressionError, "a header block cannot be decoded")
	}
	if err := h.decoder.Close(); err != nil {
		return broken(compressionError, "a header block is cut off")
	}
	switch s := c.open[h.stream]; {
	case h.size > maxBlock:
		return broken(enhanceYourCalm, "a header block that stands for more than 64 KiB")
	case s != nil:
		return c.trailers(s)
	case h.stream <= c.last:
		return c.afterEnd(h.stream)
	}
	return c.opens()
}
