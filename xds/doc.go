// Package xds programs Envoy from the policy, so that what is enforced and what is written are one thing.
//
// Build turns routes, audiences, upstreams and settings into a Snapshot: one listener, one route configuration and
// clusters of its own for each address, and the secrets that they name. It is pure; equal input gives equal bytes, so
// a change reaches Envoy as exactly the resources that differ, and a listener never drains because of a route.
//
// Server delivers a Snapshot over ADS, incremental (delta) or state of the world, to every Envoy that connects, as far as
// it fits: what an Envoy refuses goes back to the last good version there. It tells what each of them holds. Resources
// hold private keys: serve it on a Unix socket that only Envoy's user may open, or over mTLS, never over plaintext TCP.
//
// Words and limits follow Envoy 1.40, https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/api.
package xds
