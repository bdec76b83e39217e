package main

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/tiergate/tiergate/signals/ingest"
)

// The sources on the receiver's admin socket: GET /v1/sources ([]ingest.SourceStatus), and POST /v1/sources/sync with a
// syncOrder, answered with the source's status before the listing. What fails is {"error": "..."}, 404 if there is no such
// source or none that can be asked.

// syncOrder has one source listed now.
type syncOrder struct {
	Source       string `json:"source"`
	AcceptShrink bool   `json:"acceptShrink,omitempty"`
}

// sourcePaths serves them.
func sourcePaths(mux *http.ServeMux, r *ingest.Receiver) {
	mux.HandleFunc("GET /v1/sources", func(w http.ResponseWriter, req *http.Request) {
		all, err := r.Sources(req.Context())
		answer(w, all, err)
	})
	mux.HandleFunc("POST /v1/sources/sync", func(w http.ResponseWriter, req *http.Request) {
		var order syncOrder
		if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, 64<<10)).Decode(&order); err != nil {
			answerError(w, http.StatusBadRequest, err)
			return
		}
		before, err := r.Sources(req.Context())
		if err == nil {
			err = r.RequestSync(req.Context(), order.Source, order.AcceptShrink)
		}
		if errors.Is(err, ingest.ErrNoSource) {
			answerError(w, http.StatusNotFound, err)
			return
		}
		var one ingest.SourceStatus
		for _, status := range before {
			if status.Name == order.Source {
				one = status
			}
		}
		answer(w, one, err)
	})
}
