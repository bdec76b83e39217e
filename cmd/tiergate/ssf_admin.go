package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/tiergate/tiergate/signals/ssf"
)

// The streams of Shared Signals on the receiver's admin socket: GET /v1/ssf ([]ssf.Status), and POST /v1/ssf with a streamOrder,
// answered with the stream's status after it. What fails is {"error": "..."}, 404 if there is no such stream.

// streamOrder asks something of a stream's transmitter.
type streamOrder struct {
	Stream  string          `json:"stream"`
	Do      string          `json:"do"` // verify, delete, status, add-subject or remove-subject
	Subject json.RawMessage `json:"subject,omitempty"`
	Status  string          `json:"status,omitempty"` // of status: enabled, paused or disabled
	Reason  string          `json:"reason,omitempty"` // of status, for whoever runs the transmitter
}

// streamOrderWithin is how long the transmitter may take.
const streamOrderWithin = 30 * time.Second

// streamPaths serves them.
func streamPaths(mux *http.ServeMux, all *transmitters) {
	mux.HandleFunc("GET /v1/ssf", func(w http.ResponseWriter, _ *http.Request) { answer(w, all.statuses(), nil) })
	mux.HandleFunc("POST /v1/ssf", func(w http.ResponseWriter, req *http.Request) {
		var order streamOrder
		if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, 64<<10)).Decode(&order); err != nil {
			answerError(w, http.StatusBadRequest, err)
			return
		}
		ctx, cancel := context.WithTimeout(req.Context(), streamOrderWithin)
		defer cancel()
		status, err := all.obey(ctx, order)
		if errors.Is(err, errNoStream) {
			answerError(w, http.StatusNotFound, err)
			return
		}
		answer(w, status, err)
	})
}

func (all *transmitters) obey(ctx context.Context, order streamOrder) (ssf.Status, error) {
	manager, err := all.managed(order.Stream)
	if err != nil {
		return ssf.Status{}, err
	}
	switch order.Do {
	case "verify":
		err = manager.Verify(ctx)
	case "delete":
		err = manager.Delete(ctx)
	case "status":
		err = manager.SetStatus(ctx, order.Status, order.Reason)
	case "add-subject", "remove-subject":
		err = manager.Subject(ctx, order.Subject, order.Do == "add-subject")
	default:
		err = errors.New("nobody can do that to a stream")
	}
	return manager.Status(), err
}
