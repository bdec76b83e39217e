package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
)

// Thumbprint is the SHA-256 of a certificate's DER, the x5t#S256 of RFC 8705, section 3.1. The zero Thumbprint is no
// certificate, and nothing may be bound to it.
type Thumbprint [sha256.Size]byte

func thumbprintOf(certificate *x509.Certificate) Thumbprint { return sha256.Sum256(certificate.Raw) }

// String writes it as MDM systems report a certificate: 64 lower-case hex digits. A thumbprint is no secret.
func (t Thumbprint) String() string { return hex.EncodeToString(t[:]) }
