package authz

import (
	"errors"
	"fmt"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxDepth is how deep messages may nest, as protobuf has it; an entry of a map counts as a message.
const maxDepth = protowire.DefaultRecursionLimit

// Why a message is refused.
var (
	errWireTruncated = errors.New("it ends too soon, or a number in it is no number")
	errWireField     = errors.New("it has a field of a number that no field may have")
	errWireText      = errors.New("a text in it is not UTF-8")
	errWireDepth     = errors.New("it nests too deep")
)

// reader reads the wire bytes of an envoy.service.auth.v3.CheckRequest and keeps what a decision uses. It takes and
// refuses what proto.Unmarshal takes and refuses, and yields what parseCall yields of its message: a difference would be
// a way past the policy, because Envoy means what protobuf means. So it walks over every field of every message, also
// those that it does not keep: a text that is not UTF-8 spoils a message wherever it stands. Split and repeated messages
// merge because all that is kept is overwritten or added to as it comes.
//
// The texts of a Call are parts of the bytes that were read and not copies: they end with them.
type reader struct {
	call Call
	http bool // there is a request.http
	raw  bool // there is a header_map, which then counts instead of headers

	key, value, rawValue string // of the header or entry that is being read
	vouched              []byte // of the entry of filter metadata that is being read
	count, size          int    // of the headers in the header_map
	entries              []headerEntry
	maybe                uint64 // one bit for each key in entries: what has none was not there before
}

// headerEntry is an entry of the map of headers. The last one of a name counts.
type headerEntry struct{ name, value string }

// read reads one message into r.call; the reader is fresh. The error says why the bytes are no CheckRequest.
func (r *reader) read(message []byte) error {
	if err := r.walk(message, checkRequestShape, maxDepth); err != nil {
		return err
	}
	r.finish()
	return nil
}

// clear forgets everything but the room that slices have.
func (r *reader) clear() {
	clear(r.entries)
	*r = reader{call: r.call.emptied(), entries: r.entries[:0]}
}

// emptied is a Call of nothing, with the room that the slices of this one have.
func (c *Call) emptied() Call {
	clear(c.Authorization)
	clear(c.Proofs)
	clear(c.Forwarded)
	return Call{Authorization: c.Authorization[:0], Proofs: c.Proofs[:0], Forwarded: c.Forwarded[:0]}
}

// walk reads one message, or one entry of a map, which looks the same on the wire.
func (r *reader) walk(b []byte, m *messageShape, depth int) error {
	if depth--; depth < 0 {
		return errWireDepth
	}
	r.opened(m.part)
	for len(b) > 0 {
		tag, n := uint64(b[0]), 1
		if tag >= 0x80 {
			if tag, n = protowire.ConsumeVarint(b); n < 0 {
				return errWireTruncated
			}
		}
		b = b[n:]
		number := tag >> 3
		if number < uint64(protowire.MinValidNumber) || number > uint64(protowire.MaxValidNumber) {
			return errWireField
		}
		var f fieldShape
		if number < uint64(len(m.fields)) {
			f = m.fields[number]
		}
		if f.kind == kindEntry && depth == 0 {
			return errWireDepth // as protobuf: before it looks at the wire type
		}
		if wire := protowire.Type(tag & 7); wire != protowire.BytesType || f.kind == kindPlain {
			// A field of another wire type than its own is a field that nobody knows.
			if n = protowire.ConsumeFieldValue(protowire.Number(number), wire, b); n < 0 {
				return errWireTruncated
			}
			b = b[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return errWireTruncated
		}
		b = b[n:]
		if err := r.field(&f, value, depth); err != nil {
			return err
		}
	}
	r.closed(m.part)
	return nil
}

// field reads a field that has a length.
func (r *reader) field(f *fieldShape, value []byte, depth int) error {
	switch f.kind {
	case kindMessage, kindEntry:
		if f.slot == slotVouched && len(value) > 0 {
			// A message that comes again is merged with what came before, which is what reading both in a row does. The
			// bytes of the first are not to be written to, nor those behind them.
			if r.vouched == nil {
				r.vouched = value[:len(value):len(value)]
			} else {
				r.vouched = append(r.vouched, value...)
			}
		}
		return r.walk(value, f.child, depth)
	case kindText:
		if !utf8.Valid(value) {
			return errWireText
		}
	default:
	}
	if f.slot != slotNone {
		r.keep(f.slot, value)
	}
	return nil
}

func (r *reader) keep(s slot, value []byte) {
	text := unsafe.String(unsafe.SliceData(value), len(value)) //nolint:gosec // G103: the bytes outlive the call, and nobody writes to them
	switch s {
	case slotMethod:
		r.call.Method = text
	case slotHost:
		r.call.Host = text
	case slotPath:
		r.call.Path = text
	case slotScheme:
		r.call.Scheme = text
	case slotCertificate:
		r.call.Certificate = text
	case slotPrincipal:
		r.call.Principal = text
	case slotPeer:
		r.call.Peer = text
	case slotKey:
		r.key = text
	case slotValue:
		r.value = text
	case slotRaw:
		r.rawValue = text
	default:
	}
}

func (r *reader) opened(p part) {
	switch p {
	case partNone:
	case partHTTP:
		r.http = true
	case partHeaderMap:
		r.raw = true
	case partNoSocket:
		r.call.Peer = ""
	default:
		r.key, r.value, r.rawValue, r.vouched = "", "", "", nil
	}
}

func (r *reader) closed(p part) {
	switch p {
	case partHeader:
		value := r.value
		if r.rawValue != "" {
			value = r.rawValue
		}
		r.count++
		r.size += len(r.key) + len(value)
		if r.count <= maxHeaders {
			r.call.take(r.key, value)
		}
	case partHeaderEntry:
		r.enter(r.key, r.value)
	case partExtension:
		switch r.key {
		case extensionRoute:
			r.call.Route = r.value
		case extensionTable:
			r.call.Table = r.value
		case extensionUpstream:
			r.call.Upstream = r.value
		}
	case partMetadata:
		if r.key == metadataVouched {
			r.call.Vouched = r.vouched
		}
	default:
	}
}

// enter adds an entry to the map of headers or replaces the one of that name. More entries than a Call may have are not
// kept: there is one more than that, and it stays so.
func (r *reader) enter(name, value string) {
	if len(r.entries) > maxHeaders {
		return
	}
	bit := uint64(1) << (nameHash(name) & 63)
	if r.maybe&bit != 0 {
		for i := range r.entries {
			if r.entries[i].name == name {
				r.entries[i].value = value
				return
			}
		}
	}
	r.maybe |= bit
	r.entries = append(r.entries, headerEntry{name, value})
}

func nameHash(name string) uint {
	if name == "" {
		return 0
	}
	return uint(len(name))*7 + uint(name[0]) + uint(name[len(name)-1])*31 + uint(name[len(name)/2])*17
}

// finish does what can be done only when all has been read.
func (r *reader) finish() {
	if !r.http {
		r.call = r.call.emptied()
		r.call.Malformed = noHTTP
		return
	}
	if !r.raw {
		r.count = len(r.entries)
		for _, e := range r.entries {
			r.size += len(e.name) + len(e.value)
			r.call.take(e.name, e.value)
		}
	}
	r.call.limit(r.count, r.size)
	if !r.raw {
		r.call.ordered()
	}
}

// undecodable says why bytes are no CheckRequest.
func undecodable(err error) string {
	return fmt.Sprintf("the message is no CheckRequest of envoy.service.auth.v3: %v", err)
}
