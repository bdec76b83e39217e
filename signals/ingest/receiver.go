package ingest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
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
}

// Options are the receiver's settings. Only Sources has no default.
type Options struct {
	Sources []Source
	MaxBody int              // bytes of one delivery; default 1 MiB
	Now     func() time.Time // default time.Now
	Events  Events
	Workers int // deliveries applied at once; default 4
}

const (
	defaultMaxBody = 1 << 20
	defaultWorkers = 4
	// queueLength bounds the keys that wait in memory; more wait in the inbox until the next sweep.
	queueLength = 1024
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

	queue   chan string   // keys of inbox entries
	trouble chan struct{} // something was postponed
	mu      sync.Mutex
	claimed map[string]bool // keys in the queue or being applied
}

var sourceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// New makes a receiver. It starts nothing. The error names every fault of the sources.
func New(store signals.Store, opts Options) (*Receiver, error) {
	r := &Receiver{
		store: store, sources: map[string]Source{}, maxBody: opts.MaxBody, workers: opts.Workers, now: opts.Now,
		events: opts.Events.orSilent(),
		queue:  make(chan string, queueLength), trouble: make(chan struct{}, 1), claimed: map[string]bool{},
	}
	if r.maxBody <= 0 {
		r.maxBody = defaultMaxBody
	}
	if r.workers <= 0 {
		r.workers = defaultWorkers
	}
	if r.now == nil {
		r.now = time.Now
	}
	var faults []error
	for _, from := range opts.Sources {
		faults = append(faults, check(from))
		if _, twice := r.sources[from.Name]; twice {
			faults = append(faults, fmt.Errorf("source %q: two sources have this name; rename one", from.Name))
		}
		from.Attests = slices.Clone(from.Attests)
		r.sources[from.Name] = from
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return r, nil
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
	if len(from.Attests) == 0 {
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
