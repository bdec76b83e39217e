package ssf

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// The state of a verification says when it was asked for, and is signed, so that whichever receiver gets the answer knows it
// for ours without asking anybody.
const (
	stateBytes = 8 + 8 + sha256.Size // the instant in µs, a nonce, the HMAC
	// stateFor is how long an answer may take: verifications queue behind other events.
	stateFor = 24 * time.Hour
)

// newState makes the state of a verification that is asked for at an instant.
func (s *Stream) newState(at time.Time) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, stateBytes), uint64(at.UnixMicro()))
	var nonce [8]byte
	_, _ = rand.Read(nonce[:]) // it never fails (crypto/rand)
	b = append(b, nonce[:]...)
	return base64.RawURLEncoding.EncodeToString(append(b, s.stateMAC(b)...))
}

// readState tells when the verification of a state was asked for.
func (s *Stream) readState(state string, at time.Time) (asked time.Time, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(state)
	if err != nil || len(b) != stateBytes || !hmac.Equal(b[16:], s.stateMAC(b[:16])) {
		return time.Time{}, errors.New("the state of the verification is not one that was asked for here")
	}
	asked = time.UnixMicro(int64(binary.BigEndian.Uint64(b)))
	if at.Sub(asked) > stateFor {
		return time.Time{}, fmt.Errorf("the state of the verification is of %s, more than %s ago", asked.UTC().Format(time.RFC3339),
			stateFor)
	}
	return asked, nil
}

func (s *Stream) stateMAC(b []byte) []byte {
	mac := hmac.New(sha256.New, s.o.StateKey)
	fmt.Fprintf(mac, "tiergate ssf state %s %s ", s.o.Name, s.o.Issuer)
	mac.Write(b)
	return mac.Sum(nil)
}

// same compares two secrets without telling by time where they differ.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
