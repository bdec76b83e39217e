// Package token verifies the JWT access tokens with which users show who they are.
//
// It believes a token only if it is one compact JWS in its one canonical spelling, signed with an algorithm that its
// issuer's settings list, by a key that the issuer published, and meant for us, now (RFC 7519, RFC 8725). Which key may
// verify is never decided by what the token brings along. A token that names the certificate of its holder (RFC 8705,
// section 3) counts for that holder alone. Verification is computation: keys come as parsed
// sets, the instant as an argument.
package token
