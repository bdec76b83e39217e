package source

import (
	"errors"
	"net/http"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Silent is the half of an adapter whose vendor delivers nothing and is only asked: embed it. Each delivery is refused,
// so that nobody can send in the name of a vendor that has no webhook.
type Silent struct{}

// Authenticate implements Adapter.
func (Silent) Authenticate(Delivery, time.Time) (string, error) {
	return "", &Refusal{
		Status: http.StatusUnauthorized, Challenge: "None",
		Detail: "This source takes no deliveries: its vendor has no webhook for device state, and is asked instead. " +
			"Remove the webhook, or send to another source.",
	}
}

var errSilent = errors.New("this source takes no deliveries; drop this one")

// Observe implements Adapter.
func (Silent) Observe(Delivery) ([]signals.Observation, error) { return nil, errSilent }

// Points implements Inventory.
func (Silent) Points(Delivery) ([]string, error) { return nil, errSilent }

// Experimental is an adapter that rests on thin evidence. Doubt is one sentence: what was never seen. It stands in the log
// at the start and in `tiergate source list`.
type Experimental interface{ Experimental() string }

// Doubt is what an experimental adapter says of itself; empty: it is none.
func Doubt(a Adapter) string {
	if e, ok := a.(Experimental); ok {
		return e.Experimental()
	}
	return ""
}

// Greeter is an adapter whose sender tries the way before it delivers, and wants an answer of its own: Microsoft Graph
// (POST ?validationToken=), Okta's event hooks (GET with a challenge), Workspace ONE's Test Connection (GET), CloudEvents
// (OPTIONS). Nothing of such a request is kept.
type Greeter interface {
	// Greet answers a request, or says that it is no greeting (ok false): a POST is then a delivery, and any other method is
	// refused. It authenticates as far as the vendor can, and echoes nothing that a browser would run: the answer is sent
	// with nosniff. An error is a *Refusal.
	Greet(method string, d Delivery) (g Greeting, ok bool, err error)
}

// Greeting is the answer.
type Greeting struct {
	Status      int // 200 or 204
	ContentType string
	Header      http.Header
	Body        []byte
}

// Redactor is an adapter whose senders show a credential in the body: osquery's node key, Graph's clientState. The body of an
// authentic delivery lies in the inbox, and for as long as nobody drops it among the dead letters, where people read it; so
// what is kept of it holds no credential.
type Redactor interface {
	// Redact returns what is kept of the body that Authenticate has just believed: all that Observe, Points and Relist need,
	// and nothing with which anybody could deliver. Equal bodies give equal ones. It is pure; an error is a *Refusal.
	Redact(body []byte) ([]byte, error)
}

// Responder is an adapter whose senders ask by POST with a body, and want an answer of its own: osquery enrols, and fetches its
// configuration. Nothing of such a request is kept.
type Responder interface {
	// Respond answers a request, or says that it is a delivery (ok false). It authenticates; an error is a *Refusal.
	Respond(d Delivery) (g Greeting, ok bool, err error)
}
