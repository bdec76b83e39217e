// Package verify is for applications behind tiergate: it verifies the signed assertion of who calls, which every allowed
// request carries in the header x-tiergate-assertion, and hands its claims to a handler.
//
// An assertion is a JWT (RFC 7519) signed with ES256 and typed tiergate-assertion+jwt (RFC 8725, section 3.11). Whoever
// verifies one knows that tiergate admitted this caller to this upstream not longer ago than its life, a minute by default:
// a request that came past Envoy has none. It is not bound to one request: who is authorized is the caller, what is
// asked for stays for the application to judge.
package verify
