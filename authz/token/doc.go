// Package token verifies the tokens with which users and workloads show who they are: JWT access tokens of issuers and
// JWT-SVIDs of trust domains.
//
// It believes a token only if it is one compact JWS in its one canonical spelling, signed with an algorithm that its
// issuer's settings list, by a key that the issuer published, and meant for us, now (RFC 7519, RFC 8725). Which key may
// verify is never decided by what the token brings along. Where the settings say so, the signature is Envoy's to verify,
// and its word on the very same claims stands in that place.
//
// A token that names the certificate (RFC 8705, section 3) or the key (DPoP, RFC 9449) of its holder counts for that
// holder alone. A proof of the key is judged on every request; that it is not used twice is left to whoever has a
// memory (Proof.Once). Verification is computation: keys come as parsed sets, the instant as an argument.
package token
