package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz/findings/outlets"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
)

// The outlets on the receiver's admin socket: GET /v1/outlets, GET /v1/outlets/{name} with the dead letters, and POST
// /v1/outlets/{name}/retry, /drop and /test with an outletOrder. Writing says who did it in the log. What fails is
// {"error": "..."}, 404 if there is no such outlet or letter.

// outletOrder is what to retry or drop: one dead letter, or all; Waiting: what still waits too.
type outletOrder struct {
	ID      string `json:"id,omitempty"`
	Waiting bool   `json:"waiting,omitempty"`
}

// outletDone is how many there were.
type outletDone struct {
	Done int `json:"done"`
}

// outletShown is an outlet with its dead letters, the oldest first; More: there are others.
type outletShown struct {
	outlets.Status
	Letters []outlets.Letter `json:"letters"`
	More    bool             `json:"more,omitempty"`
}

// outletTested is what came of a test.
type outletTested struct {
	Taken bool          `json:"taken"`
	Took  time.Duration `json:"tookNanoseconds"`
	Error string        `json:"error,omitempty"`
}

// maxLettersShown bounds one answer.
const maxLettersShown = 1000

func outletPaths(mux *http.ServeMux, q *outlets.Queue, o *observer) {
	mux.HandleFunc("GET /v1/outlets", func(w http.ResponseWriter, req *http.Request) {
		all, err := q.Statuses(req.Context())
		outletAnswer(w, all, err)
	})
	mux.HandleFunc("GET /v1/outlets/{name}", func(w http.ResponseWriter, req *http.Request) {
		shown, err := showOutlet(req.Context(), q, req.PathValue("name"))
		outletAnswer(w, shown, err)
	})
	order := func(path string, do func(ctx context.Context, name string, o outletOrder) (any, error)) {
		mux.HandleFunc("POST /v1/outlets/{name}/"+path, func(w http.ResponseWriter, req *http.Request) {
			var order outletOrder
			if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, 4<<10)).Decode(&order); err != nil {
				admin.Refuse(w, http.StatusBadRequest, err.Error())
				return
			}
			by, _ := admin.Peer(req.Context())
			o.log.Info("somebody acts on an outlet", zap.String("outlet", req.PathValue("name")), zap.String("order", path),
				zap.String("id", order.ID), zap.String("by", by))
			done, err := do(req.Context(), req.PathValue("name"), order)
			outletAnswer(w, done, err)
		})
	}
	order("retry", func(ctx context.Context, name string, o outletOrder) (any, error) {
		done, err := q.Retry(ctx, name, o.ID)
		return outletDone{done}, err
	})
	order("drop", func(ctx context.Context, name string, o outletOrder) (any, error) {
		done, err := q.Drop(ctx, name, o.ID, o.Waiting)
		return outletDone{done}, err
	})
	order("test", func(ctx context.Context, name string, _ outletOrder) (any, error) {
		took, err := q.Test(ctx, name)
		if errors.Is(err, outlets.ErrUnknown) {
			return nil, err
		}
		tested := outletTested{Taken: err == nil, Took: took}
		if err != nil {
			tested.Error = err.Error()
		}
		return tested, nil
	})
}

func showOutlet(ctx context.Context, q *outlets.Queue, name string) (outletShown, error) {
	all, err := q.Statuses(ctx)
	if err != nil {
		return outletShown{}, err
	}
	for _, s := range all {
		if s.Name == name {
			letters, more, err := q.Letters(ctx, name, maxLettersShown)
			return outletShown{Status: s, Letters: letters, More: more}, err
		}
	}
	return outletShown{}, errNoOutlet
}

// errNoOutlet is the answer for a name that nothing is left of.
var errNoOutlet = errors.New("there is no such outlet; see tiergate outlet list")

func outletAnswer(w http.ResponseWriter, value any, err error) {
	switch {
	case err == nil:
		admin.Answer(w, http.StatusOK, value)
	case errors.Is(err, outlets.ErrUnknown), errors.Is(err, outlets.ErrNone), errors.Is(err, errNoOutlet):
		admin.Refuse(w, http.StatusNotFound, err.Error())
	default:
		admin.Refuse(w, http.StatusServiceUnavailable, err.Error())
	}
}
