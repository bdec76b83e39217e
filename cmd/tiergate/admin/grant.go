package admin

import (
	"net/http"
	"time"
)

// Grant gives a request longer than the 30 s of Serve to be answered, from now on.
func Grant(w http.ResponseWriter, within time.Duration) error {
	return http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within))
}
