package authz

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	"github.com/tiergate/tiergate/authz/answers"
	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/assertion"
	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/returnto"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/replica"
	"github.com/tiergate/tiergate/signals/revocation"
)

// Devices is where postures are found; *replica.Replica is one.
type Devices interface {
	Lookup(alias signals.Alias) (replica.Reading, error)
	Each(yield func(*signals.Posture) bool) // one after the other; none is kept
}

// Tokens verifies tokens; *token.Verifier is one.
type Tokens interface {
	// Judge believes a credential that came at an instant, or says for the operator why not.
	Judge(c *token.Credential, at time.Time) (token.Proof, error)
}

// Peers judges who is at the other end; *identity.Authority is one. Its answers may change from call to call: CA
// certificates are renewed.
type Peers interface {
	Peer(encodedPEM, principal string, at time.Time) identity.Peer
	// Behind is who is behind a peer that forwards the requests of others, by the values of x-forwarded-client-cert; a peer
	// that does not is returned as it is.
	Behind(peer identity.Peer, forwarded []string, at time.Time) identity.Peer
}

// Replays remembers what counts only once.
type Replays interface {
	// Once notes a name. ErrReplayed: it was noted before. Any other error: that cannot be found out now.
	Once(once token.Once) error
}

// Logins remembers when logins were first seen; *LoginMemory is one. It is asked only for users of whom auth_time alone does
// not tell (identity.User.SeenAs).
type Logins interface {
	// Recall is what is known without waiting; nil: nothing.
	Recall(user *identity.User, at time.Time) *identity.FirstSeen
	// Note has a login remembered while nobody waits.
	Note(user *identity.User, at time.Time)
	// Look waits for an answer, for a short time. The error is why nobody knows now.
	Look(user *identity.User, at time.Time) (*identity.FirstSeen, error)
}

// ErrReplayed says that a proof which counts only once was used before.
var ErrReplayed = errors.New("the proof was used before")

// Options are the parts that a Server works with. Devices, Peers, Tokens and Replays may be nil: then no device, no
// certificate, no token, or no proof that counts only once is ever believed. Logins may be nil: then no login is fresh
// enough whose age only a memory could tell.
type Options struct {
	Devices Devices
	Peers   Peers
	Tokens  Tokens
	Replays Replays
	Logins  Logins
	Now     func() time.Time // default time.Now
	Events  Events
	// StockCodec reads and writes with protobuf's own code instead of ours (settings: authz.reader: proto).
	StockCodec bool
	// Evidence puts every decision on record. Nil: none is, and a tier that wants its decisions on record refuses.
	Evidence *evidence.Recorder
	// Answers are the texts of refusals. Nil: those that come with tiergate.
	Answers *answers.Catalogue
	// ReturnKey signs what browsers are sent with to the login page of a route. The zero Key: none is sent anywhere.
	ReturnKey returnto.Key
	// Revocations: this server is told what has ended of somebody's logins (SetRevocations), and believes no login before.
	Revocations bool
	// Assertions signs who calls, for upstreams. Nil: nobody does, and what clients send as such is removed.
	Assertions *assertion.Issuer
}

// Server answers Check. Until SetPolicy was called it denies everything.
type Server struct {
	opts    Options
	current atomic.Pointer[generation]
	heard   heard
	book    atomic.Pointer[approvals.Book] // what was granted at run time; nil: nothing

	revocations atomic.Pointer[revocation.Table] // what has ended of somebody's logins; nil: it is not known

	mu      sync.Mutex  // orders changes of policy and of postures; never taken by a request
	pending *generation // being filled, not yet in force
}

// New starts nothing.
func New(opts Options) *Server {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Answers == nil {
		opts.Answers = answers.BuiltIn()
	}
	return &Server{opts: opts}
}

// ServerOptions are what a gRPC server must be made with for Register to be of use. Other services on it, such as health,
// are read and written as ever.
func (s *Server) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ForceServerCodecV2(Codec()), grpc.MaxRecvMsgSize(maxReceivedBytes)}
}

// Register adds the service to a gRPC server that was made with ServerOptions. On any other one every Check fails, since
// gRPC cannot read what the service wants to be given.
func (s *Server) Register(g grpc.ServiceRegistrar) { g.RegisterService(&checkService, s) }

// answer is one Check, from bytes to bytes that are appended to others. What goes wrong is written as a denial. Nothing that
// it returns or leaves behind is a part of the message.
func (s *Server) answer(to []byte, x *exchange) (wire []byte) {
	start := s.opts.Now()
	id := newDecisionID()
	defer func() {
		if fault := recover(); fault != nil {
			s.opts.Events.panicked(id, fault, debug.Stack())
			verdict := policy.Verdict{Reason: policy.ReasonInternal}
			s.recordDefect(id, start, verdict)
			wire = respondWire(to, &Decision{ID: id, At: start, Verdict: verdict})
		}
	}()
	decision := &x.decision
	s.decide(decision, x.call(s.opts.StockCodec), id, start)
	if x.known {
		s.assert(decision)
	}
	if s.opts.StockCodec {
		return respondWire(to, decision)
	}
	return respondFast(to, decision)
}

// recordDefect puts a denial on record that nobody reasoned out. What was asked is not known any more; the defect itself may
// be in the recording.
func (s *Server) recordDefect(id string, at time.Time, verdict policy.Verdict) {
	defer func() { _ = recover() }()
	s.opts.Evidence.Record(&evidence.Record{ID: id, Input: policy.Input{At: at}, Verdict: verdict})
}

// decide is the way of one request: who, in what state, what the policy says, on record.
func (s *Server) decide(decision *Decision, call *Call, id string, at time.Time) {
	gen := s.current.Load() // one generation for the whole request
	in := policy.Input{At: at, Request: policy.Request{
		Method: call.Method, Host: call.Host, Path: call.Path, Malformed: call.Malformed,
	}}
	if call.Malformed == "" && gen != nil {
		in.Subject = s.identify(call, at)
		in.Subject.FirstSeen = s.recalled(in.Subject.User, at)
		in.Device = s.reading(gen, &in.Subject)
		in.Subject.Ended, in.Subject.Risk = s.ended(&in), s.risk(&in)
		s.granted(&in)
		in.Request.Chosen = chosen(gen, call, &in)
	}
	verdict := gen.evaluate(&in)
	if s.remembers(call, &in, &verdict) { // now it is known how old the login is
		in.Request.Chosen = chosen(gen, call, &in)
		verdict = gen.evaluate(&in)
	}
	s.settle(decision, call, id, gen, &in, verdict)
	if decision.Verdict.Outcome != policy.Allow {
		s.addressed(decision, call)
		decision.signIn = s.signInOf(decision, gen, call)
	}
}

// chosen is Envoy's own choice of route. Where Envoy still holds an older table, what that table says goes with it.
func chosen(gen *generation, call *Call, in *policy.Input) *policy.Chosen {
	if call.Route == "" && call.Table == "" {
		return nil
	}
	choice := &policy.Chosen{Route: call.Route, Upstream: call.Upstream}
	if older, ok := gen.older(call.Table, in.At); ok {
		match := older.table.Match(call.Host, call.Path, call.Method)
		choice.Older = &match
		now := gen.policy.Table().Match(call.Host, call.Path, call.Method)
		choice.OlderAllows = match.Upstream != now.Upstream && older.allows(in, call.Route)
	}
	return choice
}

// identify turns the proofs of a call into a subject.
func (s *Server) identify(call *Call, at time.Time) identity.Subject {
	var peer identity.Peer
	if s.opts.Peers != nil {
		peer = s.opts.Peers.Peer(call.Certificate, call.Principal, at)
		peer = s.opts.Peers.Behind(peer, call.Forwarded, at)
	}
	proof, err := s.proven(call, peer.Thumbprint, at)
	subject := identity.Assemble(peer, proof.Proven, err)
	if doubt := s.usedBefore(call, proof.Once); doubt != nil { // then the token proves nothing
		doubts := subject.Doubts
		subject = identity.Assemble(peer, identity.Proven{}, nil)
		subject.Doubts = append(doubts, *doubt)
	}
	return subject
}

// reading finds the posture of the device that the subject is bound to, or the gap. A token that calls the device
// something else than the certificate does must mean the same one: if the copy of the store knows that it does not, or
// does not know a device of one of the names, the subject gets a doubt.
func (s *Server) reading(gen *generation, subject *identity.Subject) policy.Device {
	if subject.Device == (signals.Alias{}) {
		return policy.Device{}
	}
	device := s.lookup(gen, subject.Device)
	if subject.Claimed == (signals.Alias{}) {
		return device
	}
	claimed := s.lookup(gen, subject.Claimed)
	shown, _, _ := device.Version()
	meant, _, _ := claimed.Version()
	switch {
	case device.Gap == policy.GapUnknown || claimed.Gap == policy.GapUnknown || device.Gap == claimed.Gap && shown != meant:
		subject.Doubts = append(subject.Doubts, identity.Doubt{Code: identity.DoubtDevice, Detail: fmt.Sprintf(
			"the certificate is of device %.200q and the token of %.200q, which are not known to be one device: a stolen token, "+
				"or a name that no source reports", subject.Device, subject.Claimed)})
		return policy.Device{}
	case claimed.Gap != policy.GapNone && device.Gap != policy.GapContested:
		return claimed
	}
	return device
}

// lookup finds the posture of a device by one of its names, or the gap.
func (s *Server) lookup(gen *generation, name signals.Alias) policy.Device {
	if s.opts.Devices == nil {
		return policy.Device{Gap: policy.GapUnreachable}
	}
	read, err := s.opts.Devices.Lookup(name)
	switch {
	case err == nil:
		return policy.Device{Packed: read.Posture, AsOf: read.AsOf, Heard: s.heard.sources(),
			Assessment: gen.assessment(read.Posture.Device)}
	case errors.Is(err, signals.ErrNotFound):
		return policy.Device{Gap: policy.GapUnknown, AsOf: read.AsOf}
	case errors.Is(err, replica.ErrContested):
		return policy.Device{Gap: policy.GapContested, AsOf: read.AsOf}
	default:
		return policy.Device{Gap: policy.GapUnreachable, AsOf: read.AsOf}
	}
}

// settle puts the verdict on record, and stands by what could be put there.
func (s *Server) settle(d *Decision, call *Call, id string, gen *generation, in *policy.Input, verdict policy.Verdict) {
	took := s.opts.Now().Sub(in.At)
	if s.opts.Evidence.Waits(&verdict) {
		call.waits()
	}
	if s.opts.Evidence != nil || verdict.Evidence == policy.EvidenceRequired {
		verdict = s.opts.Evidence.Settle(&evidence.Record{ID: id, Took: took, Policy: gen.digest(), Input: *in, Verdict: verdict})
	}
	*d = Decision{ID: id, At: in.At, Took: took, Request: in.Request, Subject: in.Subject, Verdict: verdict,
		peer: call.Peer, with: judged{policy: gen.current(), assessment: in.Device.Assessment}}
	if device, _, known := in.Device.Version(); known {
		d.Device = string(device)
	}
	s.opts.Events.decided(d)
}

// SetPolicy brings a policy into force. Every device is assessed ahead of the swap; requests go on with the old policy
// until then, and none sees a mixture.
func (s *Server) SetPolicy(p *policy.Policy) {
	start := s.opts.Now()
	s.mu.Lock()
	next := newGeneration(p, s.current.Load(), start)
	s.pending = next
	s.mu.Unlock()

	devices := 0
	if s.opts.Devices != nil {
		s.opts.Devices.Each(func(posture *signals.Posture) bool {
			devices++
			s.heard.note(posture)
			// A change that PostureChanged has meanwhile assessed is newer; Evaluate does not use one of another revision.
			next.assessments.LoadOrStore(posture.Device, p.Assess(posture))
			return true
		})
	}

	s.mu.Lock()
	s.current.Store(next)
	s.pending = nil
	s.mu.Unlock()
	s.opts.Events.policy(p.Digest(), devices, s.opts.Now().Sub(start))
}

// PostureChanged assesses a new or changed posture. The replica calls it before Lookup serves the posture.
func (s *Server) PostureChanged(posture *signals.Posture) {
	s.heard.note(posture)
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.current.Load(); g != nil {
		g.assess(posture)
	}
	if s.pending != nil {
		s.pending.assess(posture)
	}
}

// PostureRemoved forgets a device.
func (s *Server) PostureRemoved(device signals.DeviceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.current.Load(); g != nil {
		g.assessments.Delete(device)
	}
	if s.pending != nil {
		s.pending.assessments.Delete(device)
	}
}

// Randomness for ids is had for 16 at a time, which saves a system call for each: a decision's id is no secret.
func init() { uuid.EnableRandPool() }

// newDecisionID is a UUIDv7: sortable by time. Without randomness from the system there is still an id, of zeros.
func newDecisionID() string {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil.String()
	}
	return id.String()
}
