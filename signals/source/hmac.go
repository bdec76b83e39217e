package source

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// HMAC is a signature under a shared secret, by its parts, since vendors agree on none of them.
type HMAC struct {
	Header    string // in which it stands
	Prefix    string // before it, such as sha256=
	Algorithm string // sha256 (the default), sha384, sha512
	Encoding  string // hex (the default, either case), base64
	// Signed says which bytes are: body (the default), timestamp+body, body+timestamp, timestamp.body (a dot between the
	// two), id.timestamp.body. The timestamp is the header's text as it stands.
	Signed string
	// TimestampHeader holds when it was sent, in seconds or milliseconds since 1970 or as RFC 3339. It stands exactly if it is
	// signed: what is not could be written anew.
	TimestampHeader string
	IDHeader        string        // of id.timestamp.body
	Window          time.Duration // how far the timestamp may be from our clock, either way; default 5 minutes
	Secrets         []string      // the bytes of each are a key
}

// The words of HMAC.Signed.
const (
	SignedBody            = "body"
	SignedTimestampBody   = "timestamp+body"
	SignedBodyTimestamp   = "body+timestamp"
	SignedTimestampDot    = "timestamp.body"
	SignedIDTimestampBody = "id.timestamp.body"
)

const (
	defaultWindow = 5 * time.Minute
	// minHMACSecret keeps words out that can be guessed from one delivery.
	minHMACSecret = 16
)

var hashes = map[string]func() hash.Hash{"": sha256.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

// Check says which part does not fit, or nil.
func (h HMAC) Check() error {
	timed := h.Signed != "" && h.Signed != SignedBody
	switch {
	case h.Header == "":
		return errors.New("header: name the header that holds the signature")
	case hashes[h.Algorithm] == nil:
		return fmt.Errorf("algorithm is %q; it is sha256, sha384 or sha512", h.Algorithm)
	case !slices.Contains([]string{"", "hex", "base64"}, h.Encoding):
		return fmt.Errorf("encoding is %q; it is hex or base64", h.Encoding)
	case !slices.Contains([]string{"", SignedBody, SignedTimestampBody, SignedBodyTimestamp, SignedTimestampDot,
		SignedIDTimestampBody}, h.Signed):
		return fmt.Errorf("signed is %q; it is body, timestamp+body, body+timestamp, timestamp.body or id.timestamp.body",
			h.Signed)
	case timed != (h.TimestampHeader != ""):
		return errors.New("timestampHeader goes with a timestamp that is signed, and with nothing else")
	case (h.Signed == SignedIDTimestampBody) != (h.IDHeader != ""):
		return errors.New("idHeader goes with id.timestamp.body, and with nothing else")
	case h.Window < 0 || h.Window > time.Hour || h.Window != 0 && !timed:
		return errors.New("window is at most 1h, and goes with timestampHeader")
	case len(h.Secrets) == 0:
		return errors.New("it has no secret")
	}
	for i, secret := range h.Secrets {
		if len(secret) < minHMACSecret {
			return fmt.Errorf("secret %d has %d bytes; make one of at least %d: openssl rand -hex 32", i+1, len(secret),
				minHMACSecret)
		}
	}
	return nil
}

// Timed reports whether a captured delivery is worth nothing after the window.
func (h HMAC) Timed() bool { return h.TimestampHeader != "" }

// Authentic implements Auth.
func (h HMAC) Authentic(d Delivery, at time.Time) error {
	refuse := func(detail string, err error) error { return denied("Signature", detail, err) }
	given, err := once(d.Header, h.Header)
	if err != nil {
		return refuse(fmt.Sprintf("Send the signature in the header %s, once.", h.Header), err)
	}
	encoded, found := strings.CutPrefix(given, h.Prefix)
	signature, err := h.decode(encoded)
	if !found || err != nil {
		return refuse(fmt.Sprintf("The header %s does not have the form of this source's signature.", h.Header),
			errors.New("the signature does not have its prefix or its encoding"))
	}
	var timestamp, id string
	if h.TimestampHeader != "" {
		if timestamp, err = once(d.Header, h.TimestampHeader); err != nil {
			return refuse(fmt.Sprintf("Send the time in the header %s, once.", h.TimestampHeader), err)
		}
	}
	if h.IDHeader != "" {
		if id, err = once(d.Header, h.IDHeader); err != nil || strings.Contains(id, ".") {
			return refuse(fmt.Sprintf("Send an id without a dot in the header %s, once.", h.IDHeader), err)
		}
	}
	if !h.signs(signature, id, timestamp, d.Body) {
		return refuse("The signature is not ours. Sign with the secret of this source.", errors.New("the signature is wrong"))
	}
	if h.TimestampHeader == "" {
		return nil
	}
	return h.inTime(timestamp, at)
}

func (h HMAC) decode(encoded string) ([]byte, error) {
	if h.Encoding == "base64" {
		return base64.StdEncoding.Strict().DecodeString(encoded)
	}
	return hex.DecodeString(encoded)
}

// signs compares with every secret, in constant time.
func (h HMAC) signs(signature []byte, id, timestamp string, body []byte) bool {
	valid := false
	for _, secret := range h.Secrets {
		mac := hmac.New(hashes[h.Algorithm], []byte(secret))
		switch h.Signed {
		case SignedTimestampBody:
			mac.Write([]byte(timestamp))
			mac.Write(body)
		case SignedBodyTimestamp:
			mac.Write(body)
			mac.Write([]byte(timestamp))
		case SignedTimestampDot:
			mac.Write([]byte(timestamp + "."))
			mac.Write(body)
		case SignedIDTimestampBody:
			mac.Write([]byte(id + "." + timestamp + "."))
			mac.Write(body)
		default:
			mac.Write(body)
		}
		valid = hmac.Equal(mac.Sum(nil), signature) && secret != "" || valid
	}
	return valid
}

// inTime wants a timestamp near our clock. Because its whole text must be an instant, and a body has to begin with a brace
// or a bracket, no byte of the one can be moved to the other.
func (h HMAC) inTime(timestamp string, at time.Time) error {
	sent, err := time.Parse(time.RFC3339Nano, timestamp)
	if number, e := strconv.ParseInt(timestamp, 10, 64); e == nil && strings.Trim(timestamp, "0123456789") == "" {
		sent, err = time.Unix(number, 0), nil
		if number >= milliseconds {
			sent = time.UnixMilli(number)
		}
	}
	window := h.Window
	if window == 0 {
		window = defaultWindow
	}
	if off := at.Sub(sent); err != nil || off > window || off < -window {
		return denied("Signature", fmt.Sprintf("The time in %s is not within %s of our clock. Sign again when you send again.",
			h.TimestampHeader, window), errors.New("the timestamp is too far from our clock, or is none"))
	}
	return nil
}

// Named is the id that the sender signed, where it signs one.
func (h HMAC) Named(header http.Header) (id string, ok bool) {
	if h.IDHeader == "" {
		return "", false
	}
	id = header.Get(h.IDHeader)
	return id, ValidID(id)
}
