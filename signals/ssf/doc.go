// Package ssf receives Shared Signals: Security Event Tokens (SETs, RFC 8417) of the OpenID Shared Signals Framework 1.0 with
// the events of CAEP 1.0 and RISC 1.0, by push (RFC 8935) and by poll (RFC 8936), and manages their streams at the
// transmitter.
//
// A Stream is one transmitter as the receiver of deliveries knows it, a source.Adapter: it says whether a SET is authentic and
// what it says of devices, and of users and sessions (Effects). It does no I/O but for looking at keys that were fetched
// before. A Manager keeps the stream at the transmitter alive: it finds or makes it, asks for verification, and polls.
//
// What is answered to the transmitter is promised: a SET is acknowledged only once it is durable, and a SET that comes again
// is acknowledged again and applied once.
package ssf
