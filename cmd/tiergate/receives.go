package main

import (
	"net/http"
	"slices"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings/engine"
	"github.com/tiergate/tiergate/authz/findings/outlets"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
)

// receives are the receiver and what it has for people, with the embedded store: nobody else could write to it. told is
// what the admin socket serves.
func (sc *sidecar) receives(told *http.ServeMux) ([]part, error) {
	if sc.settings.Store.Embedded == nil {
		return nil, nil
	}
	var parts []part
	var receiver *ingest.Receiver
	if len(sc.settings.Sources)+len(sc.settings.SSF) > 0 {
		received, verbs, made, err := receiverParts(sc.settings, sc.store, sc.observer)
		if err != nil {
			return nil, err
		}
		for _, path := range []string{"/v1/deadletters", "/v1/deadletters/", "/v1/sources", "/v1/sources/", "/v1/ssf"} {
			told.Handle(path, verbs)
		}
		parts, receiver = received, made
	}
	desk, err := receiverDesk(sc.settings, sc.store, sc.ground(), sc.observer)
	if err != nil {
		return nil, err
	}
	approvalPaths(told, desk, localCaller)
	found, err := newFindingDesk(sc.settings, sc.store, desk, func() *outlets.Queue { return sc.outlets },
		&engine.Shared{Replica: sc.replica, Assessment: sc.authz.Assessment}, sc.observer)
	if err != nil {
		return nil, err
	}
	sc.finds = found.engine
	found.paths(told, localCaller)
	people, err := receiverPeople(sc.settings, sc.store, desk, receiver, sc.files, sc.observer, found.paths)
	return slices.Concat(parts, people, found.parts()), err
}

// mounting puts paths on a mux whose requests come from people; who tells who sent one.
type mounting func(mux *http.ServeMux, who func(*http.Request) (approvals.Caller, error))

// receiverPeople are what runs for people in the receiver's process besides its admin socket: approved clearances are
// applied, if there is a receiver, and ingest.approvals is served, with the paths of the desk and more. held are the files
// that the process follows; nil: none yet.
func receiverPeople(s *config.Settings, store signals.Store, desk *approvals.Desk, receiver *ingest.Receiver, held *fileSet, o *observer,
	more ...mounting) ([]part, error) {
	var parts []part
	if receiver != nil {
		parts = append(parts, part{"clearances", newClearer(desk, receiver, o).run})
	}
	if s.Ingest.Approvals == nil {
		return parts, nil
	}
	if held == nil {
		followed, err := receiverFiles(s, o)
		if err != nil {
			return nil, err
		}
		held, parts = followed, append(parts, part{"files", followed.run})
	}
	served, err := peopleParts(s, store, held, o, func(mux *http.ServeMux, who func(*http.Request) (approvals.Caller, error)) {
		approvalPaths(mux, desk, who)
		for _, mount := range more {
			mount(mux, who)
		}
	})
	return append(parts, served...), err
}
