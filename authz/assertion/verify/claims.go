package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/jwks"
)

const (
	// Header carries the assertion. Envoy removes it from what clients send.
	Header = "x-tiergate-assertion"
	// Type is the typ of an assertion's header; no other token has it, so none can be taken for one.
	Type = "tiergate-assertion+jwt"
	// MaxBytes bounds an assertion: header, claims and signature.
	MaxBytes = 8 << 10
	// maxKeyID bounds a kid; those of tiergate are SHA-256 thumbprints of 43 bytes (RFC 7638).
	maxKeyID = 128
)

// Claims is what an assertion says. Times are seconds since 1970.
type Claims struct {
	Issuer    string `json:"iss"` // of the settings of tiergate: assertion.issuer
	Subject   string `json:"sub"` // issuer/name of a user, the SPIFFE ID of a workload, or a device
	Audience  string `json:"aud"` // metadata.name of the policy's Upstream
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	Tiergate  Caller `json:"tiergate"`
}

// Caller is who calls, and by which rules it was admitted.
type Caller struct {
	User     *User  `json:"user,omitempty"`     // nil: nobody logged in
	Workload string `json:"workload,omitempty"` // a SPIFFE ID
	Device   string `json:"device,omitempty"`   // tiergate's id of the device, as in x-tiergate-device
	Tier     string `json:"tier"`
	Route    string `json:"route"`
	ACR      string `json:"acr,omitempty"` // how strong the login was, in the words of the user's issuer
}

// User is a person as an issuer of tokens named them. Name and Subject mean nothing without Issuer.
type User struct {
	Issuer  string `json:"issuer"` // the issuer's name in tiergate's settings
	Name    string `json:"name"`   // the claim that the settings map
	Subject string `json:"sub"`    // the token's own sub
}

// refused are members of a header (RFC 7515, RFC 7797) that would change how it is verified, or bring a key along.
var refused = []string{"crit", "b64", "jwk", "jku", "x5u", "x5c", "enc", "zip"}

// checkHeader returns the kid.
func checkHeader(raw []byte) (string, error) {
	members, err := jwks.ParseObject(raw)
	if err != nil {
		return "", fmt.Errorf("its header cannot be read: %w", err)
	}
	var said [3]string
	for i, name := range []string{"alg", "typ", "kid"} {
		if err := json.Unmarshal(members[name], &said[i]); err != nil {
			return "", fmt.Errorf("its header has no text %q", name)
		}
	}
	switch alg, typ, kid := said[0], said[1], said[2]; {
	case alg != "ES256":
		return "", fmt.Errorf("it is signed with %.20q; only ES256 counts", alg)
	case !strings.EqualFold(typ, Type): // RFC 7515, section 4.1.9: media types have no case
		return "", fmt.Errorf("its type is %.60q; only %s counts", typ, Type)
	case kid == "" || len(kid) > maxKeyID:
		return "", fmt.Errorf("its kid has %d bytes; 1 to %d are expected", len(kid), maxKeyID)
	}
	for name := range members {
		if slices.Contains(refused, name) {
			return "", fmt.Errorf("its header has %q, which is not taken", name)
		}
	}
	return said[2], nil
}

// readClaims reads the claims; that all are there, and what they say, is judged by check. A name in another spelling is
// refused, which encoding/json would take.
func readClaims(raw []byte) (c Claims, err error) {
	members, err := jwks.ParseObject(raw)
	if err != nil {
		return c, fmt.Errorf("its claims cannot be read: %w", err)
	}
	for _, name := range []string{"iss", "sub", "aud", "iat", "nbf", "exp", "tiergate"} {
		if value, there := members[name]; !there || string(value) == "null" {
			return c, fmt.Errorf("it has no claim %q", name)
		}
		for other := range members {
			if other != name && strings.EqualFold(other, name) {
				return c, fmt.Errorf("it has %.20q beside the claim %q", other, name)
			}
		}
	}
	if _, err := jwks.ParseObject(members["tiergate"]); err != nil {
		return c, fmt.Errorf("its claim tiergate cannot be read: %w", err)
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return Claims{}, errors.New("a claim is not of its type: iss, sub and aud are texts, iat, nbf and exp whole seconds")
	}
	return c, nil
}
