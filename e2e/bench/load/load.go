package load

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Options say what to drive and how.
type Options struct {
	Socket  string // the server's Unix socket
	Request []byte // one encoded CheckRequest; at most 16 KiB
	// Connections × InFlight calls are under way in a closed loop; both are at least 1.
	Connections, InFlight int
	// Rate is the calls per second, over all connections together, of an open loop. 0: a closed loop.
	Rate int
	// WarmUp is not measured; Measure is.
	WarmUp, Measure time.Duration
	// Pids are the processes whose CPU time is taken over the measured time.
	Pids []int
	// CPU returns the CPU time (user and system) that a process has used so far. Nil: none is taken.
	CPU func(pid int) (time.Duration, error)
}

// Result is what was measured.
type Result struct {
	Requests             int64           // answered in the measured time, every one with OK
	Took                 time.Duration   // the measured time
	CPU                  []time.Duration // of each of Options.Pids, in their order
	P50, P99, P999, Most time.Duration
}

// PerSecond is the number of requests that were answered in a second.
func (r Result) PerSecond() float64 { return float64(r.Requests) / r.Took.Seconds() }

// CPUMicros is the CPU time that a process (by its place in Options.Pids) spent on one request, in µs.
func (r Result) CPUMicros(process int) float64 {
	return float64(r.CPU[process].Nanoseconds()) / 1e3 / float64(r.Requests)
}

// The limits of a load: one frame holds a request, and what is in flight on a connection fits into a socket's buffer,
// so that neither side ever waits for the other to read.
const (
	maxRequest  = 16<<10 - 5
	maxInFlight = 128 << 10 // bytes
)

func (o *Options) check() error {
	switch {
	case len(o.Request) == 0 || len(o.Request) > maxRequest:
		return fmt.Errorf("a request has %d bytes; one of 1 to %d can be driven", len(o.Request), maxRequest)
	case o.Connections < 1 || o.InFlight < 1:
		return fmt.Errorf("%d connections × %d in flight is no load; both are at least 1", o.Connections, o.InFlight)
	case o.InFlight*len(o.Request) > maxInFlight:
		return fmt.Errorf("%d requests of %d bytes in flight fill the socket; %d bytes are the limit",
			o.InFlight, len(o.Request), maxInFlight)
	case o.Rate < 0 || o.WarmUp < 0 || o.Measure <= 0:
		return errors.New("rate and times cannot be negative, and something must be measured")
	}
	return nil
}

// The phases of a load. What is answered in phaseMeasure counts.
const (
	phaseWarmUp int32 = iota
	phaseMeasure
	phaseOver
)

// watch is the measuring of one load: which phase it is in, and the first fault.
type watch struct {
	phase atomic.Int32
	fault chan error // the first one is kept
}

func newWatch() *watch { return &watch{fault: make(chan error, 1)} }

func (w *watch) fail(err error) {
	if w.phase.Load() == phaseOver {
		return // the connections are being closed
	}
	select {
	case w.fault <- err:
	default:
	}
}

// run leads through the phases and takes time and CPU at their borders.
func (w *watch) run(o *Options) (Result, error) {
	if err := w.wait(o.WarmUp); err != nil {
		return Result{}, err
	}
	before, err := o.cpu()
	if err != nil {
		return Result{}, err
	}
	began := time.Now()
	w.phase.Store(phaseMeasure)
	if err := w.wait(o.Measure); err != nil {
		return Result{}, err
	}
	w.phase.Store(phaseOver)
	r := Result{Took: time.Since(began)}
	if r.CPU, err = o.cpu(); err != nil {
		return Result{}, err
	}
	for i := range r.CPU {
		r.CPU[i] -= before[i]
	}
	return r, nil
}

func (w *watch) wait(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	var err error
	select {
	case err = <-w.fault:
	case <-timer.C:
		select { // both may have been there
		case err = <-w.fault:
		default:
		}
	}
	if err != nil {
		w.phase.Store(phaseOver)
	}
	return err
}

func (o *Options) cpu() ([]time.Duration, error) {
	if o.CPU == nil {
		return nil, nil
	}
	used := make([]time.Duration, 0, len(o.Pids))
	for _, pid := range o.Pids {
		spent, err := o.CPU(pid)
		if err != nil {
			return nil, fmt.Errorf("the CPU time of process %d: %w", pid, err)
		}
		used = append(used, spent)
	}
	return used, nil
}

// finish adds what the connections counted.
func (r *Result) finish(counted []*histogram) error {
	all := &histogram{}
	for _, h := range counted {
		all.add(h)
	}
	if all.count == 0 {
		return errors.New("not one request was answered in the measured time")
	}
	r.Requests = all.count
	r.P50, r.P99, r.P999, r.Most = all.quantile(0.5), all.quantile(0.99), all.quantile(0.999), all.most
	return nil
}
