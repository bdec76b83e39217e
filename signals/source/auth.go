package source

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// Auth tells whether a delivery comes from its sender, where the vendor signs nothing or lets one choose. Several secrets
// count at once, so that one can be rotated; none at all lets nobody in. The time that it takes does not depend on how
// much of a secret was guessed.
type Auth interface {
	// Authentic returns nil, or a *Refusal with status 401 and its challenge.
	Authentic(d Delivery, at time.Time) error
}

// Basic is a user and password in Authorization (RFC 7617).
type Basic struct {
	User      string
	Passwords []string
}

// Authentic implements Auth.
func (b Basic) Authentic(d Delivery, _ time.Time) error {
	const challenge = `Basic realm="tiergate", charset="UTF-8"`
	given, err := once(d.Header, "Authorization")
	if err != nil {
		return denied(challenge, "Send Authorization: Basic once, with this source's user and password.", err)
	}
	scheme, encoded, _ := strings.Cut(given, " ")
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(encoded))
	if !strings.EqualFold(scheme, "Basic") || err != nil {
		return denied(challenge, "Send Authorization: Basic with base64 of user:password (RFC 7617).",
			errors.New("the Authorization header is not of the scheme Basic"))
	}
	var pairs []string
	for _, password := range b.Passwords {
		if password != "" {
			pairs = append(pairs, b.User+":"+password)
		}
	}
	if !oneOf(string(raw), pairs) {
		return denied(challenge, "User or password is not this source's.", errors.New("the user or the password is wrong"))
	}
	return nil
}

// Header is a header whose whole value is the secret, such as Authorization: Bearer TOKEN or X-Api-Key: TOKEN.
type Header struct {
	Name   string
	Values []string
}

// Authentic implements Auth. The challenge of a header of one's own is its name: no scheme is registered for that.
func (h Header) Authentic(d Delivery, _ time.Time) error {
	challenge := "Header name=" + strconv.Quote(textproto.CanonicalMIMEHeaderKey(h.Name))
	if strings.EqualFold(h.Name, "Authorization") {
		challenge = `Bearer realm="tiergate"` // RFC 6750 section 3
	}
	given, err := once(d.Header, h.Name)
	if err != nil {
		return denied(challenge, fmt.Sprintf("Send the header %s once, with this source's secret.", h.Name), err)
	}
	if !oneOf(given, h.Values) {
		return denied(challenge, fmt.Sprintf("The header %s does not hold this source's secret.", h.Name),
			fmt.Errorf("the header %s holds another value", h.Name))
	}
	return nil
}

// SecretParameter is the query parameter in which URLSecret looks.
const SecretParameter = "secret"

// URLSecret is a secret in the URL, for vendors that can send nothing but a URL: POST /v1/sources/NAME/SECRET or
// /v1/sources/NAME?secret=SECRET. Proxies on the way log URLs, so what comes by it is at best a reason to ask the vendor.
type URLSecret struct {
	Values []string // at least MinURLSecret characters each
}

// MinURLSecret is the least length of a secret in a URL: 128 bits in hex have 32 characters, in base64 22.
const MinURLSecret = 22

// Authentic implements Auth.
func (u URLSecret) Authentic(d Delivery, _ time.Time) error {
	const challenge = `URL realm="tiergate"`
	given := d.Query[SecretParameter]
	if d.Segment != "" {
		given = append([]string{d.Segment}, given...)
	}
	if len(given) != 1 {
		return denied(challenge, "Send to the URL that ends in this source's secret: /v1/sources/NAME/SECRET.",
			fmt.Errorf("the URL has %d secrets, not one", len(given)))
	}
	var long []string
	for _, value := range u.Values {
		if len(value) >= MinURLSecret {
			long = append(long, value)
		}
	}
	if !oneOf(given[0], long) {
		return denied(challenge, "The secret in the URL is not this source's.", errors.New("the secret in the URL is wrong"))
	}
	return nil
}

// Any is authentic if one of them finds it so: while a sender moves from one way to another.
type Any []Auth

// Authentic implements Auth. The refusal is the last one's.
func (a Any) Authentic(d Delivery, at time.Time) error {
	err := denied("None", "This source lets nobody in: its settings name no secret.", nil)
	for _, auth := range a {
		if err = auth.Authentic(d, at); err == nil {
			return nil
		}
	}
	return err
}

// once returns a header that must stand there exactly once: of two, a proxy before us may have judged the other.
func once(header http.Header, name string) (string, error) {
	values := header.Values(name)
	if len(values) != 1 || values[0] == "" {
		return "", fmt.Errorf("the header %s is there %d times, not once", name, len(values))
	}
	return values[0], nil
}

// oneOf compares with every secret, by their hashes, which have one length.
func oneOf(given string, secrets []string) bool {
	sum := sha256.Sum256([]byte(given))
	found := 0
	for _, secret := range secrets {
		want := sha256.Sum256([]byte(secret))
		if secret != "" {
			found |= subtle.ConstantTimeCompare(sum[:], want[:])
		}
	}
	return found == 1
}

func denied(challenge, detail string, reason error) error {
	return &Refusal{Status: http.StatusUnauthorized, Detail: detail, Challenge: challenge, Reason: reason}
}

// DigestID is the id of a delivery whose vendor gives none: "sha256-" and 64 hex digits of source and body. within, if
// not 0, is how long the same bytes are the same delivery (an even division of time): a vendor that says "device 17
// changed" in the same bytes each time means something new tomorrow.
func DigestID(d Delivery, within time.Duration) string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%d:%s", len(d.Source), d.Source)
	if within > 0 {
		fmt.Fprintf(hash, "@%d", d.Received.UnixNano()/int64(within))
	}
	hash.Write([]byte{'\n'})
	hash.Write(d.Body)
	return "sha256-" + hex.EncodeToString(hash.Sum(nil))
}
