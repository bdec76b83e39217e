// Package authz is the ext_authz service: it reads what Envoy asks, finds out who asks and in what state the device is,
// has the policy judge that, and writes the answer. Nothing else happens here.
//
// Check never fails. To Envoy a zero CheckResponse is an ALLOW, and a gRPC error is an allow under failure_mode_allow, so
// every fault, a panic of ours included, becomes a written denial. Only respond.go builds a CheckResponse.
package authz
