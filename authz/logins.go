package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// KindLogin is the kind of the records by which processes that share a store know when a login was first seen: one for each
// session. The key is a digest; the value says nothing of whose session it is.
const KindLogin = "first-login"

// DefaultSessionLife is LoginOptions.SessionLife where nothing is set.
const DefaultSessionLife = 30 * 24 * time.Hour

const (
	// maxLogins bounds the logins, and the sessions, that are remembered here; what is forgotten is still in the store.
	maxLogins = 8192
	// maxLoginLooks bounds how many look-ups wait for the store.
	maxLoginLooks = 64
	// maxLoginTries bounds how often a look-up starts anew because another process wrote the same session. Where many do at
	// once, one of them succeeds each time.
	maxLoginTries = 32
)

// The errors of LoginMemory.Look, besides those of the store: how old the login is cannot be found out now.
var (
	errLoginBusy = fmt.Errorf("%d look-ups of logins wait for the store already; see why it is slow", maxLoginLooks)
	errLoginLate = errors.New("the store has not answered in time; see whether it is reachable")
)

// LoginOptions say how a LoginMemory works. The zero value is ready.
type LoginOptions struct {
	// Within bounds how long a request waits for the store; 0: DefaultReplayWithin.
	Within time.Duration
	// SessionLife is the longest for which a session may not be used and still go on at its issuer; 0: DefaultSessionLife. A
	// session is remembered for that long after it was last used: forgotten earlier, it would be new again.
	SessionLife time.Duration
	Events      LoginEvents
}

// LoginEvents is how a LoginMemory is observed. Looked may be nil, and must not block.
type LoginEvents struct {
	// Looked: the store was asked for a login. An error: it cannot be found out now.
	Looked func(took time.Duration, err error)
}

// LoginMemory remembers when sessions, and what they prove, were first seen: in a store, so that a login is as old in every
// process that shares it, also after a restart, and in a memory of its own in front of that. What it once knew of a session
// only ever becomes older; what it does not know it does not make up. It is safe for concurrent use.
type LoginMemory struct {
	records  signals.Records
	opts     LoginOptions
	looking  chan struct{} // a place for each look-up under way
	turns    turns         // by session: requests of one that come together ask the store one by one
	logins   *identity.Memory[string, *rememberedLogin]
	sessions *identity.Memory[string, *session]
}

// rememberedLogin is what a request needs.
type rememberedLogin struct {
	seen *identity.FirstSeen
	// due is when its record in the store is to be given more time, if the session is still used then.
	due time.Time
}

// NewLogins starts nothing. It reads and writes records of KindLogin, which expire by themselves.
func NewLogins(records signals.Records, options LoginOptions) *LoginMemory {
	if options.Within <= 0 {
		options.Within = DefaultReplayWithin
	}
	if options.SessionLife <= 0 {
		options.SessionLife = DefaultSessionLife
	}
	return &LoginMemory{records: records, opts: options, looking: make(chan struct{}, maxLoginLooks),
		logins:   identity.NewMemory[string, *rememberedLogin](maxLogins, strings.Clone),
		sessions: identity.NewMemory[string, *session](maxLogins, strings.Clone)}
}

// Recall is what is known here of a user's login, without asking the store; nil: nothing. Where the record in the store is
// to be given more time, that is begun.
func (m *LoginMemory) Recall(user *identity.User, at time.Time) *identity.FirstSeen {
	known, ok := m.logins.Get(user.SeenAs.Login)
	if !ok {
		return nil
	}
	if !at.Before(known.due) {
		m.Note(user, at)
	}
	return known.seen
}

// Note has the store asked for a login, and told of it, while nobody waits. With too many under way it does nothing: the
// next request of the session does it.
func (m *LoginMemory) Note(user *identity.User, at time.Time) { _, _ = m.begin(user, at) }

// Look asks the store for a login, and tells it of one that it does not know. It waits no longer than it may. The error is
// why nobody knows now.
func (m *LoginMemory) Look(user *identity.User, at time.Time) (*identity.FirstSeen, error) {
	answer, err := m.begin(user, at)
	if err != nil {
		return nil, err
	}
	late := time.NewTimer(m.opts.Within)
	defer late.Stop()
	select {
	case a := <-answer:
		return a.seen, a.err
	case <-late.C:
		return nil, errLoginLate
	}
}

type lookedUp struct {
	seen *identity.FirstSeen
	err  error
}

// begin asks in a goroutine of its own: a store may sit in a call for longer than it was given, as a file does whose disk
// hangs. What is used of the user is immutable.
func (m *LoginMemory) begin(user *identity.User, at time.Time) (<-chan lookedUp, error) {
	select {
	case m.looking <- struct{}{}:
	default:
		m.looked(0, errLoginBusy)
		return nil, errLoginBusy
	}
	answer := make(chan lookedUp, 1)
	go func() {
		defer func() { <-m.looking }()
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), m.opts.Within)
		defer cancel()
		seen, err := m.inTurn(ctx, user, at)
		m.looked(time.Since(start), err)
		answer <- lookedUp{seen, err}
	}()
	return answer, nil
}

func (m *LoginMemory) looked(took time.Duration, err error) {
	if m.opts.Events.Looked != nil {
		m.opts.Events.Looked(took, err)
	}
}

// inTurn asks, unless another request of the session has brought the answer meanwhile: a page asks for many things at once.
func (m *LoginMemory) inTurn(ctx context.Context, user *identity.User, at time.Time) (*identity.FirstSeen, error) {
	done, err := m.turns.take(ctx, user.SeenAs.Session)
	if err != nil {
		return nil, errLoginLate
	}
	defer done()
	if known, ok := m.logins.Get(user.SeenAs.Login); ok && at.Before(known.due) && !anyAfter(known.seen, provenBy(user, at)) {
		return known.seen, nil
	}
	return m.ask(ctx, user, at)
}

// anyAfter tells whether anything was first seen after an instant.
func anyAfter(seen *identity.FirstSeen, at time.Time) bool {
	return seen.Session.After(at) || seen.ACR.After(at) || slices.ContainsFunc(seen.AMR, func(t time.Time) bool { return t.After(at) })
}

// ask brings the store and this memory together: of each instant the earlier.
func (m *LoginMemory) ask(ctx context.Context, user *identity.User, at time.Time) (seen *identity.FirstSeen, err error) {
	defer func() {
		if fault := recover(); fault != nil { // nothing above this goroutine could
			seen, err = nil, fmt.Errorf("the store failed: %v", fault)
		}
	}()
	as := &user.SeenAs
	for range maxLoginTries {
		record, err := m.records.Record(ctx, KindLogin, as.Session)
		switch {
		case errors.Is(err, signals.ErrNotFound):
			record = signals.Record{}
		case err != nil:
			return nil, err
		}
		known, err := readSession(record.Value)
		if err != nil {
			return nil, fmt.Errorf("record %s of kind %s: %w", as.Session, KindLogin, err)
		}
		if here, ok := m.sessions.Get(as.Session); ok {
			known.join(here)
		}
		known.note(user, at)
		expires := at.Add(m.opts.SessionLife)
		if value := known.bytes(); string(value) != string(record.Value) || !at.Before(record.Expires.Add(-m.opts.SessionLife/2)) {
			err = m.records.PutRecord(ctx, signals.Record{Kind: KindLogin, Key: as.Session,
				Revision: signals.NextRevision(record.Revision, at), Expires: expires, Value: value}, record.Revision)
			if errors.Is(err, signals.ErrConflict) {
				continue
			}
			if err != nil {
				return nil, err
			}
		} else {
			expires = record.Expires
		}
		m.sessions.Put(as.Session, known)
		seen = known.of(user, at)
		m.logins.Put(as.Login, &rememberedLogin{seen: seen, due: expires.Add(-m.opts.SessionLife / 2)})
		return seen, nil
	}
	return nil, fmt.Errorf("other processes wrote the session %d times meanwhile: %w", maxLoginTries, signals.ErrConflict)
}
