// Package oidc runs and uses a real OpenID provider, npm oidc-provider (e2e/tools/oidc/provider.mjs), for the demo and the
// end-to-end tests: its configuration, a client that logs people in over the code flow with PKCE and no browser, and the
// DPoP proofs that such a client sends.
//
// It is never part of the product binary.
package oidc
