package ssf

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/jwks"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// Options say whose SETs count and what they may say. Name, Issuer, Audiences and Keys have no default.
type Options struct {
	Name       string   // of the stream, in the settings
	Issuer     string   // the iss of SETs, of the stream and of the transmitter's metadata, byte for byte
	Audiences  []string // one of them must stand in aud
	Algorithms []string // default RS256, the one of the CAEP interoperability profile
	Keys       Keys
	// PushTokens: the transmitter must send one of them as a bearer token (authorization_header of the delivery). Empty: the
	// signature alone counts.
	PushTokens []string
	// SubjectInEvent takes the subject from the event where a SET has no sub_id, as Okta and RISC drafts have it.
	SubjectInEvent bool
	// SubjectIssuers are the iss that subjects (iss_sub) may have besides Issuer.
	SubjectIssuers []string
	Tenant         string // our own tenant at the transmitter; events of others are not applied. Empty: not looked at
	Users          Users
	Devices        Devices
	// StateKey makes and knows the states of verifications. Every receiver of the stream has the same. Empty: any state counts.
	StateKey []byte
	Events   Events
}

// Users says what becomes of events about users and sessions.
type Users struct {
	Issuer string // the name of the issuer of their tokens; empty: no login is voided by this stream
	Email  bool   // tokens of that issuer have a mapped email, so that subjects of format email can be found
	Revoke []Kind // the events that void logins; nil: DefaultRevoke
	// RiskRevokes is the level of a user's or session's risk from which logins are void: low, medium or high; "never": none.
	// Default high.
	RiskRevokes string
	// RiskRefuses is the level from which a user or session is refused whatever login it comes with, until the transmitter says less
	// or MaxTokenLife is over: low, medium or high; default "never".
	RiskRefuses string
	// MaxTokenLife is for how long a token of the issuer can live. Default 24h.
	MaxTokenLife time.Duration
}

// Devices says which of our names a transmitter's device subject is. The zero value maps none.
type Devices struct {
	Names signals.AliasKind
	// Source is whose ids they are where Names is AliasVendor: the name of a source.
	Source string
}

// DefaultRevoke are the events that void logins unless the settings say otherwise.
var DefaultRevoke = []Kind{SessionRevoked, SessionsRevoked, AccountDisabled, AccountPurged, CredentialChangeNeeded,
	CredentialCompromise, IdentifierRecycled}

// defaultTokenLife and the leeway by which a revocation outlives the tokens.
const (
	defaultTokenLife = 24 * time.Hour
	outlives         = 10 * time.Minute
)

// Events are told what a stream does. Each may be nil; none may block.
type Events struct {
	// Heard: an event was applied, or needed no applying. kind is empty for a type that is not known, which is dropped.
	Heard func(e Event)
	// Verified: the transmitter answered a verification that was asked for at that instant; the zero time: nobody had asked.
	Verified func(asked time.Time)
	// Updated: the transmitter says that the stream is enabled, paused or disabled.
	Updated func(status, reason string)
}

// Stream is one transmitter's SETs: a source.Adapter. It is safe for concurrent use.
type Stream struct {
	o  Options
	id atomic.Pointer[string] // the stream_id; nil: not known
	// critical are the members of complex subjects that the transmitter's metadata call critical.
	critical atomic.Pointer[[]string]
	seen     atomic.Pointer[sighting]
}

// sighting is what the events of the stream itself have told, never changed once it is here.
type sighting struct {
	last           time.Time // when the last event was received
	verified       time.Time // when the newest verification that came back was asked for
	status, reason string    // of the last stream-updated
	statusAt, told time.Time // when it was so, and when it was received
}

// see notes an event.
func (s *Stream) see(e Event, asked time.Time) {
	for {
		before := s.seen.Load()
		var next sighting
		if before != nil {
			next = *before
		}
		if e.Received.After(next.last) {
			next.last = e.Received
		}
		if asked.After(next.verified) {
			next.verified = asked
		}
		if e.Kind == StreamUpdated && !e.At.Before(next.statusAt) {
			next.status, next.reason, next.statusAt, next.told = e.Status, e.Reason, e.At, e.Received
		}
		if s.seen.CompareAndSwap(before, &next) {
			return
		}
	}
}

// New checks the options. It starts nothing.
func New(o Options) (*Stream, error) {
	if o.Issuer == "" || len(o.Audiences) == 0 || o.Keys == nil {
		return nil, errors.New("a stream needs its issuer, an audience and keys")
	}
	if len(o.Algorithms) == 0 {
		o.Algorithms = []string{"RS256"}
	}
	for _, algorithm := range o.Algorithms {
		if !slices.ContainsFunc(jwks.Algorithms(), func(a jose.SignatureAlgorithm) bool { return string(a) == algorithm }) {
			return nil, fmt.Errorf("%.20q is no algorithm that a SET may be signed with", algorithm)
		}
	}
	if o.Users.Revoke == nil {
		o.Users.Revoke = DefaultRevoke
	}
	o.Users.RiskRevokes, o.Users.RiskRefuses = cmp.Or(o.Users.RiskRevokes, "high"), cmp.Or(o.Users.RiskRefuses, "never")
	o.Users.MaxTokenLife = cmp.Or(o.Users.MaxTokenLife, defaultTokenLife)
	if o.Events.Heard == nil {
		o.Events.Heard = func(Event) {}
	}
	if o.Events.Verified == nil {
		o.Events.Verified = func(time.Time) {}
	}
	if o.Events.Updated == nil {
		o.Events.Updated = func(string, string) {}
	}
	return &Stream{o: o}, nil
}

// Status is what is known of a stream that nobody manages.
func (s *Stream) Status() Status {
	status := Status{Name: s.o.Name, Issuer: s.o.Issuer, Delivery: "push", State: "unmanaged"}
	if seen := s.seen.Load(); seen != nil {
		status.LastEvent = seen.last
		if seen.status != "" {
			status.State, status.Reason = seen.status, seen.reason
		}
	}
	return status
}

// Name is the stream's, in the settings.
func (s *Stream) Name() string { return s.o.Name }

// know tells the stream's id at the transmitter, and what its metadata call critical.
func (s *Stream) know(id string, critical []string) {
	if id != "" {
		s.id.Store(&id)
	}
	if critical != nil {
		s.critical.Store(&critical)
	}
}

// Polled is the Segment of a delivery that the receiver itself fetched: what a transmitter must show when it pushes is not asked
// of it. The door gives no pushed SET a segment.
const Polled = "polled"

// ContentType is that of a pushed SET (RFC 8935 section 2).
const ContentType = "application/secevent+jwt"

// Authenticate implements source.Adapter. The Refusal wraps a *Fault, or ErrNoKeys with status 503.
//
// The id is the jti and a digest of what the SET says: a SET that is signed anew is the same one, and two events that share
// a jti, which no transmitter should send, are two, so that none is lost.
func (s *Stream) Authenticate(d source.Delivery, at time.Time) (string, error) {
	if err := s.mayPush(d); err != nil {
		return "", refusal(err)
	}
	read, err := s.judge(d.Body, at)
	if err != nil {
		return "", refusal(err)
	}
	return read.deliveryID(), nil
}

// mayPush looks at what comes with a pushed SET. One that was polled has no header.
func (s *Stream) mayPush(d source.Delivery) error {
	if d.Segment == Polled {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(d.Header.Get("Content-Type")); err != nil || kind != ContentType {
		return fault(InvalidRequest, "the Content-Type is %.60q, and must be %s", d.Header.Get("Content-Type"), ContentType)
	}
	if len(s.o.PushTokens) == 0 {
		return nil
	}
	scheme, token, _ := strings.Cut(d.Header.Get("Authorization"), " ")
	right := false
	for _, known := range s.o.PushTokens {
		right = same(token, known) || right
	}
	if !right || !strings.EqualFold(scheme, "bearer") {
		return fault(AuthenticationFailed, "the Authorization header is not the one that the stream was given")
	}
	return nil
}

// judge believes a SET or says why not. The order is fixed: shape, issuer, signature, audience, time, event; so a claim but
// iss is named only if the issuer made it.
func (s *Stream) judge(raw []byte, at time.Time) (*set, error) {
	read, err := readSET(raw)
	if err != nil {
		return nil, err
	}
	if read.issuer != s.o.Issuer {
		return nil, fault(InvalidIssuer, "the SET's iss is %.200q, and the stream's is %q", read.issuer, s.o.Issuer)
	}
	if err := read.verify(s.o.Keys, s.o.Algorithms, at); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(read.audiences, func(a string) bool { return slices.Contains(s.o.Audiences, a) }) {
		return nil, fault(InvalidAudience, "the SET's aud is %.200q, and has none of %q", read.audiences, s.o.Audiences)
	}
	if read.issued.After(at.Add(maxAhead)) {
		return nil, fault(InvalidRequest, "the SET's iat is %s, more than %s in the future", read.issued.Format(time.RFC3339),
			maxAhead)
	}
	e, err := read.toEvent(s.o.SubjectInEvent)
	if err != nil {
		return nil, err
	}
	return read, s.checkOwn(e, at)
}

// checkOwn looks at the events about the stream itself, which are about this one or no event for us.
func (s *Stream) checkOwn(e Event, at time.Time) error {
	if e.Kind != Verification && e.Kind != StreamUpdated {
		return nil
	}
	if id := s.id.Load(); id != nil && (e.Subject.Format != FormatOpaque || e.Subject.ID != *id) {
		return fault(InvalidRequest, "the %s event is about another stream than %q", e.Kind, *id)
	}
	if e.Kind == Verification && e.State != "" && len(s.o.StateKey) > 0 {
		if _, err := s.readState(e.State, at); err != nil {
			return &Fault{Code: InvalidState, Reason: err}
		}
	}
	return nil
}

// deliveryID names the delivery, in printable ASCII.
func (s *set) deliveryID() string {
	sum := sha256.New()
	for _, part := range [][]byte{[]byte(s.id), []byte(s.uri), s.subject, s.rawEvent, []byte(s.occurred.String())} {
		fmt.Fprintf(sum, "%d:", len(part))
		sum.Write(part)
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	if id := s.id + "~" + digest[:16]; source.ValidID(id) {
		return id
	}
	return "~" + digest
}

// read is an authentic SET's event.
func (s *Stream) read(d source.Delivery) (Event, error) {
	read, err := readSET(d.Body)
	if err != nil {
		return Event{}, err
	}
	e, err := read.toEvent(s.o.SubjectInEvent)
	e.Stream, e.Received = s.o.Name, d.Received
	return e, err
}

var _ source.Adapter = (*Stream)(nil)
