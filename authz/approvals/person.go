package approvals

import (
	"fmt"
	"strings"
)

// Person is one human being as far as it could be told who. Different Persons may be one human: see MayBeSame.
type Person struct {
	Way Way `json:"way"`
	// Issuer is the name that the settings give the issuer of an OIDC token; empty otherwise.
	Issuer string `json:"issuer,omitempty"`
	// Name is the user as policies name them (settings: identity.issuers[].claims.user), the e-mail address or SPIFFE ID
	// of a certificate, or "ana (uid 1000)".
	Name string `json:"name"`
	// Email is the address that the token or certificate says besides; empty: none.
	Email string `json:"email,omitempty"`
}

// Caller is a Person as one request shows them, with what is not kept.
type Caller struct {
	Person
	// Groups are those of the token, as the issuer names them; nil for a certificate or a socket.
	Groups []string
}

// Way is how it is known who a person is.
type Way string

// The ways.
const (
	WayOIDC   Way = "oidc"   // a token of an issuer of the settings
	WayMTLS   Way = "mtls"   // a client certificate
	WaySocket Way = "socket" // a user of the receiver's machine: all of them count as one person
)

func (p Person) String() string {
	switch p.Way {
	case WayOIDC:
		return fmt.Sprintf("%s (%s)", p.Name, p.Issuer)
	case WayMTLS:
		return p.Name + " (certificate)"
	case WaySocket:
	}
	return p.Name + ", a local user"
}

// known tells whether it was proved who the person is, by a token or a certificate.
func (p Person) known() bool {
	return p.Way == WayOIDC && p.Issuer != "" && p.Name != "" || p.Way == WayMTLS && p.Name != ""
}

// MayBeSame tells whether two Persons may be one human, so that one of them cannot approve what the other asked for: all
// users of the receiver's machine are one; otherwise they are if any name or address of the one is one of the other, in
// whatever case, whichever issuer or authority says so. A local user "ana" may be whoever is ana at any domain.
func MayBeSame(a, b Person) bool {
	if a.Way == WaySocket && b.Way == WaySocket {
		return true
	}
	for _, x := range a.handles() {
		for _, y := range b.handles() {
			if strings.EqualFold(x, y) || a.Way == WaySocket && strings.EqualFold(x, localPart(y)) ||
				b.Way == WaySocket && strings.EqualFold(localPart(x), y) {
				return true
			}
		}
	}
	return false
}

// handles are the names by which a person may be known elsewhere.
func (p Person) handles() []string {
	name := strings.TrimSpace(p.Name)
	if p.Way == WaySocket {
		name, _, _ = strings.Cut(name, " ") // "ana (uid 1000)"
	}
	var all []string
	for _, handle := range []string{name, strings.TrimSpace(p.Email)} {
		if handle != "" {
			all = append(all, handle)
		}
	}
	return all
}

func localPart(address string) string {
	local, _, _ := strings.Cut(address, "@")
	return local
}
