package drift

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/tiergate/tiergate/xds/lint"
)

const (
	// Every is how often the running Envoy is compared anyway.
	Every = 30 * time.Second
	// settleFor is how long a change may be under way: only what two looks so far apart see is a difference.
	settleFor = time.Second
	// tries is how often a look is begun again because what is served changed meanwhile.
	tries = 5
)

// Events are told what a comparison finds, each if it is set; they must not block.
type Events struct {
	// Compared is told every outcome; changed: it is another than the last one.
	Compared func(r Report, changed bool)
}

// Options of a Watcher.
type Options struct {
	Socket string        // absolute path of the Unix socket of Envoy's admin interface
	Intent func() Intent // what is meant now
	Events Events
}

// Watcher compares one running Envoy with its Intent, again and again. Its zero intervals are the package's own.
type Watcher struct {
	admin   adminOf
	intent  func() Intent
	events  Events
	every   time.Duration
	settles time.Duration
	soon    chan struct{} // holds one

	looking sync.Mutex // one look at a time
	mu      sync.Mutex
	last    Report
}

// New makes a Watcher that starts nothing.
func New(o Options) *Watcher {
	return &Watcher{
		admin:  adminOf{socket: o.Socket, bound: maxDump, within: answerWithin},
		intent: o.Intent, events: o.Events, every: Every, settles: settleFor, soon: make(chan struct{}, 1),
		last: Report{Socket: o.Socket, Fault: "Envoy was not asked yet", Differences: []Difference{}, Findings: []lint.Finding{}},
	}
}

// Soon asks for a comparison once a change may have settled. It never blocks.
func (w *Watcher) Soon() {
	select {
	case w.soon <- struct{}{}:
	default:
	}
}

// Report is the outcome of the newest comparison.
func (w *Watcher) Report() Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// Run compares every half minute, and a second after each Soon, until the context ends.
func (w *Watcher) Run(ctx context.Context) error {
	wait := time.NewTimer(w.settles) // an Envoy that runs already connects first
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.soon:
			wait.Reset(w.settles)
			continue
		case <-wait.C:
		}
		w.Look(ctx)
		wait.Reset(w.every)
	}
}

// Look compares now and returns what it finds. A difference counts if a second look, a second later, sees it too while the
// same is served: Envoy takes over a change bit by bit.
func (w *Watcher) Look(ctx context.Context) Report {
	w.looking.Lock()
	defer w.looking.Unlock()
	report := Report{Socket: w.admin.socket, At: time.Now().UTC()}
	err := w.look(ctx, &report)
	if ctx.Err() != nil {
		return w.Report() // the process ends, or whoever asked left: nothing was found out
	}
	if err != nil {
		report.Fault = err.Error()
	}
	if report.Differences == nil {
		report.Differences = []Difference{}
	}
	if report.Findings == nil {
		report.Findings = []lint.Finding{}
	}
	w.mu.Lock()
	changed := !alike(w.last, report)
	w.last = report
	w.mu.Unlock()
	if w.events.Compared != nil {
		w.events.Compared(report, changed)
	}
	return report
}

// alike reports the same outcome, at whatever time.
func alike(a, b Report) bool {
	return a.Fault == b.Fault && a.Absent == b.Absent && a.Node == b.Node && a.Envoy == b.Envoy &&
		a.NotLinted == b.NotLinted && reflect.DeepEqual(a.Differences, b.Differences) && reflect.DeepEqual(a.Findings, b.Findings)
}

var errNothingServed = errors.New("no policy is in force yet, so nothing is meant that could be compared")

func (w *Watcher) look(ctx context.Context, report *Report) error {
	if why, yes := absent(w.admin.socket); yes {
		report.Absent = true
		return fmt.Errorf("%s, so no running Envoy is compared with what is meant: start one with the bootstrap that "+
			"`tiergate envoy bootstrap` prints, or set envoy.adminSocket", why)
	}
	for range tries {
		first, err := w.once(ctx, report)
		if err != nil || report.Served != w.intent().Version {
			if err != nil {
				return err
			}
			pause(ctx, w.settles)
			continue
		}
		if len(first) == 0 {
			return nil
		}
		pause(ctx, w.settles)
		served := report.Served
		second, err := w.once(ctx, report)
		if err != nil {
			return err
		}
		if report.Served == served && w.intent().Version == served {
			report.Differences = both(first, second)
			return nil
		}
	}
	return fmt.Errorf("what Envoy is given changed again and again while it was asked, %d times: it is compared later", tries)
}

// once asks once and fills in what is known of the Envoy.
func (w *Watcher) once(ctx context.Context, report *Report) ([]Difference, error) {
	intent := w.intent()
	if intent.Version == "" {
		return nil, errNothingServed
	}
	m, err := newMeant(intent)
	if err != nil {
		return nil, err
	}
	kept := &keptDump{}
	info, found, err := w.admin.ask(ctx, m, kept)
	if err != nil {
		return nil, err
	}
	report.Served, report.Envoy, report.Node = intent.Version, info.version(), info.Node.ID
	report.Findings, report.NotLinted = kept.lint(w.admin.socket)
	return found, nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
