package returnto

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
)

// MakeKey is how a file of a key is made.
const MakeKey = "openssl rand -base64 32"

// The sizes of a key: as much as the hash has, and as much as it takes in at once (RFC 2104, section 3).
const (
	minKeyBytes = 32
	maxKeyBytes = 64
)

// Key is a secret that tiergate and the login application share. The zero Key is none.
type Key struct{ secret []byte }

var errKeyText = errors.New("it is no key: write what `" + MakeKey + "` prints")

// ParseKey reads the content of a key's file: 32 to 64 random bytes in base64 (RFC 4648, section 4), on one line.
func ParseKey(content []byte) (Key, error) {
	secret, err := base64.StdEncoding.Strict().DecodeString(string(bytes.TrimSpace(content)))
	if err != nil || bytes.ContainsAny(bytes.TrimSpace(content), "\r\n") {
		return Key{}, errKeyText // what is wrong where would tell of the key
	}
	if len(secret) < minKeyBytes || len(secret) > maxKeyBytes {
		return Key{}, fmt.Errorf("the key has %d bytes; it must have %d to %d: write what `%s` prints", len(secret), minKeyBytes,
			maxKeyBytes, MakeKey)
	}
	return Key{secret}, nil
}

// String keeps the secret out of logs.
func (Key) String() string { return "a key of return tickets" }

// GoString keeps the secret out of logs.
func (k Key) GoString() string { return k.String() }
