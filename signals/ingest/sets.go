package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/ssf"
)

// The door for Security Event Tokens: POST /v1/ssf/{name} (RFC 8935), and KeepSET for those that were polled. They go through
// the same inbox as every delivery. What differs is what the transmitter is told: errors are RFC 8935's, and a SET that
// was seen before is acknowledged again whatever its bytes are, because its id is that of what it says.

// laterError is a SET that was not kept, and may be sent again.
type laterError struct {
	status int
	wait   time.Duration
	reason error
}

func (e laterError) Error() string { return e.reason.Error() }

func (e laterError) Unwrap() error { return e.reason }

// KeepSET makes a polled SET durable, as the push door does with a pushed one. nil: it is, or was before. A *ssf.Fault is what
// to tell the transmitter (setErrs); after any other error it is neither acknowledged nor refused, and comes again.
func (r *Receiver) KeepSET(ctx context.Context, name string, raw []byte) error {
	from, found := r.sources[name]
	if !found || !from.SETs {
		return fmt.Errorf("no stream is named %.80q", name)
	}
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	if len(raw) > r.maxBody {
		return &ssf.Fault{Code: ssf.InvalidRequest, Reason: fmt.Errorf("the SET has %d bytes; the limit is %d", len(raw), r.maxBody)}
	}
	err := r.keepSET(ctx, from, source.Delivery{Source: name, Header: http.Header{"Content-Type": {ssf.ContentType}},
		Segment: ssf.Polled, Body: raw, Received: r.now().Round(0).UTC()})
	if fault, ok := errors.AsType[*ssf.Fault](err); ok {
		r.events.Refused(name, http.StatusBadRequest, fault.Error())
		return fault
	}
	return err
}

// keepSET returns nil once the SET is durable; else an error that has a *ssf.Fault, or a laterError.
func (r *Receiver) keepSET(ctx context.Context, from Source, d source.Delivery) (err error) {
	if d.ID, err = from.Adapter.Authenticate(d, d.Received); err != nil {
		if _, fault := errors.AsType[*ssf.Fault](err); fault {
			return err
		}
		return laterError{http.StatusServiceUnavailable, retryAfter * time.Second, err}
	}
	if wait, ok := r.room.mayCome(from.Name, d.Received); !ok {
		return laterError{http.StatusTooManyRequests, wait, errors.New(problemRate.Title)}
	}
	found, wait, err := r.keep(ctx, d)
	switch {
	case err != nil:
		r.signalTrouble() // only the answer may have been lost: look soon
		return laterError{http.StatusServiceUnavailable, retryAfter * time.Second,
			fmt.Errorf("SET %s was not kept: %w", d.ID, err)}
	case found == arrivalFull:
		return laterError{http.StatusTooManyRequests, retryAfter * time.Second, errors.New(problemInboxFull.Title)}
	case found == arrivalTooMany:
		return laterError{http.StatusTooManyRequests, wait, errors.New(problemTooMany.Title)}
	case found == arrivalNew:
		r.events.Accepted(from.Name, d.ID)
	default: // also arrivalOther: the same event, signed anew
		r.events.Repeated(from.Name, d.ID)
	}
	return nil
}

// takeSET is the door: 202 without a body once the SET is durable.
func (r *Receiver) takeSET(w http.ResponseWriter, req *http.Request) {
	name := req.PathValue("name")
	from, found := r.sources[name]
	switch {
	case !found || !from.SETs:
		r.refuseSET(w, "", http.StatusNotFound, &ssf.Fault{Code: ssf.InvalidRequest, Reason: fmt.Errorf("no stream is named %.80q", name)})
		return
	case req.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		r.refuseSET(w, name, http.StatusMethodNotAllowed,
			&ssf.Fault{Code: ssf.InvalidRequest, Reason: fmt.Errorf("the method is %.20q", req.Method)})
		return
	}
	body, fault, err := r.read(w, req)
	if err != nil {
		r.refuseSET(w, name, fault.Status, &ssf.Fault{Code: ssf.InvalidRequest, Reason: err})
		return
	}
	// Round(0) drops the monotonic reading and UTC the zone, so that what is stored is what is compared.
	d := source.Delivery{Source: name, Header: req.Header, Query: req.URL.Query(), Body: body, Received: r.now().Round(0).UTC()}
	ctx, cancel := context.WithTimeout(req.Context(), keepTimeout)
	defer cancel()
	err = r.keepSET(ctx, from, d)
	if fault, ok := errors.AsType[*ssf.Fault](err); ok {
		r.refuseSET(w, name, http.StatusBadRequest, fault)
		return
	}
	if later, ok := errors.AsType[laterError](err); ok {
		w.Header().Set("Retry-After", strconv.Itoa(int(max(1, math.Ceil(later.wait.Seconds())))))
		r.events.Refused(name, later.status, later.Error())
		w.WriteHeader(later.status)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// refuseSET answers as RFC 8935 section 2.3 wants it.
func (r *Receiver) refuseSET(w http.ResponseWriter, name string, status int, fault *ssf.Fault) {
	r.events.Refused(name, status, fault.Error())
	body, err := json.Marshal(map[string]string{"err": string(fault.Code), "description": fault.Description()})
	if err != nil {
		body = nil // not possible: two texts of ours
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Language", "en-US")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the transmitter is gone if this fails, and nothing was promised to it
}
