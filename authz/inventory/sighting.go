package inventory

import "time"

// RecordKind is the kind of the records in which sightings are kept (signals.Record.Kind); the key is the SPIFFE ID. Sidecars
// write them, unsigned: they are observations, and nothing is ever admitted by them.
const RecordKind = "sighting"

// Sighting is what decisions of all sidecars saw of one identity.
type Sighting struct {
	ID          string    `json:"id"` // the SPIFFE ID
	First       time.Time `json:"first"`
	Last        time.Time `json:"last"`
	TrustDomain string    `json:"trustDomain"`
	// Routes is what it asked for, by route; at most MaxRoutes, the longest unseen go first. What no route serves is NoRoute.
	Routes map[string]RouteUse `json:"routes,omitempty"`
	// Places are where it called from, by when last: the sidecar, and the network of the caller or the proxy that forwarded
	// ("edge-1 from 10.1.0.0/16", "edge-1 via spiffe://…", or "edge-1" where the address is none); at most MaxPlaces.
	Places map[string]time.Time `json:"places,omitempty"`
	// CredentialFrom and CredentialUntil are the validity of the credential that was seen last, and CredentialSeen when.
	CredentialFrom  time.Time `json:"credentialFrom,omitzero"`
	CredentialUntil time.Time `json:"credentialUntil,omitzero"`
	CredentialSeen  time.Time `json:"credentialSeen,omitzero"`
	// Batches is what each writer last added, so that what is written again after an answer was lost counts once.
	Batches Batches `json:"batches,omitempty"`
}

// Bounds of a Sighting.
const (
	MaxRoutes  = 1000
	MaxPlaces  = 100
	maxBatches = 64
)

// NoRoute stands for requests that no route serves. No route can have this name.
const NoRoute = "(none)"

// RouteUse is how often an identity asked for a route, and what came of it.
type RouteUse struct {
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Allowed uint64    `json:"allowed"`
	Refused uint64    `json:"refused,omitempty"`
	// LastAllowed is when it was let in last; zero: never.
	LastAllowed time.Time `json:"lastAllowed,omitzero"`
}

// Batches are the last additions of each writer, by the writer's name.
type Batches map[string]Batch

// Batch is a numbered addition. The numbers of a writer ascend.
type Batch struct {
	N  uint64    `json:"n"`
	At time.Time `json:"at"`
}

// UseKind is the kind of the records in which the use of exceptions and grace is kept; the key is that of Use.Key. A sidecar
// writes one each day, also if it decided nothing: a day without one was not observed.
const UseKind = "use"

// Use is what one sidecar decided in one day (UTC).
type Use struct {
	Day     string `json:"day"` // 2026-11-22
	Sidecar string `json:"sidecar"`
	// Tiers is by tier: all decisions, and those that an exception, grace or last-known carried.
	Tiers map[string]TierUse `json:"tiers"`
	// Exceptions is by name how often one carried a decision, and when last.
	Exceptions map[string]ExceptionUse `json:"exceptions,omitempty"`
	Batches    Batches                 `json:"batches,omitempty"` // as those of a Sighting
}

// Key is the key of a record of UseKind.
func (u *Use) Key() string { return u.Day + " " + u.Sidecar }

// TierUse counts decisions. Those that something carried are among the allowed.
type TierUse struct {
	Allowed     uint64 `json:"allowed"`
	Refused     uint64 `json:"refused"`
	ByException uint64 `json:"byException,omitempty"`
	ByGrace     uint64 `json:"byGrace,omitempty"`
	ByLastKnown uint64 `json:"byLastKnown,omitempty"`
}

// ExceptionUse is how an exception was used.
type ExceptionUse struct {
	Count uint64    `json:"count"`
	Last  time.Time `json:"last"`
}
