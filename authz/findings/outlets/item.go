package outlets

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// The kinds of records. Key is OUTLET/INSTANT-HASH, so that the order of keys is the order of events; dead letters keep theirs.
// Of KindOutlet the key is the outlet's name.
const (
	KindQueue  = "outlet-queue"
	KindDead   = "outlet-dead"
	KindOutlet = "outlet"
)

// schedule is when an event that was refused is tried again, after each attempt: that of Standard Webhooks 1.0.0
// ("Retry schedule"), 75 h in all.
var schedule = []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour,
	14 * time.Hour, 20 * time.Hour, 24 * time.Hour}

// giveUpAfter is how long an event is tried; deadFor how long a dead letter is kept.
const (
	giveUpAfter = 76 * time.Hour
	deadFor     = 90 * 24 * time.Hour
)

// entry is the value of a record of KindQueue and KindDead.
type entry struct {
	Event    Event     `json:"event"`
	Queued   time.Time `json:"queued"`
	Attempts int       `json:"attempts,omitempty"` // that count against the schedule
	After    time.Time `json:"after,omitzero"`     // not to be tried before
	Error    string    `json:"error,omitempty"`    // of the last attempt, or why it is dead
	Died     time.Time `json:"died,omitzero"`
}

// item is a queued event in memory.
type item struct {
	key      string
	revision signals.Revision
	entry
	wholly bool // the last failure was the outlet's
	sent   bool // told, and its record is still to be deleted
}

func keyOf(outlet string, e *Event) string {
	return fmt.Sprintf("%s/%016x-%s", outlet, uint64(max(0, e.At.UnixMicro())), strings.TrimPrefix(e.ID, "evt_"))
}

// outletOf is the outlet of a key.
func outletOf(key string) string {
	name, _, _ := strings.Cut(key, "/")
	return name
}

func (e *entry) encode() []byte { return spell(e) }

func readItem(r *signals.Record) (*item, error) {
	it := &item{key: r.Key, revision: r.Revision}
	if err := json.Unmarshal(r.Value, &it.entry); err != nil {
		return nil, fmt.Errorf("%s %q: %w: %w", r.Kind, r.Key, err, signals.ErrCorrupt)
	}
	if it.Event.ID == "" {
		return nil, fmt.Errorf("%s %q has no event: %w", r.Kind, r.Key, signals.ErrCorrupt)
	}
	return it, nil
}

// spread takes a quarter from a wait or adds one, so that many do not come back at once.
func spread(d time.Duration) time.Duration {
	if d <= 1 {
		return d
	}
	return d*3/4 + rand.N(d/2) //nolint:gosec // it only spreads load
}
