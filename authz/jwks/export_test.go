package jwks

import (
	"net/http"
	"time"
)

// Within shortens the time that a fetch may take.
func (r *Remote) Within(d time.Duration) { r.within = d }

// Patient lets a handshake take as long as a busy machine needs.
func (r *Remote) Patient() { r.within, r.Transport().TLSHandshakeTimeout = time.Minute, time.Minute }

// Transport is how the keys are fetched.
func (r *Remote) Transport() *http.Transport { return r.client.Transport.(*http.Transport) }

// OnlyLoopback is asked before each connection for a URL that is not https.
func OnlyLoopback(address string) error { return onlyLoopback("tcp", address, nil) }
