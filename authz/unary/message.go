package unary

import (
	"encoding/binary"
	"fmt"
)

// prefixBytes stand before a message: whether it is compressed, and its length.
const prefixBytes = 5

// declared is the length that a body says its message has; ok: it has said so.
func declared(body []byte) (length int, ok bool) {
	if len(body) < prefixBytes {
		return 0, false
	}
	return int(binary.BigEndian.Uint32(body[1:])), true
}

// unwrap finds the one message in a whole body.
func unwrap(body []byte, most int) (message []byte, fault string) {
	length, ok := declared(body)
	switch {
	case len(body) == 0:
		return nil, "there is no message"
	case !ok:
		return nil, fmt.Sprintf("the message has %d bytes and no length", len(body))
	case body[0] != 0:
		return nil, "the message is compressed; let the client send it as it is"
	case length > most:
		return nil, tooLong(length, most)
	case len(body) < prefixBytes+length:
		return nil, fmt.Sprintf("the message has %d bytes and says that it has %d", len(body)-prefixBytes, length)
	case len(body) > prefixBytes+length:
		return nil, tooMany
	}
	return body[prefixBytes:], ""
}

// hopeless says why a body can never become one message, before all of it is there; empty: it still can.
func hopeless(body []byte, most int) string {
	length, ok := declared(body)
	switch {
	case !ok:
		return ""
	case length > most:
		return tooLong(length, most)
	case len(body) > prefixBytes+length:
		return tooMany
	}
	return ""
}

const tooMany = "there is more than one message"

func tooLong(length, most int) string {
	return fmt.Sprintf("the message has %d bytes; the limit is %d: let Envoy send no bodies (with_request_body)", length, most)
}
