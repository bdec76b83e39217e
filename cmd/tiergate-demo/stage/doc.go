// Package stage builds the small company that the demo and the end-to-end tests play in: a directory with a CA,
// certificates, tokens, settings and the policy of examples/ingress; the real processes (Valkey, tiergate, Envoy,
// upstreams) under one supervisor; and clients that go through Envoy or report to the receiver as an MDM does.
//
// New lays out the directory and starts nothing, Start starts every process and waits until it is ready, Close ends
// them all, the last started first, and removes the directory. On Linux the kernel ends the children if this process is
// killed.
package stage
