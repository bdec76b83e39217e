package ingest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// Source is one sender.
type Source struct {
	Name    string // letters, digits, dot, dash, underscore; the last segment of its URL
	Adapter source.Adapter
	// Attests are the attributes that it may state. Facts on others are dropped, and Events told.
	Attests []string
	Sync    Sync // of an adapter that is a source.Inventory
	// URLSecret: its URL may end in a secret, /v1/sources/NAME/SECRET. Of others that is no path.
	URLSecret bool
	// SETs: it is a transmitter of Security Event Tokens, and its URL is /v1/ssf/NAME. It may attest nothing, since users and
	// sessions are no attributes.
	SETs bool
}

// Options are the receiver's settings. Only Sources has no default.
type Options struct {
	Sources []Source
	MaxBody int              // bytes of one delivery; default 1 MiB
	Now     func() time.Time // default time.Now
	Events  Events
	Workers int // deliveries applied at once; default 64: most of the time they wait for the store, and what they ask goes together
	// Name is what other receivers on the same store know this one by. Keep it across restarts: what an earlier process of
	// this name left in the inbox is then gone on with at once, and else after its lease has ended (30 s). Two that have one
	// name do the same work twice, which changes nothing. Default: a random one.
	Name string
	// Alone: nobody else receives into this store, so nothing is leased.
	Alone bool
	// MaxInbox is how many deliveries of one source may lie in the inbox; more are answered 429. Default 100,000.
	MaxInbox int
	// MaxRemembered is how many new deliveries one source may bring within the 96 hours for which their ids are remembered;
	// more are answered 429. Default 1,000,000.
	MaxRemembered int
	// Rate is how many deliveries of one source are taken per second, by this receiver; more are answered 429. Default 0:
	// as many as come.
	Rate float64
	// Links are the documents about names in force at first; see SetLinks.
	Links []signals.DeviceLink
}

const (
	defaultMaxBody = 1 << 20
	defaultWorkers = 64

	defaultMaxInbox      = 100_000
	defaultMaxRemembered = 1_000_000
)

// Receiver takes deliveries and applies them. Handler and Run may be used at once; several receivers may share one
// store.
type Receiver struct {
	store   signals.Store
	sources map[string]Source
	maxBody int
	workers int
	now     func() time.Time
	events  Events

	queues  *queues
	trouble chan struct{} // something was postponed

	room          *room
	maxRemembered int
	ledgers       map[string]*ledger // by source

	name   string
	alone  bool
	liveMu sync.Mutex
	live   map[string]bool // receivers with a lease

	pulls  map[string]*pulls        // of the sources that can be asked
	syncs  map[string]chan struct{} // ... to list one now
	census *census

	links       atomic.Pointer[links]
	joinsLooked bool // of the sweeping goroutine: what others left half joined is finished
}

var sourceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// New makes a receiver. It starts nothing. The error names every fault of the sources.
func New(store signals.Store, opts Options) (*Receiver, error) {
	r := &Receiver{
		store: store, sources: map[string]Source{}, maxBody: opts.MaxBody, workers: opts.Workers, now: opts.Now,
		events: opts.Events.orSilent(), trouble: make(chan struct{}, 1), ledgers: map[string]*ledger{},
		maxRemembered: opts.MaxRemembered, name: opts.Name, alone: opts.Alone,
	}
	r.setDefaults(opts)
	r.SetLinks(opts.Links)
	var faults []error
	for _, from := range opts.Sources {
		faults = append(faults, check(from))
		if _, twice := r.sources[from.Name]; twice {
			faults = append(faults, fmt.Errorf("source %q: two sources have this name; rename one", from.Name))
		}
		from.Attests = slices.Clone(from.Attests)
		r.sources[from.Name], r.ledgers[from.Name] = from, newLedger()
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	r.setInventories()
	return r, nil
}

func (r *Receiver) setDefaults(opts Options) {
	if r.maxBody <= 0 {
		r.maxBody = defaultMaxBody
	}
	if r.workers <= 0 {
		r.workers = defaultWorkers
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.maxRemembered <= 0 {
		r.maxRemembered = defaultMaxRemembered
	}
	if r.name == "" {
		r.name = rand.Text()
	}
	most := opts.MaxInbox
	if most <= 0 {
		most = defaultMaxInbox
	}
	r.room = newRoom(most, opts.Rate)
	r.queues = newQueues(r.workers, len(opts.Sources))
}

func check(from Source) error {
	var faults []error
	if !sourceName.MatchString(from.Name) {
		faults = append(faults, fmt.Errorf("source %q: a name is 1 to 63 letters, digits, dots, dashes and underscores",
			from.Name))
	}
	if from.Adapter == nil {
		faults = append(faults, fmt.Errorf("source %q: it has no adapter", from.Name))
	}
	if len(from.Attests) == 0 && !from.SETs {
		faults = append(faults, fmt.Errorf("source %q: it may attest nothing; list the attributes that it may state",
			from.Name))
	}
	for _, name := range from.Attests {
		if _, found := signals.LookupAttribute(name); !found {
			faults = append(faults, fmt.Errorf("source %q: there is no attribute %q that it could attest", from.Name, name))
		}
	}
	return errors.Join(faults...)
}
