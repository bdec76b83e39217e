package evidence

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Run writes until ctx ends, then what still waits. It fails if the file cannot be had at the start, or not be finished
// at the end; in between it goes on trying. It may be called once.
func (r *Recorder) Run(ctx context.Context) error {
	defer r.abandon()
	if err := checkDir(r.journal.path); err != nil {
		return err
	}
	claim, err := lock(r.journal.path)
	if err != nil {
		return err
	}
	defer claim.Close()
	if err := r.journal.open(); err != nil {
		return err
	}
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return r.finish()
		case <-tick.C:
			r.tellLost()
			if err := r.journal.sync(); err != nil {
				r.fault(err, 0)
			}
		case <-r.queue.wake:
			for ctx.Err() == nil && r.more() {
				r.persist(ctx)
			}
		}
	}
}

// more takes what waits, up to a batch, and tells whether there is anything to write.
func (r *Recorder) more() bool {
	if len(r.pending) == 0 {
		r.pending = r.queue.take(r.pending, batchEntries)
	}
	return len(r.pending)+len(r.annul) > 0
}

// persist writes a batch, however long it takes.
func (r *Recorder) persist(ctx context.Context) {
	for {
		wrote, err := r.write()
		if wrote {
			r.recovered()
		}
		if err == nil {
			return
		}
		r.retry = min(max(2*r.retry, firstRetry), lastRetry)
		r.fault(err, r.retry)
		select {
		case <-ctx.Done():
			return
		case <-time.After(r.retry):
		}
		r.tellLost()
	}
}

// fault counts that the file failed, and tells it if that is new.
func (r *Recorder) fault(err error, retryIn time.Duration) {
	if r.failing.IsZero() {
		r.failing = time.Now()
	}
	r.queue.count(func(s *Stats) { s.Faults++ })
	if err.Error() != r.lastFault {
		r.lastFault = err.Error()
		r.opts.Events.failed(err, retryIn)
	}
}

func (r *Recorder) recovered() {
	if !r.failing.IsZero() {
		r.opts.Events.recovered(time.Since(r.failing))
	}
	r.failing, r.lastFault, r.retry = time.Time{}, "", 0
}

// tellLost tells of new losses.
func (r *Recorder) tellLost() {
	stats := r.Stats()
	if lost := stats.Dropped + stats.Failed; lost > r.told {
		r.opts.Events.lost(lost - r.told)
		r.told = lost
	}
	if lost := stats.ChangesLost; lost > r.toldChanges {
		r.opts.Events.lostChanges(lost - r.toldChanges)
		r.toldChanges = lost
	}
}

// write makes one attempt at the batch: what is owed of older records, the losses, the records. wrote is false if there
// was nothing to write.
func (r *Recorder) write() (wrote bool, err error) {
	e := &r.encoder
	e.reset()
	for _, id := range r.annul {
		if err := e.add(line{V: Version, Annul: id}); err != nil {
			return false, err
		}
	}
	lost := r.queue.untold()
	if lost > 0 {
		if err := e.add(line{V: Version, Lost: lost}); err != nil {
			return false, err
		}
	}
	batch, sync := r.encodePending()
	r.pending = r.queue.done(r.pending)
	if e.buffer.Len() == 0 {
		return false, nil
	}
	if len(r.annul) == 0 { // an annulment stands in the file of its record
		if err := r.journal.rotate(e.buffer.Len()); err != nil {
			return false, err
		}
	}
	if err := r.journal.append(e.buffer.Bytes(), sync || len(r.annul) > 0); err != nil {
		return false, err
	}
	r.queue.told(lost)
	r.annul = r.annul[:0]
	for _, entry := range batch {
		r.kept(entry)
	}
	r.pending = r.queue.done(r.pending)
	return true, nil
}

// encodePending adds the lines of the records that somebody still wants, up to batchBytes. sync: somebody waits for
// one.
func (r *Recorder) encodePending() (batch []*entry, sync bool) {
	for _, entry := range r.pending {
		if r.encoder.buffer.Len() > batchBytes {
			break
		}
		if entry.state.Load() == stateWithdrawn {
			entry.fate = fateWithdrawn
			continue
		}
		if err := r.encoder.add(entry.line()); err != nil {
			r.opts.Events.failed(fmt.Errorf("%v cannot be recorded: %w", entry, err), 0)
			r.refuse(entry)
			continue
		}
		batch = append(batch, entry)
		sync = sync || entry.settled != nil
	}
	return batch, sync
}

// kept says that an entry is in the file. Where nobody waits any more, the file has to say so too.
func (r *Recorder) kept(e *entry) {
	e.fate = fateWritten
	if e.settled != nil && !e.state.CompareAndSwap(stateWaiting, stateKept) {
		e.fate = fateWithdrawn
		r.annul = append(r.annul, e.record.ID)
	}
}

// refuse says that an entry is in no record.
func (r *Recorder) refuse(e *entry) {
	e.fate = fateFailed
	if e.settled != nil && !e.state.CompareAndSwap(stateWaiting, stateFailed) {
		e.fate = fateWithdrawn
	}
}

// finish lets nothing more in and makes one attempt at each batch that still waits.
func (r *Recorder) finish() error {
	r.queue.close()
	var err error
	for err == nil && r.more() {
		_, err = r.write()
	}
	if err == nil && r.queue.untold() > 0 {
		_, err = r.write()
	}
	if err != nil {
		r.fault(err, 0)
	}
	err = errors.Join(err, r.journal.close())
	owed := len(r.annul)
	r.abandon()
	if changes := r.Stats().ChangesLost; err != nil && changes > 0 {
		err = fmt.Errorf("%w; %d changes of the policy are in no record", err, changes)
	}
	if err != nil {
		return fmt.Errorf("%w; %d decisions are in no record, and %d that were not given could not be annulled",
			err, r.Stats().Failed, owed)
	}
	return nil
}

// abandon gives up everything that waits and lets nothing more in.
func (r *Recorder) abandon() {
	r.queue.close()
	for len(r.pending) > 0 || r.more() {
		for _, e := range r.pending {
			r.refuse(e)
		}
		r.pending = r.queue.done(r.pending)
		r.annul = nil
	}
	r.tellLost()
}
