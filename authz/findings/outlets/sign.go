package outlets

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of Standard Webhooks 1.0.0 (github.com/standard-webhooks/standard-webhooks, spec, "Webhook headers").
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp" // seconds since 1970, of this attempt
	headerSignature = "Webhook-Signature" // "v1,BASE64", one for each secret, separated by a blank
)

const secretPrefix = "whsec_"

// signer signs what is sent, with every secret while one is rotated. It is immutable.
type signer struct{ keys [][]byte }

// newSigner reads secrets: whsec_ and 24 to 64 bytes in base64. The error names a bad one by its place, never by its text.
func newSigner(secrets []string) (*signer, error) {
	s := &signer{}
	for i, secret := range secrets {
		encoded, ok := strings.CutPrefix(strings.TrimSpace(secret), secretPrefix)
		key, err := base64.StdEncoding.Strict().DecodeString(encoded)
		switch {
		case !ok:
			err = errors.New("it does not begin with whsec_")
		case err != nil:
			err = errors.New("what follows whsec_ is not base64 with its padding")
		case len(key) < 24 || len(key) > 64:
			err = fmt.Errorf("it has %d bytes and must have 24 to 64", len(key))
		}
		if err != nil {
			return nil, fmt.Errorf("secret %d of %d: %w; make one with: echo whsec_$(openssl rand -base64 32)", i+1, len(secrets), err)
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// sign sets the headers of one attempt. Without a secret there is an id and no signature.
func (s *signer) sign(h http.Header, id string, at time.Time, body []byte) {
	h.Set(headerID, id)
	if len(s.keys) == 0 {
		return
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	var list []string
	for _, key := range s.keys {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.", id, stamp)
		mac.Write(body)
		list = append(list, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	h.Set(headerTimestamp, stamp)
	h.Set(headerSignature, strings.Join(list, " "))
}
