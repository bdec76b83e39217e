// Package jwks holds the public keys with which issuers sign: it reads key sets (RFC 7517) strictly, and keeps the set
// that an issuer publishes over HTTPS at hand.
//
// A Remote fetches in the background and only there. Whoever verifies a signature looks at what was fetched last, never
// waits, and may ask for a fetch; nothing that strangers send makes one come sooner than MinInterval after the last. A
// fetch that fails leaves the keys as they are, for a bounded time; after that no key is held and nothing verifies.
package jwks
