package ingest

import (
	"net/http"

	"github.com/tiergate/tiergate/signals/source"
)

// maxGreeting bounds a request that may be a greeting; it is read only if its source greets.
const maxGreeting = 64 << 10

// greeted reports whether the request was a sender's trial of the way, and was answered as one. Only methods other than
// POST, and a POST without a body, can be one: whatever has a body is a delivery.
func (r *Receiver) greeted(w http.ResponseWriter, req *http.Request, from Source) bool {
	greeter, ok := from.Adapter.(source.Greeter)
	if !ok || req.Method == http.MethodPost && req.ContentLength != 0 || req.ContentLength > maxGreeting {
		return false
	}
	d := source.Delivery{Source: from.Name, Header: req.Header, Query: req.URL.Query(), Segment: req.PathValue("segment"),
		Received: r.now().Round(0).UTC()}
	greeting, ok, err := greeter.Greet(req.Method, d)
	return r.answer(w, from, greeting, ok, err)
}

// responded reports whether a POST was a question of a sender, and was answered as one.
func (r *Receiver) responded(w http.ResponseWriter, from Source, d source.Delivery) bool {
	responder, ok := from.Adapter.(source.Responder)
	if !ok {
		return false
	}
	greeting, ok, err := responder.Respond(d)
	return r.answer(w, from, greeting, ok, err)
}

func (r *Receiver) answer(w http.ResponseWriter, from Source, greeting source.Greeting, ok bool, err error) bool {
	switch {
	case err != nil:
		r.refuseDelivery(w, from.Name, err)
		return true
	case !ok:
		return false
	}
	for name, values := range greeting.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	if greeting.ContentType != "" {
		w.Header().Set("Content-Type", greeting.ContentType)
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(greeting.Status)
	_, _ = w.Write(greeting.Body) // the sender hung up: it will come again
	return true
}
