package ssf

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// ManagerOptions say how a stream is kept. Stream, Client.Issuer and Records have no default.
type ManagerOptions struct {
	Stream  *Stream
	Client  ClientOptions
	Records signals.Records
	// Keys are followed once the metadata are read; nil: the keys come from elsewhere.
	Keys *Discovered
	// Managed: the stream is found or made at the transmitter, kept as the settings want it, and verified.
	Managed  bool
	StreamID string   // of a stream that was made by hand; empty: found or made
	Events   []string // events_requested; default EventTypes
	Polled   bool     // the stream is polled; else it is pushed
	// PushURL is where the transmitter is to push, PushToken what it is to show there.
	PushURL, PushToken string
	VerifyEvery        time.Duration // 0: never
	Poll               Poll
	// Keep makes a polled SET durable. nil: it is, and may be acknowledged; a *Fault: the transmitter is told; any other error:
	// it is left to come again.
	Keep func(ctx context.Context, raw []byte) error
	Told ManagerEvents
}

// Poll says how a stream is polled (RFC 8936).
type Poll struct {
	URL   string        // default: what the stream names
	Every time.Duration // between two polls of which the first brought nothing; default 5s
	Max   int           // SETs of one answer; default 100
	// Kolide speaks the dialect of Kolide: GET with the header X-Kolide-Poll-Bearer-Token, acknowledged by a POST of its own.
	Kolide bool
	Token  string // for that header
}

// ManagerEvents are told what a manager does. Each may be nil; none may block.
type ManagerEvents struct {
	// Ready: the stream exists as it is wanted.
	Ready func(s Status)
	// Failed: something did not work and is tried again.
	Failed func(err error, retryIn time.Duration)
	// Polled: an answer brought SETs, of which so many were acknowledged, refused and left.
	Polled func(acknowledged, refused, left int)
	// Unverified: the transmitter has not answered a verification that was asked for at that instant.
	Unverified func(asked time.Time)
}

// Status is what is known of a stream.
type Status struct {
	Name      string    `json:"name"`
	Issuer    string    `json:"issuer"`
	Delivery  string    `json:"delivery"` // push or poll
	StreamID  string    `json:"streamID,omitempty"`
	State     string    `json:"state"` // connecting, unmanaged, enabled, paused, disabled or deleted
	Reason    string    `json:"reason,omitempty"`
	Delivered []string  `json:"eventsDelivered,omitempty"` // what the transmitter says it will send
	Asked     time.Time `json:"verificationAsked,omitzero"`
	Verified  time.Time `json:"verified,omitzero"` // when the last verification that came back was asked for
	LastPoll  time.Time `json:"lastPoll,omitzero"`
	LastEvent time.Time `json:"lastEvent,omitzero"`
	Fault     string    `json:"fault,omitempty"`
}

// The times of a manager.
const (
	lookEvery    = time.Hour // at the metadata, the stream and its status
	firstRetry   = time.Second
	lastRetry    = 5 * time.Minute
	verifyWithin = time.Minute // the answer to a verification is late after that
)

// Manager keeps one stream. Its methods are safe for concurrent use; Run runs once.
type Manager struct {
	o      ManagerOptions
	client *client

	mu      sync.Mutex
	status  Status
	meta    metadata
	kick    chan struct{} // holds one: look again now
	looked  time.Time     // when the transmitter was asked for the status
	deleted bool
}

// NewManager checks the options. It starts nothing.
func NewManager(o ManagerOptions) (*Manager, error) {
	client, err := newClient(o.Client)
	if err != nil {
		return nil, err
	}
	if len(o.Events) == 0 {
		o.Events = EventTypes()
	}
	if o.Poll.Every <= 0 {
		o.Poll.Every = 5 * time.Second
	}
	if o.Poll.Max <= 0 {
		o.Poll.Max = 100
	}
	o.Told = o.Told.orSilent()
	m := &Manager{o: o, client: client, kick: make(chan struct{}, 1),
		status: Status{Name: o.Stream.Name(), Issuer: o.Client.Issuer, Delivery: "push", State: "connecting"}}
	if o.Polled {
		m.status.Delivery = "poll"
	}
	return m, nil
}

func (e ManagerEvents) orSilent() ManagerEvents {
	if e.Ready == nil {
		e.Ready = func(Status) {}
	}
	if e.Failed == nil {
		e.Failed = func(error, time.Duration) {}
	}
	if e.Polled == nil {
		e.Polled = func(int, int, int) {}
	}
	if e.Unverified == nil {
		e.Unverified = func(time.Time) {}
	}
	return e
}

// Status is what is known now.
func (m *Manager) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.status
	seen := m.o.Stream.seen.Load()
	if seen == nil {
		return s
	}
	s.LastEvent, s.Verified = seen.last, seen.verified
	if seen.status != "" && seen.told.After(m.looked) && s.State != "deleted" { // newer than what was asked for
		s.State, s.Reason = seen.status, seen.reason
	}
	return s
}

func (m *Manager) change(f func(s *Status)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.status)
}

// Run keeps the stream until ctx ends, and returns nil.
func (m *Manager) Run(ctx context.Context) error {
	defer m.client.http.CloseIdleConnections()
	if m.o.Keys != nil {
		defer m.o.Keys.end()
	}
	for failures := 0; ctx.Err() == nil; {
		began := time.Now()
		err := m.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			failures = 0
			continue
		}
		if time.Since(began) > lastRetry {
			failures = 0
		}
		wait := backoff(failures, err)
		failures++
		m.change(func(s *Status) { s.Fault = err.Error() })
		m.o.Told.Failed(err, wait)
		m.pause(ctx, wait)
	}
	return nil
}

// backoff is 1 s, doubled with each failure up to 5 min, or what the transmitter asked for.
func backoff(failures int, err error) time.Duration {
	wait := min(firstRetry<<min(failures, 16), lastRetry)
	if busy, ok := errors.AsType[*source.Busy](err); ok {
		wait = max(wait, busy.After)
	}
	return wait + time.Duration(rand.Int64N(int64(wait/5)+1)) //nolint:gosec // it only spreads load
}

// pause waits, but not if somebody wants the stream looked at.
func (m *Manager) pause(ctx context.Context, wait time.Duration) (kicked bool) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-m.kick:
		return true
	}
	return false
}

// session looks at the transmitter and then keeps to what it found, for an hour or until something fails.
func (m *Manager) session(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	meta, err := m.client.discover(ctx)
	if err != nil {
		return err
	}
	if m.o.Keys != nil {
		// Keys outlive the session: the context that ends with it is not theirs.
		if err := m.o.Keys.follow(context.WithoutCancel(ctx), meta.JWKS); err != nil {
			return fmt.Errorf("the transmitter's jwks_uri: %w", err)
		}
	}
	m.mu.Lock()
	m.meta = meta
	gone := m.deleted
	m.mu.Unlock()
	m.o.Stream.know("", meta.CriticalMembers)
	endpoint := m.o.Poll.URL
	switch {
	case gone:
		<-ctx.Done()
		return nil
	case m.o.Managed:
		at, err := m.ready(ctx, meta)
		if err != nil {
			return err
		}
		if endpoint == "" {
			endpoint = at.Delivery.Endpoint
		}
	default:
		m.o.Stream.know(m.o.StreamID, nil)
		m.change(func(s *Status) { s.State, s.StreamID, s.Fault = "unmanaged", m.o.StreamID, "" })
	}
	return m.keep(ctx, endpoint)
}

// ready makes the stream what it should be.
func (m *Manager) ready(ctx context.Context, meta metadata) (config, error) {
	at, err := m.ensure(ctx, meta)
	if err != nil {
		return config{}, err
	}
	state := streamStatus{Status: "enabled"}
	if meta.Status != "" {
		if state, err = m.client.status(ctx, meta, at.ID); err != nil {
			return config{}, fmt.Errorf("the status of stream %q: %w", at.ID, err)
		}
	}
	m.o.Stream.know(at.ID, nil)
	before := m.Status().State
	m.change(func(s *Status) {
		m.looked = time.Now()
		s.StreamID, s.State, s.Reason, s.Delivered, s.Fault = at.ID, state.Status, short(state.Reason), at.Delivered, ""
	})
	if state.Status != "enabled" || before == "paused" || before == "disabled" { // nobody may have said so by an event
		m.o.Stream.o.Events.Updated(state.Status, short(state.Reason))
	}
	m.o.Told.Ready(m.Status())
	return at, nil
}

// keep verifies and polls until something fails or ctx ends. It leaves nothing running.
func (m *Manager) keep(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithCancel(ctx)
	var polling sync.WaitGroup
	defer polling.Wait()
	defer cancel()
	failed := make(chan error, 1)
	if m.polls() {
		polling.Go(func() { failed <- m.poll(ctx, endpoint) })
	}
	verify := time.NewTimer(0)
	defer verify.Stop()
	if !m.o.Managed || m.o.VerifyEvery <= 0 {
		verify.Stop()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-m.kick:
			return nil // look at everything again
		case <-verify.C:
			next, err := m.verifyNow(ctx)
			if err != nil {
				m.o.Told.Failed(err, next)
				m.change(func(s *Status) { s.Fault = err.Error() })
			}
			verify.Reset(next)
		}
	}
}

func (m *Manager) polls() bool { return m.status.Delivery == "poll" } // which never changes

// verifyNow asks for a verification, after telling that the last one was not answered; next is when to ask again.
func (m *Manager) verifyNow(ctx context.Context) (next time.Duration, err error) {
	before := m.Status()
	if late := before.Asked; !late.IsZero() && before.Verified.Before(late) && time.Since(late) > verifyWithin {
		m.o.Told.Unverified(late)
	}
	err = m.Verify(ctx)
	if busy, ok := errors.AsType[*source.Busy](err); ok {
		return max(busy.After, time.Minute), err
	}
	return m.o.VerifyEvery, err
}

// look has the stream looked at now.
func (m *Manager) look() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}
