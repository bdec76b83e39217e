package authz

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/signals"
)

// KindProof is the kind of the records by which processes that share a store know the DPoP proofs that were used. They
// are without value; the key is that of token.Once.
const KindProof = "dpop-proof"

// DefaultReplayWithin is how long a request waits at most for the store to take a note.
const DefaultReplayWithin = 100 * time.Millisecond

const (
	// maxNoting bounds how many requests wait for the store: what it cannot take is refused at once instead of piling up.
	maxNoting = 64
	// maxSeen bounds the names that are remembered here, 32 bytes and an instant each. What is forgotten too early is
	// still in the store.
	maxSeen = 1 << 16
	// storeAhead is how far the clock of a store may be ahead of ours before it forgets a proof that still counts.
	storeAhead = time.Minute
)

// The errors of ReplayMemory.Once besides ErrReplayed: the answer cannot be found out now.
var (
	errReplayBusy = fmt.Errorf("%d requests wait for the store already; see why it is slow", maxNoting)
	errReplayLate = errors.New("the store has not answered in time; see whether it is reachable")
	errReplayOver = errors.New("the proof has aged out, or would never: the clocks of this machine disagree")
)

// ReplayOptions say how a ReplayMemory works. The zero value is ready.
type ReplayOptions struct {
	// Within bounds how long a request waits for the store; 0: DefaultReplayWithin. Half of Envoy's own patience (its
	// ext_authz timeout) leaves room for the answer.
	Within time.Duration
	Events ReplayEvents
}

// ReplayEvents is how a ReplayMemory is observed. Checked may be nil, and must not block.
type ReplayEvents struct {
	// Checked: a proof was asked for. nil: it is new; ErrReplayed; any other error: that cannot be found out now.
	Checked func(took time.Duration, err error)
}

// ReplayMemory remembers proofs that count once (RFC 9449, section 11.1) in a store, so that no process that shares it
// takes one a second time, also after a restart. In front of it stands a memory of its own: what this process has seen is
// a replay without asking the store, hence during its outage too, and a flood of one proof writes nothing. It is safe for
// concurrent use.
type ReplayMemory struct {
	records signals.Records
	within  time.Duration
	events  ReplayEvents
	noting  chan struct{} // a place for each request that waits for the store
	seen    seen
}

var _ Replays = (*ReplayMemory)(nil)

// NewReplays starts nothing. It writes records of KindProof, which expire by themselves, and reads none.
func NewReplays(records signals.Records, options ReplayOptions) *ReplayMemory {
	if options.Within <= 0 {
		options.Within = DefaultReplayWithin
	}
	return &ReplayMemory{records: records, within: options.Within, events: options.Events, noting: make(chan struct{}, maxNoting)}
}

// Once implements Replays. A proof is new exactly once: to whom the store has said so. One whose note failed may be asked
// for again, since nobody was let in with it.
func (m *ReplayMemory) Once(once token.Once) error {
	start := time.Now()
	err := m.once(once, start)
	if m.events.Checked != nil {
		m.events.Checked(time.Since(start), err)
	}
	return err
}

func (m *ReplayMemory) once(once token.Once, now time.Time) error {
	if once.Key == "" || !once.Until.After(now) {
		return errReplayOver // a record that has expired when it is written is never in the way of the next
	}
	name := sha256.Sum256([]byte(once.Key))
	if !m.seen.add(name, once.Until, now) {
		return ErrReplayed
	}
	err := m.note(once, now)
	if err != nil && !errors.Is(err, ErrReplayed) {
		m.seen.remove(name)
	}
	return err
}

// note writes to the store. A store may sit in a write for longer than it was given, as a file does whose disk hangs: then
// the request goes on without an answer, and the write keeps its place until it ends.
func (m *ReplayMemory) note(once token.Once, now time.Time) error {
	select {
	case m.noting <- struct{}{}:
	default:
		return errReplayBusy
	}
	ctx, cancel := context.WithTimeout(context.Background(), m.within)
	defer cancel()
	record := signals.Record{Kind: KindProof, Key: strings.Clone(once.Key), Revision: signals.NextRevision(0, now),
		Expires: once.Until.Add(storeAhead)}
	answer := make(chan error, 1)
	go func() {
		defer func() { <-m.noting }()
		answer <- m.put(ctx, record)
	}()
	select {
	case err := <-answer:
		if errors.Is(err, signals.ErrConflict) {
			return ErrReplayed
		}
		return err
	case <-ctx.Done():
		return errReplayLate
	}
}

// put turns a defect of a store into an error: nothing above this goroutine could.
func (m *ReplayMemory) put(ctx context.Context, record signals.Record) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("the store failed: %v", fault)
		}
	}()
	return m.records.PutRecord(ctx, record, 0)
}

// seen holds names in two generations: when the young one is full, or all of the old one have aged out, the young one
// becomes the old one and what was the old one is forgotten. The zero value is ready.
type seen struct {
	mu         sync.Mutex
	young, old generationOfNames
}

type generationOfNames struct {
	until map[[sha256.Size]byte]time.Time
	last  time.Time // the latest of them
}

// add remembers a name; false: it is remembered already, and has not aged out.
func (s *seen) add(name [sha256.Size]byte, until, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range []*generationOfNames{&s.young, &s.old} {
		if before, ok := g.until[name]; ok && before.After(now) {
			return false
		}
	}
	if len(s.young.until) >= maxSeen/2 || len(s.young.until) > 0 && !s.old.last.After(now) {
		s.old, s.young = s.young, generationOfNames{}
	}
	if s.young.until == nil {
		s.young.until = map[[sha256.Size]byte]time.Time{}
	}
	s.young.until[name] = until
	if until.After(s.young.last) {
		s.young.last = until
	}
	return true
}

func (s *seen) remove(name [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.young.until, name)
	delete(s.old.until, name)
}
