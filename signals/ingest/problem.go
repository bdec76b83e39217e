package ingest

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// problem is an error as RFC 9457 wants it. Nothing of the request stands in it.
type problem struct {
	Type   string `json:"type"` // a tag URI (RFC 4151): a stable name, not an address
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

const problemType = "tag:tiergate.dev,2026:problem:"

// The problems that a sender can meet; the detail says what to do.
var (
	problemNoPath   = problem{"no-such-path", "No such path", http.StatusNotFound, "Send to POST /v1/sources/{name}."}
	problemNoSource = problem{"no-such-source", "No such source", http.StatusNotFound,
		"The settings name no source like this. Check the last segment of the URL."}
	problemMethod = problem{"method", "Method not allowed", http.StatusMethodNotAllowed, "Send deliveries with POST."}
	problemCoding = problem{"content-encoding", "Content coding not supported", http.StatusUnsupportedMediaType,
		"Send the body as it was signed, without Content-Encoding."}
	problemTooLarge = problem{"too-large", "Body too large", http.StatusRequestEntityTooLarge,
		"The body is longer than this receiver takes. Send one device per delivery, or raise ingest.maxBodyBytes."}
	problemBroken = problem{"broken-body", "Body not readable", http.StatusBadRequest,
		"The body ended early or its framing is broken. Send it again."}
	problemIDReused = problem{"id-reused", "Delivery id used twice", http.StatusConflict,
		"This id was used for other bytes. Give each delivery an id of its own."}
	problemRate = problem{"rate", "Too many deliveries per second", http.StatusTooManyRequests,
		"This source sends faster than ingest.rate allows. Send it again later."}
	problemInboxFull = problem{"inbox-full", "Too many deliveries are waiting", http.StatusTooManyRequests,
		"So many deliveries of this source wait to be applied that no more are taken. Send it again later."}
	problemTooMany = problem{"too-many-ids", "Too many deliveries in four days", http.StatusTooManyRequests,
		"This source has sent as many deliveries in four days as can be remembered. Send it again later."}
	problemStore = problem{"store", "Not kept", http.StatusServiceUnavailable,
		"The delivery could not be made durable. Send it again later."}
)

// retryAfter is what a sender is asked to wait when the store cannot be written, in seconds.
const retryAfter = 5

func (p problem) write(w http.ResponseWriter) {
	p.Type = problemType + p.Type
	body, err := json.Marshal(p)
	if err != nil {
		body = nil // not possible: four plain fields
	}
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the sender is gone if this fails, and nothing was promised to it
}
