package ssf

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/jwks"
	"github.com/tiergate/tiergate/signals/source"
)

// The limits of a SET.
const (
	maxSET      = 64 << 10
	maxID       = 256 // bytes of a jti or a kid
	maxTries    = 16  // keys that a SET without kid is tried with
	maxAhead    = 5 * time.Minute
	maxAudience = 32
)

// set is a Security Event Token, read and not yet believed. RFC 8417 section 2, with what SSF 1.0 section 4 demands: one event,
// no sub and no exp.
type set struct {
	compact string
	payload []byte

	algorithm jose.SignatureAlgorithm
	keyID     *string

	issuer    string
	audiences []string
	id        string // jti
	issued    time.Time
	occurred  time.Time // toe; zero: not said
	uri       string    // of the event
	event     map[string]json.RawMessage
	rawEvent  json.RawMessage
	subject   json.RawMessage // sub_id; nil: none
}

// refusedHeaders (RFC 7515, RFC 7797) would change how a SET is verified or bring a key along.
var refusedHeaders = []string{"crit", "b64", "jwk", "jku", "x5u", "enc", "zip"}

// readSET takes a compact JWS apart. Errors are *Fault.
func readSET(raw []byte) (*set, error) {
	if len(raw) > maxSET {
		return nil, fault(InvalidRequest, "the SET has %d bytes; the limit is %d", len(raw), maxSET)
	}
	s := &set{compact: string(raw)}
	parts := strings.Split(s.compact, ".")
	if len(parts) == 5 {
		return nil, fault(InvalidRequest, "the SET is encrypted (JWE); only signed ones are taken")
	}
	if len(parts) != 3 {
		return nil, fault(InvalidRequest, "the body is no SET: a signed one has three parts")
	}
	var decoded [2][]byte
	for i, name := range []string{"header", "payload"} {
		var err error
		if decoded[i], err = segment(parts[i]); err != nil {
			return nil, fault(InvalidRequest, "the SET's %s is not in its canonical base64url spelling", name)
		}
	}
	s.payload = decoded[1]
	if err := s.readHeader(decoded[0], parts[2]); err != nil {
		return nil, err
	}
	if _, err := segment(parts[2]); err != nil {
		return nil, fault(InvalidRequest, "the SET's signature is not in its canonical base64url spelling")
	}
	return s, s.readClaims()
}

func segment(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // which encoding/base64 overlooks even when strict
		return nil, errors.New("line end")
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

// members reads one JSON object that has one reading.
func members(raw []byte) (map[string]json.RawMessage, error) {
	if err := source.CheckJSON(raw); err != nil {
		return nil, err
	}
	if trimmed := bytes.TrimLeft(raw, " \t\r\n"); trimmed[0] != '{' {
		return nil, errors.New("it is no JSON object")
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, err
	}
	return m, nil
}

// text reads a member that is a text; there is false where it is absent.
func text(m map[string]json.RawMessage, name string) (value string, there bool, err error) {
	raw, there := m[name]
	if !there {
		return "", false, nil
	}
	var pointer *string
	if err := json.Unmarshal(raw, &pointer); err != nil || pointer == nil {
		return "", true, fmt.Errorf("%s is no text", name)
	}
	return *pointer, true, nil
}

func (s *set) readHeader(raw []byte, signature string) error {
	header, err := members(raw)
	if err != nil {
		return fault(InvalidRequest, "the SET's header: %w", err)
	}
	for name := range header {
		lower := strings.ToLower(name)
		if slices.Contains(refusedHeaders, lower) {
			return fault(InvalidRequest, "the SET's header has %.40q, which is not taken", name)
		}
		if lower != name && slices.Contains([]string{"alg", "kid", "typ"}, lower) {
			return fault(InvalidRequest, "the SET's header has %.40q, which some would take for %s", name, lower)
		}
	}
	typ, _, err := text(header, "typ")
	if err != nil || strings.TrimPrefix(strings.ToLower(typ), "application/") != "secevent+jwt" {
		return fault(InvalidRequest, "the SET's typ is %.40q, and must be secevent+jwt", typ)
	}
	algorithm, _, err := text(header, "alg")
	if err != nil {
		return fault(InvalidRequest, "the SET's %w", err)
	}
	if strings.EqualFold(algorithm, "none") || signature == "" {
		return fault(AuthenticationFailed, "the SET is not signed (alg %.20q)", algorithm)
	}
	s.algorithm = jose.SignatureAlgorithm(algorithm)
	keyID, there, err := text(header, "kid")
	switch {
	case err != nil:
		return fault(InvalidRequest, "the SET's %w", err)
	case there && (keyID == "" || len(keyID) > maxID):
		return fault(InvalidKey, "the SET's kid is empty or longer than %d bytes", maxID)
	case there:
		s.keyID = &keyID
	}
	return nil
}

func (s *set) readClaims() error {
	claims, err := members(s.payload)
	if err != nil {
		return fault(InvalidRequest, "the SET's payload: %w", err)
	}
	for _, name := range []string{"sub", "exp"} {
		if _, there := claims[name]; there {
			return fault(InvalidRequest, "the SET has %q, which SSF 1.0 forbids: it could be taken for another token", name)
		}
	}
	var there bool
	if s.issuer, there, err = text(claims, "iss"); err != nil || !there {
		return fault(InvalidRequest, "the SET names no issuer (iss)")
	}
	if s.audiences, err = oneOrMore(claims["aud"]); err != nil {
		return fault(InvalidRequest, "the SET's aud: %w", err)
	}
	if s.id, there, err = text(claims, "jti"); err != nil || !there || s.id == "" || len(s.id) > maxID || control(s.id) {
		return fault(InvalidRequest, "the SET has no jti of 1 to %d bytes", maxID)
	}
	if s.issued, err = seconds(claims["iat"]); err != nil || s.issued.IsZero() {
		return fault(InvalidRequest, "the SET's iat is no time: %.60s", claims["iat"])
	}
	if raw, there := claims["toe"]; there {
		if s.occurred, err = seconds(raw); err != nil {
			return fault(InvalidRequest, "the SET's toe is no time: %.60s", raw)
		}
	}
	s.subject = claims["sub_id"]
	return s.readEvents(claims["events"])
}

// seconds reads a NumericDate (RFC 7519 section 2): a number, not a text.
func seconds(raw json.RawMessage) (time.Time, error) {
	if len(raw) == 0 || raw[0] == '"' {
		return time.Time{}, errors.New("it is no number")
	}
	return source.Instant(raw)
}

func oneOrMore(raw json.RawMessage) ([]string, error) {
	if len(raw) == 0 {
		return nil, errors.New("it is missing")
	}
	var one string
	if json.Unmarshal(raw, &one) == nil && raw[0] == '"' {
		return []string{one}, nil
	}
	var several []string
	if err := json.Unmarshal(raw, &several); err != nil || len(several) == 0 || len(several) > maxAudience {
		return nil, fmt.Errorf("it is no text and no array of 1 to %d texts", maxAudience)
	}
	return several, nil
}

func (s *set) readEvents(raw json.RawMessage) error {
	var events map[string]json.RawMessage
	if err := json.Unmarshal(raw, &events); err != nil || len(events) != 1 {
		return fault(InvalidRequest, "the SET has %d events, and must have one", len(events))
	}
	for uri, event := range events {
		s.uri, s.rawEvent = uri, event
	}
	if err := json.Unmarshal(s.rawEvent, &s.event); err != nil || s.event == nil {
		return fault(InvalidRequest, "the event %.80q is no JSON object", s.uri)
	}
	return nil
}

// Keys is where a transmitter's keys come from; *jwks.Remote is one. Neither method waits.
type Keys interface {
	Keys(at time.Time) (*jose.JSONWebKeySet, error)
	Ask()
}

// verify believes the signature or says why not: a *Fault, or an error that wraps ErrNoKeys.
func (s *set) verify(keys Keys, algorithms []string, at time.Time) error {
	if !slices.Contains(algorithms, string(s.algorithm)) {
		return fault(InvalidKey, "the SET is signed with %.20q; the stream takes %s", s.algorithm, strings.Join(algorithms, ", "))
	}
	held, err := keys.Keys(at)
	if err != nil {
		keys.Ask()
		return fmt.Errorf("%w: %w", ErrNoKeys, err)
	}
	parsed, err := jose.ParseSignedCompact(s.compact, []jose.SignatureAlgorithm{s.algorithm})
	if err != nil {
		return fault(InvalidRequest, "the SET is no JWS that can be verified")
	}
	tried := 0
	for _, key := range held.Keys {
		if s.keyID != nil && key.KeyID != *s.keyID || !jwks.Fits(key, s.algorithm) || jwks.CheckKey(key) != nil {
			continue
		}
		if tried++; tried > maxTries {
			break
		}
		if signed, err := parsed.Verify(key.Key); err == nil && bytes.Equal(signed, s.payload) {
			return nil
		}
	}
	if tried == 0 || s.keyID == nil {
		keys.Ask() // a wrong signature of a key that is known is no reason to
	}
	if tried == 0 {
		return fault(InvalidKey, "the issuer has no key for %s with the SET's kid", s.algorithm)
	}
	return fault(InvalidKey, "the SET's signature does not verify with any key of its issuer that fits")
}
