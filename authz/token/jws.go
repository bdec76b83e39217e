package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tiergate/tiergate/authz/jwks"
)

// jws is a compact JWS, taken apart and read strictly. Nothing of it is believed yet.
type jws struct {
	raw            string
	header, claims map[string]json.RawMessage
	payload        []byte
}

// split takes a compact JWS apart and reads header and payload strictly. Only the one canonical base64url spelling is
// taken: a decoder that overlooks line ends or trailing bits would give one token many names. what it is is for the
// operator.
func split(what, raw string, limit int) (*jws, error) {
	if len(raw) > limit {
		return nil, fmt.Errorf("the %s has %d bytes; the limit is %d", what, len(raw), limit)
	}
	parts := strings.Split(raw, ".")
	switch {
	case len(parts) == 5:
		return nil, fmt.Errorf("the %s is encrypted (JWE); only signed ones are taken", what)
	case len(parts) != 3:
		return nil, fmt.Errorf("the %s is no JWT: a signed one has three parts", what)
	}
	var decoded [3][]byte
	var err error
	for i, name := range []string{"header", "payload", "signature"} {
		if decoded[i], err = decodeSegment(parts[i]); err != nil {
			return nil, fmt.Errorf("the %s's %s is not in its canonical base64url spelling", what, name)
		}
		if len(decoded[i]) == 0 {
			return nil, fmt.Errorf("the %s's %s is empty", what, name)
		}
	}
	t := &jws{raw: raw, payload: decoded[1]}
	if t.header, err = jwks.ParseObject(decoded[0]); err != nil {
		return nil, fmt.Errorf("the %s's header: %w", what, err)
	}
	if t.claims, err = jwks.ParseObject(decoded[1]); err != nil {
		return nil, fmt.Errorf("the %s's payload: %w", what, err)
	}
	return t, nil
}

func decodeSegment(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // which encoding/base64 overlooks even when strict
		return nil, errors.New("line end")
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}
