// Package load drives a server with prepared requests and measures how it answers: ext_authz Check calls over raw
// HTTP/2, and plain requests through an Envoy.
//
// It is built to cost little, because a client that is as heavy as the server makes every server look alike: header
// block and body are encoded once, one goroutine serves a connection, and an answer is read field by field. It still
// is a correct peer (SETTINGS, PING, WINDOW_UPDATE, flow control in both directions), and it checks every answer.
//
// In a closed loop each connection holds a fixed number of calls in flight. In an open loop calls begin at a fixed
// rate, whether or not earlier ones were answered, and the time of a call counts from the instant at which it was
// due: a server that stalls cannot hide the calls that should have been made meanwhile.
package load
