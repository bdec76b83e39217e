package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals/source"
)

// keepTimeout bounds the time in which a delivery must be durable; after that the sender is asked to come again.
const keepTimeout = 5 * time.Second

// Handler serves POST /v1/sources/{name}, and POST /v1/ssf/{name} for SETs, whose errors are others (sets.go). 202 with an
// empty body means that the delivery is durable; every other answer is application/problem+json (RFC 9457). The server around
// it sets the time limits of reading.
func (r *Receiver) Handler() http.Handler {
	mux := http.NewServeMux()
	deliver := func(w http.ResponseWriter, req *http.Request) {
		name := req.PathValue("name")
		from, found := r.sources[name]
		switch {
		case found && req.PathValue("segment") != "" && !from.URLSecret:
			r.refuse(w, "", problemNoPath, errors.New("no such path"))
		case !found || from.SETs:
			r.refuse(w, "", problemNoSource, fmt.Errorf("no source is named %.80q", name))
		case r.greeted(w, req, from):
		case req.Method != http.MethodPost:
			w.Header().Set("Allow", http.MethodPost)
			r.refuse(w, name, problemMethod, fmt.Errorf("the method is %.20q", req.Method))
		default:
			r.take(w, req, from)
		}
	}
	mux.HandleFunc("/v1/sources/{name}", deliver)
	mux.HandleFunc("/v1/sources/{name}/{segment}", deliver) // the secret of a sender that can put it nowhere else
	mux.HandleFunc("/v1/ssf/{name}", r.takeSET)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		r.refuse(w, "", problemNoPath, errors.New("no such path"))
	})
	return mux
}

// refuse answers with a problem.
func (r *Receiver) refuse(w http.ResponseWriter, from string, p problem, reason error) {
	r.events.Refused(from, p.Status, reason.Error())
	p.write(w)
}

// take reads, verifies and keeps one delivery.
func (r *Receiver) take(w http.ResponseWriter, req *http.Request, from Source) {
	body, fault, err := r.read(w, req)
	if err != nil {
		r.refuse(w, from.Name, fault, err)
		return
	}
	// Round(0) drops the monotonic reading and UTC the zone, so that what is stored is what is compared.
	d := source.Delivery{Source: from.Name, Header: req.Header, Query: req.URL.Query(), Segment: req.PathValue("segment"),
		Body: body, Received: r.now().Round(0).UTC()}
	if r.responded(w, from, d) {
		return
	}
	if d.ID, d.Body, err = authentic(from.Adapter, d); err != nil {
		r.refuseDelivery(w, from.Name, err)
		return
	}
	if !source.ValidID(d.ID) {
		r.refuse(w, from.Name, problemBroken, errors.New("the adapter named the delivery by what is no id"))
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), keepTimeout)
	defer cancel()
	if wait, ok := r.room.mayCome(from.Name, d.Received); !ok {
		r.tooMuch(w, from.Name, problemRate, wait)
		return
	}
	found, wait, err := r.keep(ctx, d)
	switch {
	case err != nil:
		r.signalTrouble() // only the answer may have been lost: look soon
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		r.refuse(w, from.Name, problemStore, fmt.Errorf("delivery %s was not kept: %w", d.ID, err))
		return
	case found == arrivalOther:
		r.refuse(w, from.Name, problemIDReused, fmt.Errorf("the id %s was used before, for other bytes", d.ID))
		return
	case found == arrivalFull:
		r.tooMuch(w, from.Name, problemInboxFull, retryAfter*time.Second)
		return
	case found == arrivalTooMany:
		r.tooMuch(w, from.Name, problemTooMany, wait)
		return
	case found == arrivalRepeated:
		r.events.Repeated(from.Name, d.ID)
	default:
		r.events.Accepted(from.Name, d.ID)
	}
	w.WriteHeader(http.StatusAccepted)
}

// authentic returns a delivery's id and what of its body is kept, which holds no credential.
func authentic(adapter source.Adapter, d source.Delivery) (id string, kept []byte, err error) {
	if id, err = adapter.Authenticate(d, d.Received); err != nil {
		return "", nil, err
	}
	if redactor, ok := adapter.(source.Redactor); ok {
		kept, err = redactor.Redact(d.Body)
		return id, kept, err
	}
	return id, d.Body, nil
}

// tooMuch answers 429 to a source, and to it alone.
func (r *Receiver) tooMuch(w http.ResponseWriter, from string, p problem, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(max(1, math.Ceil(wait.Seconds())))))
	r.refuse(w, from, p, errors.New(p.Title))
}

// read reads the body, never more of it than allowed. err says why not, and the problem what the sender is told.
func (r *Receiver) read(w http.ResponseWriter, req *http.Request) ([]byte, problem, error) {
	for _, codings := range req.Header.Values("Content-Encoding") {
		if codings = strings.TrimSpace(codings); codings != "" && !strings.EqualFold(codings, "identity") {
			w.Header().Set("Accept-Encoding", "identity") // RFC 9110 section 15.5.16
			hangUp(w)
			return nil, problemCoding, fmt.Errorf("the body is coded as %.40q", codings)
		}
	}
	if req.ContentLength > int64(r.maxBody) {
		hangUp(w)
		return nil, problemTooLarge, fmt.Errorf("the body has %d bytes; the limit is %d", req.ContentLength, r.maxBody)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, int64(r.maxBody)))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		hangUp(w)
		return nil, problemTooLarge, fmt.Errorf("the body has more than %d bytes", r.maxBody)
	}
	if err != nil {
		hangUp(w)
		return nil, problemBroken, fmt.Errorf("the body cannot be read: %w", err)
	}
	return body, problem{}, nil
}

// hangUp ends the connection after the answer. Without the deadline net/http would wait for up to 256 KiB of the rest.
func hangUp(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // a writer without deadlines is no connection
}

// refuseDelivery tells the sender what the adapter wants it to know, and the operator the rest.
func (r *Receiver) refuseDelivery(w http.ResponseWriter, from string, err error) {
	p := problem{"not-authentic", "Not authentic", http.StatusUnauthorized, "The delivery could not be verified."}
	challenge := "Signature"
	if refusal, ok := errors.AsType[*source.Refusal](err); ok {
		if refusal.Status == http.StatusAccepted {
			r.events.Refused(from, refusal.Status, err.Error())
			w.WriteHeader(http.StatusAccepted)
			return
		}
		switch refusal.Status {
		case http.StatusBadRequest:
			p = problem{"unreadable", "Body not readable", http.StatusBadRequest, ""}
		case http.StatusServiceUnavailable:
			p = problem{"not-now", "Not verifiable now", http.StatusServiceUnavailable, ""}
			w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		}
		p.Detail = refusal.Detail
		if refusal.Challenge != "" {
			challenge = refusal.Challenge
		}
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	r.refuse(w, from, p, err)
}
