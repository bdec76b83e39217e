package intune

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tiergate/tiergate/signals/source"
)

// Publisher is the application that Microsoft Graph notifies as: azp of a validation token of version 2.0, appid of one of 1.0
// (learn.microsoft.com/graph/change-notifications-with-resource-data, "Validation tokens in the change notification").
const Publisher = "0bf30f3b-4a52-48df-9a82-234910c4a086"

// ErrNotNow says that a validation token could not be judged: Microsoft's keys are not at hand.
var ErrNotNow = errors.New("the keys of Microsoft's tokens are not at hand")

// maxTokens bounds the tokens of one delivery: there is one for each app and tenant among its notifications.
const maxTokens = 16

// believe wants every validation token of a delivery to be good: "if any tokens fail, consider the change notification
// suspicious" (the same page). Without any the client state alone counts, as it does for notifications without resource data.
// A refusal has status 202, as for a wrong client state; 503 if nobody can tell now, so that Graph comes again.
func (a *Adapter) believe(tokens []*string, at time.Time) error {
	refuse := func(reason error) error {
		return &source.Refusal{Status: http.StatusAccepted, Detail: "Accepted.", Reason: reason}
	}
	switch {
	case len(tokens) == 0:
		return nil
	case len(tokens) > maxTokens:
		return refuse(fmt.Errorf("the delivery has %d validation tokens; the limit is %d", len(tokens), maxTokens))
	case a.opts.Token == nil:
		return refuse(errors.New("the delivery has validation tokens, and the settings do not say whose they may be, so nothing " +
			"counts; write intune.validation, or subscribe without resource data"))
	}
	for i, token := range tokens {
		if token == nil {
			return refuse(fmt.Errorf("validation token %d is null: Graph was given none for the app; set appRoleAssignmentRequired "+
				"of its service principal to false", i))
		}
		switch err := a.opts.Token(*token, at); {
		case errors.Is(err, ErrNotNow):
			return &source.Refusal{Status: http.StatusServiceUnavailable, Detail: "Send it again later.", Reason: err}
		case err != nil:
			return refuse(fmt.Errorf("validation token %d: %w", i, err))
		}
	}
	return nil
}

// Redact implements source.Redactor. The client states are secrets and validation tokens are somebody's login, so of Graph's
// notifications those are kept that are ours, and of these what is read. Rows of an Event Hub hold no credential.
func (a *Adapter) Redact(raw []byte) ([]byte, error) {
	b, err := read(raw)
	if err == nil && b.Value == nil {
		return raw, nil
	}
	var kept []byte
	if err == nil {
		ours := a.ours(*b.Value)
		for i := range ours {
			ours[i].ClientState = ""
		}
		kept, err = json.Marshal(map[string][]notification{"kept": ours})
	}
	if err != nil { // Authenticate would not have taken it
		return nil, &source.Refusal{Status: http.StatusBadRequest, Reason: err, Detail: "The body cannot be read."}
	}
	return kept, nil
}
