// Package standard reads tiergate's own generic body, device.posture.updated, signed as Standard Webhooks
// (https://github.com/standard-webhooks/standard-webhooks, spec 1.0.0): the way in for every tool that has no source of
// its own. The README beside this file shows a sender what to send.
package standard

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals/source"
)

// The headers of a delivery.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp" // seconds since 1970
	HeaderSignature = "webhook-signature" // "v1,<base64>", several separated by a blank
)

// Tolerance is how far the sender's timestamp may be from our clock, either way (the spec's own libraries: 5 minutes).
const Tolerance = 5 * time.Minute

const (
	secretPrefix = "whsec_"
	minSecret    = 24 // bytes, decoded
	maxSecret    = 64
)

// Adapter is one sender. It is immutable.
type Adapter struct {
	keys   [][]byte
	events *source.CloudEvents // nil: the envelope is refused
}

var (
	_ source.Adapter = (*Adapter)(nil)
	_ source.Greeter = (*Adapter)(nil)
)

// New makes an adapter that takes what any of the secrets signed; give the old and the new one while you rotate. A
// secret is whsec_ and 24 to 64 bytes in base64. The error tells a bad secret by its place, never by its text.
func New(secrets []string) (*Adapter, error) {
	if len(secrets) == 0 {
		return nil, errors.New("a standard source needs at least one whsec_ secret")
	}
	adapter := &Adapter{}
	for i, secret := range secrets {
		key, err := parseSecret(secret)
		if err != nil {
			return nil, fmt.Errorf("secret %d of %d: %w", i+1, len(secrets), err)
		}
		adapter.keys = append(adapter.keys, key)
	}
	return adapter, nil
}

func parseSecret(secret string) ([]byte, error) {
	encoded, found := strings.CutPrefix(strings.TrimSpace(secret), secretPrefix)
	if !found {
		return nil, errors.New("it does not begin with whsec_; make one with: echo whsec_$(openssl rand -base64 32)")
	}
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, errors.New("what follows whsec_ is not base64 (RFC 4648 section 4, with its padding)")
	}
	if len(key) < minSecret || len(key) > maxSecret {
		return nil, fmt.Errorf("it has %d bytes; it must have %d to %d", len(key), minSecret, maxSecret)
	}
	return key, nil
}

// Authenticate implements source.Adapter: id, time and body are what the sender signed, and not long ago. The id of the
// delivery is webhook-id.
func (a *Adapter) Authenticate(d source.Delivery, at time.Time) (string, error) {
	id, err := one(d.Header, HeaderID)
	if err != nil {
		return "", err
	}
	if !source.ValidID(id) {
		return "", refused("webhook-id is not 1 to 256 printable ASCII characters without blanks.", nil)
	}
	timestamp, err := one(d.Header, HeaderTimestamp)
	if err != nil {
		return "", err
	}
	sent, err := parseTimestamp(timestamp)
	if err != nil {
		return "", refused("webhook-timestamp is not a number of seconds since 1970.", err)
	}
	list, err := one(d.Header, HeaderSignature)
	if err != nil {
		return "", err
	}
	if !a.signed(list, id, timestamp, d.Body) {
		return "", refused("No signature in webhook-signature is ours. "+
			"Sign \"id.timestamp.body\" with the secret of this source.", nil)
	}
	if off := at.Sub(sent); off > Tolerance || off < -Tolerance {
		return "", refused("webhook-timestamp is more than 5 minutes from our clock. Sign again when you send again.",
			fmt.Errorf("webhook-timestamp is %s away from our clock", off.Round(time.Second)))
	}
	if err := oneReading(d.Body); err != nil {
		return "", err
	}
	return id, a.envelope(d)
}

// oneReading refuses signed bytes that are not one JSON object with one meaning. Because the body has to begin with a
// brace, no part of a signed "id.timestamp.body" can be moved to another of the three.
func oneReading(body []byte) error {
	err := source.CheckJSON(body)
	if err == nil && !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		err = errors.New("the body is not a JSON object")
	}
	if err == nil {
		return nil
	}
	return &source.Refusal{
		Status: http.StatusBadRequest,
		Detail: "The body is not one JSON object that every reader understands alike. Check for duplicate keys, keys that " +
			"differ only in case, bytes that are not UTF-8, and data behind the object.",
		Reason: err,
	}
}

// one returns a header that must stand there exactly once: of two, another reader might take the other.
func one(header http.Header, name string) (string, error) {
	values := header.Values(name)
	if len(values) != 1 || values[0] == "" {
		return "", refused(fmt.Sprintf("The header %s must be there once. Send webhook-id, webhook-timestamp and "+
			"webhook-signature as Standard Webhooks wants them.", name), nil)
	}
	return values[0], nil
}

func refused(detail string, reason error) *source.Refusal {
	return &source.Refusal{Status: http.StatusUnauthorized, Detail: detail, Challenge: "StandardWebhooks", Reason: reason}
}

// parseTimestamp takes digits only: no sign, no blank, no fraction.
func parseTimestamp(s string) (time.Time, error) {
	if strings.Trim(s, "0123456789") != "" || len(s) > 12 {
		return time.Time{}, errors.New("webhook-timestamp is not 1 to 12 digits")
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, errors.New("webhook-timestamp is not 1 to 12 digits")
	}
	return time.Unix(seconds, 0), nil
}

// signed reports whether any v1 of the list is the HMAC-SHA256 of id.timestamp.body under any of the keys. Other
// versions, for instance v1a (ed25519), are skipped. Comparing the encoded form leaves one spelling of a signature, in
// constant time.
func (a *Adapter) signed(list, id, timestamp string, body []byte) bool {
	valid := false
	for _, key := range a.keys {
		want := []byte(signature(key, id, timestamp, body))
		for entry := range strings.SplitSeq(list, " ") {
			if version, got, found := strings.Cut(entry, ","); found && version == "v1" && hmac.Equal([]byte(got), want) {
				valid = true
			}
		}
	}
	return valid
}

func signature(key []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Sign returns the three headers of a delivery, as a sender makes them. The error is that of a bad secret.
func Sign(secret, id string, at time.Time, body []byte) (http.Header, error) {
	key, err := parseSecret(secret)
	if err != nil {
		return nil, err
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	header := http.Header{}
	header.Set(HeaderID, id)
	header.Set(HeaderTimestamp, timestamp)
	header.Set(HeaderSignature, "v1,"+signature(key, id, timestamp, body))
	return header, nil
}
