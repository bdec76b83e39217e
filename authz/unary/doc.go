// Package unary serves unary gRPC methods over HTTP/2 without grpc-go: a decision takes microseconds, and carrying one took
// grpc-go ten times as long (goroutines, channels and buffers for each request). One goroutine per connection reads frames,
// has each request answered where it stands in the read buffer, and writes the answers together. What has to wait says so
// (Call.Slow), and another goroutine goes on reading meanwhile.
//
// It is a server for one kind of client, Envoy's ext_authz filter and its health checks: unary methods over HTTP/2 with
// prior knowledge (RFC 9113, section 3.3) and the gRPC protocol of
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md. It knows no streaming methods, no compression, no push and
// no deadlines. HPACK is golang.org/x/net/http2/hpack. What reaches a method need not be one whole message: an error of gRPC
// is an allow under failure_mode_allow, so a method is asked also when there is none, and is told why (Call.Fault).
package unary
