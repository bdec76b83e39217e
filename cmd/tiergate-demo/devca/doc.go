// Package devca is a small real certificate authority and token issuer for the demo and the tests: ECDSA P-256 keys,
// X.509-SVIDs, device certificates, server certificates and signed access tokens, as a company's own CA and identity
// provider would make them.
//
// Keys live in memory and in files that only the owner can read. It is never part of the product binary.
package devca
