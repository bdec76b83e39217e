package source

import (
	"net/http"
	"net/url"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Delivery is one request of a sender.
type Delivery struct {
	// Source is the name that the settings give the sender.
	Source string
	// ID is what Authenticate answered; empty before that.
	ID string
	// Header is complete for Authenticate. Observe is given Content-Type alone: the others may hold secrets and are not
	// kept.
	Header http.Header
	// Query is the URL's query and Segment what follows the source's name in the path, for Authenticate alone: senders that
	// sign nothing can have their secret only there (URLSecret). Neither is kept, nor written to any log.
	Query   url.Values
	Segment string
	// Body is what was sent, byte for byte. Nobody may change it.
	Body []byte
	// Received is our clock when the request came.
	Received time.Time
}

// Adapter is one vendor. Its methods are pure and may be called at once.
type Adapter interface {
	// Authenticate tells whether the bytes come from the sender, at the given instant, and returns the delivery's id:
	// two deliveries with one id are the same one, sent again. The id is at most MaxID printable ASCII characters
	// without blanks. Authentic bytes that do not have exactly one reading are refused here as well, before anybody
	// promises to keep them. Any error is a *Refusal.
	Authenticate(d Delivery, at time.Time) (id string, err error)
	// Observe reads an authentic body in our words, one observation per device. Source and Received of the facts are the
	// receiver's to set. An error makes the delivery a dead letter with that reason, and no observation counts.
	Observe(d Delivery) ([]signals.Observation, error)
}

// MaxID is the longest id of a delivery, in bytes.
const MaxID = 256

// ValidID reports whether id can name a delivery.
func ValidID(id string) bool {
	for i := range len(id) {
		if id[i] <= 0x20 || id[i] >= 0x7f {
			return false
		}
	}
	return id != "" && len(id) <= MaxID
}

// Refusal is a delivery that is not taken. It has two texts: Detail for the sender, who may be anybody and is told
// nothing of the body or of a secret, and Reason for the operator.
type Refusal struct {
	// Status is the HTTP status: 400 or 401; 503 if nobody can tell now, so that the sender comes again; or 202 for a sender
	// that takes any other answer for an outage and would stop sending (Microsoft Graph): it is told that all is well, and
	// nothing is kept or counts all the same.
	Status    int
	Detail    string // one sentence, with what to do
	Challenge string // of a 401: the WWW-Authenticate header (RFC 9110 section 11.6.1)
	Reason    error  // nil: Detail says it all
}

func (r *Refusal) Error() string {
	if r.Reason == nil {
		return r.Detail
	}
	return r.Reason.Error()
}

func (r *Refusal) Unwrap() error { return r.Reason }
