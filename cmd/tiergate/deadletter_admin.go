package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
)

// The dead letters on the receiver's admin socket: GET /v1/deadletters, GET /v1/deadletters/one?source=&id=, and
// POST /v1/deadletters/retry and /v1/deadletters/drop with a deadLetterOrder. Writing says who did it in the log, by the
// receiver's events. What fails is {"error": "..."}, 404 if there is no such letter.

// deadLetterSummary is a dead letter without its body.
type deadLetterSummary struct {
	Source   string    `json:"source"`
	ID       string    `json:"id"`
	Received time.Time `json:"received"`
	Reason   string    `json:"reason"`
	Size     int       `json:"size"` // bytes of the body
}

// deadLetterList is one page: at most deadLetterPage letters; After is the key to go on with, empty at the end.
type deadLetterList struct {
	Letters []deadLetterSummary `json:"letters"`
	After   string              `json:"after,omitempty"`
}

// deadLetterWhole is a dead letter with all that is kept of it. Body is base64 in JSON.
type deadLetterWhole struct {
	deadLetterSummary
	Unreadable bool        `json:"unreadable,omitempty"` // it was never a delivery and cannot be retried
	Headers    http.Header `json:"headers"`
	Body       []byte      `json:"body"`
}

// deadLetterOrder is what to retry or drop: one letter, or all of a source.
type deadLetterOrder struct {
	Source string `json:"source"`
	ID     string `json:"id,omitempty"`
	All    bool   `json:"all,omitempty"`
	After  string `json:"after,omitempty"` // of All: go on after this key
}

// deadLetterDone is what came of it. After is not empty if there was no time for all: order again from there.
type deadLetterDone struct {
	Done   int               `json:"done"`
	Failed map[string]string `json:"failed,omitempty"` // id: why
	After  string            `json:"after,omitempty"`
}

const (
	deadLetterPage = 1000
	// deadLetterFor bounds the work of one order, below the time that the socket gives an answer.
	deadLetterFor = 10 * time.Second
)

// errPageFull ends a walk.
var errPageFull = errors.New("the page is full")

// deadLetterPaths serves them.
func deadLetterPaths(mux *http.ServeMux, r *ingest.Receiver) {
	mux.HandleFunc("GET /v1/deadletters", func(w http.ResponseWriter, req *http.Request) {
		list, err := listDeadLetters(req, r)
		answer(w, list, err)
	})
	mux.HandleFunc("GET /v1/deadletters/one", func(w http.ResponseWriter, req *http.Request) {
		letter, err := r.DeadLetter(req.Context(), req.FormValue("source"), req.FormValue("id"))
		headers := http.Header{}
		if letter.ContentType != "" {
			headers.Set("Content-Type", letter.ContentType)
		}
		answer(w, deadLetterWhole{summary(letter), letter.Unreadable, headers, letter.Body}, err)
	})
	for path, one := range map[string]func(context.Context, string, string) error{"retry": r.Retry, "drop": r.Drop} {
		mux.HandleFunc("POST /v1/deadletters/"+path, func(w http.ResponseWriter, req *http.Request) {
			var order deadLetterOrder
			if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, 64<<10)).Decode(&order); err != nil {
				answerError(w, http.StatusBadRequest, err)
				return
			}
			done, err := carryOut(req.Context(), r, order, one)
			answer(w, done, err)
		})
	}
}

func summary(l ingest.DeadLetter) deadLetterSummary {
	return deadLetterSummary{Source: l.Source, ID: l.ID, Received: l.Received, Reason: l.Reason, Size: len(l.Body)}
}

func listDeadLetters(req *http.Request, r *ingest.Receiver) (deadLetterList, error) {
	list := deadLetterList{Letters: []deadLetterSummary{}}
	source, since := req.FormValue("source"), time.Time{}
	if text := req.FormValue("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return list, err
		}
	}
	err := r.DeadLetters(req.Context(), req.FormValue("after"), func(l ingest.DeadLetter) error {
		if (source != "" && l.Source != source) || l.Received.Before(since) {
			return nil
		}
		if len(list.Letters) == deadLetterPage {
			last := list.Letters[deadLetterPage-1]
			list.After = last.Source + "/" + last.ID
			return errPageFull
		}
		list.Letters = append(list.Letters, summary(l))
		return nil
	})
	if errors.Is(err, errPageFull) {
		err = nil
	}
	return list, err
}

// carryOut does one, or all of a source, each once: what fails again gets a place that was passed already, or is met as it
// is now. The ids are collected first, since a store may not be written while it is walked.
func carryOut(
	ctx context.Context, r *ingest.Receiver, o deadLetterOrder, one func(context.Context, string, string) error,
) (deadLetterDone, error) {
	if !o.All {
		err := one(ctx, o.Source, o.ID)
		if err != nil {
			return deadLetterDone{}, err
		}
		return deadLetterDone{Done: 1}, nil
	}
	var ids []string
	err := r.DeadLetters(ctx, o.After, func(l ingest.DeadLetter) error {
		if l.Source != o.Source {
			return nil
		}
		if len(ids) == deadLetterPage {
			return errPageFull
		}
		ids = append(ids, l.ID)
		return nil
	})
	full := errors.Is(err, errPageFull)
	if err != nil && !full {
		return deadLetterDone{}, err
	}
	done := deadLetterDone{Failed: map[string]string{}}
	for end := time.Now().Add(deadLetterFor); len(ids) > 0; ids = ids[1:] {
		if time.Now().After(end) {
			full = true
			break
		}
		switch err := one(ctx, o.Source, ids[0]); {
		case err == nil:
			done.Done++
		case !errors.Is(err, signals.ErrNotFound): // else somebody else was faster
			done.Failed[ids[0]] = err.Error()
		}
		done.After = o.Source + "/" + ids[0]
	}
	if !full {
		done.After = ""
	}
	return done, nil
}

// answer writes a value, or why there is none.
func answer(w http.ResponseWriter, value any, err error) {
	switch {
	case errors.Is(err, signals.ErrNotFound):
		answerError(w, http.StatusNotFound, errors.New("there is no such dead letter; see tiergate deadletter list"))
	case errors.Is(err, ingest.ErrUnreadable), errors.Is(err, ingest.ErrInUse), errors.Is(err, signals.ErrConflict):
		answerError(w, http.StatusConflict, err)
	case err != nil:
		answerError(w, http.StatusServiceUnavailable, err)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value) // the reader went away; there is nobody to tell
	}
}

func answerError(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()}) // as above
}
