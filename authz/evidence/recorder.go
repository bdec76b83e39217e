package evidence

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// Defaults of Options.
const (
	DefaultMaxBytes = 256 << 20
	DefaultKeep     = 8
	DefaultQueue    = 8192
	DefaultWithin   = 100 * time.Millisecond
)

const (
	// batchEntries and batchBytes bound what is written at once. batchEntries is also how far behind a record its
	// annulment may stand.
	batchEntries = 256
	batchBytes   = 4 << 20
	// queueBytes bounds what waits on each of the two ways to the file.
	queueBytes = 32 << 20
	// syncEvery bounds what a power cut can take of the records that nobody waited for.
	syncEvery = time.Second
	// After a failed write the next attempt comes so much later, twice as much each time.
	firstRetry = 10 * time.Millisecond
	lastRetry  = time.Second
)

// Options say where decisions are recorded. Zero values get the defaults.
type Options struct {
	File     string        // absolute; its directory exists and nobody else may write there
	MaxBytes int64         // of the file; then it becomes an older one: FILE.<time>
	Keep     int           // older files that are kept; the oldest goes
	Queue    int           // records that wait to be written; and as many of those that somebody waits for
	Within   time.Duration // how long a decision that must be on record may wait for it
	Events   Events
	Now      func() time.Time // for the names of older files; default time.Now
}

// Events is how the recorder is observed. Any of them may be nil; all are called from Run, one at a time.
type Events struct {
	// Failed: the file cannot be written now; told when that begins and when the reason changes, counted each time.
	// Records wait, then are dropped. retryIn is 0 where nothing waits. Or: one record has no JSON form.
	Failed func(err error, retryIn time.Duration)
	// Recovered: the file is written again, so long after the first failure.
	Recovered func(away time.Duration)
	// Lost: so many more decisions are in no record: dropped, because the queue was full, or impossible to write.
	Lost func(decisions uint64)
	// LostChanges: so many more changes of the policy are in no record: too many waited, or they were impossible to write.
	LostChanges func(changes uint64)
	// Mended: the last line of the file was torn, as a crash leaves it. It is now in aside.
	Mended func(file, aside string, bytes int)
	// Rotated: the file was full and is now an older one of this name.
	Rotated func(older string)
}

func (e *Events) failed(err error, retryIn time.Duration) {
	if e.Failed != nil {
		e.Failed(err, retryIn)
	}
}

func (e *Events) recovered(away time.Duration) {
	if e.Recovered != nil {
		e.Recovered(away)
	}
}

func (e *Events) lost(decisions uint64) {
	if e.Lost != nil {
		e.Lost(decisions)
	}
}

func (e *Events) lostChanges(changes uint64) {
	if e.LostChanges != nil {
		e.LostChanges(changes)
	}
}

func (e *Events) mended(file, aside string, bytes int) {
	if e.Mended != nil {
		e.Mended(file, aside, bytes)
	}
}

func (e *Events) rotated(older string) {
	if e.Rotated != nil {
		e.Rotated(older)
	}
}

// Stats are counts since the start. Offered = Written + Withdrawn + Dropped + Failed + Held, at every instant.
type Stats struct {
	Offered   uint64 // decisions that came to be recorded
	Written   uint64 // that are in the file; those waited for are on the disk too
	Withdrawn uint64 // that nobody gave, because the record came too late: not in the file, or annulled there
	Dropped   uint64 // that found no room
	Failed    uint64 // that could not be written: no JSON form, or the file failed until the end
	Held      uint64 // that wait
	Faults    uint64 // attempts to write that failed
	Torn      uint64 // torn last lines that were set aside

	// Changes are no decisions and count in none of the above, but in Faults.
	Changes     uint64 // changes of the policy that are on the disk
	ChangesLost uint64 // that are in no record
}

// Recorder puts decisions on record. A nil *Recorder records nothing, and lets no decision pass that must be on record.
// It is safe for concurrent use.
type Recorder struct {
	opts    Options
	queue   *queue
	journal *journal

	// The rest belongs to Run.
	pending []*entry // taken from the queue, not yet in the file
	annul   []string // ids of records in the file whose decision was not given
	encoder encoder
	told    uint64 // of the losses, how many Events.Lost has told
	// toldChanges is likewise of Events.LostChanges.
	toldChanges uint64
	failing     time.Time // since when the file fails; zero: it does not
	retry       time.Duration
	// lastFault is what Events.Failed has told of this failure.
	lastFault string
}

// New starts nothing and touches no file. The error names what is wrong with the options.
func New(o Options) (*Recorder, error) {
	orDefault(&o.MaxBytes, DefaultMaxBytes)
	orDefault(&o.Keep, DefaultKeep)
	orDefault(&o.Queue, DefaultQueue)
	orDefault(&o.Within, DefaultWithin)
	switch {
	case !filepath.IsAbs(o.File):
		return nil, fmt.Errorf("the evidence file %q is no absolute path", o.File)
	case o.MaxBytes < 0 || o.Keep < 0 || o.Queue < 0 || o.Within < 0:
		return nil, errors.New("a limit of the evidence file is negative")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Recorder{opts: o, queue: newQueue(o.Queue, queueBytes)}
	r.journal = &journal{path: filepath.Clean(o.File), maxBytes: o.MaxBytes, keep: o.Keep, disk: machine{}, now: o.Now,
		events: &r.opts.Events, torn: func() { r.queue.count(func(s *Stats) { s.Torn++ }) }}
	return r, nil
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Stats may be called at any time, also of a nil Recorder.
func (r *Recorder) Stats() Stats {
	if r == nil {
		return Stats{}
	}
	r.queue.mu.Lock()
	defer r.queue.mu.Unlock()
	return r.queue.stats
}

// Settle puts a decision on record and returns the verdict to stand by: the record's own, or Withheld of it where a record
// is Demanded and none could be made in time. Without a Recorder only the tier's word demands one. It clones
// what is a part of the message that was asked with; what else the record refers to must never change.
func (r *Recorder) Settle(d *Record) policy.Verdict {
	if !r.Waits(&d.Verdict) {
		r.Record(d)
		return d.Verdict
	}
	if r.RecordDurably(d) {
		return d.Verdict
	}
	refused := *d
	refused.Verdict = Withheld(d.Verdict)
	r.Record(&refused)
	return refused.Verdict
}

// Waits tells whether Settle waits for the disk with a verdict.
func (r *Recorder) Waits(v *policy.Verdict) bool {
	return v.Evidence == policy.EvidenceRequired || r != nil && lenient(v)
}

// Record never blocks. It is false if there was no room, which is counted.
func (r *Recorder) Record(d *Record) bool {
	return r != nil && r.queue.put(d, false) != nil
}

// RecordDurably is true when the record is on the disk, and false when that took longer than Options.Within or cannot
// be: then the decision must not be given, and the file will not say that it was.
func (r *Recorder) RecordDurably(d *Record) bool {
	if r == nil {
		return false
	}
	e := r.queue.put(d, true)
	if e == nil {
		return false
	}
	timer := time.NewTimer(r.opts.Within)
	defer timer.Stop()
	select {
	case <-e.settled:
	case <-timer.C:
		if e.state.CompareAndSwap(stateWaiting, stateWithdrawn) {
			return false
		}
	}
	return e.state.Load() == stateKept
}
