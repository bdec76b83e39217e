package assertion

import (
	"fmt"
	"net/http"
	"strings"
)

// Path is where the keys are published.
const Path = "/.well-known/jwks.json"

// ServeHTTP answers with the keys as a JWK set (RFC 7517, section 5), whatever the path is.
func (k *Keys) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Keys can only be read.", http.StatusMethodNotAllowed)
		return
	}
	s := k.state.Load()
	h := w.Header()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(Freshness.Seconds())))
	h.Set("ETag", s.tag)
	h.Set("X-Content-Type-Options", "nosniff")
	for tag := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if tag = strings.TrimSpace(tag); strings.TrimPrefix(tag, "W/") == s.tag || tag == "*" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	_, _ = w.Write(s.document) // the reader went away; there is nobody to tell
}
