package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/authz/policydiff"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/config/policyfile"
)

// policyChange is a policy that was published, and how that came about.
type policyChange struct {
	prepared
	seen  string              // digest of the policy directory's files then
	fault string              // why the policy directory's text is not in force
	kind  evidence.ChangeKind // what the record says
	how   string              // byStart and so on
	by    string              // who, or how if nobody
	kept  string              // under which digest it was kept
	words admin.PolicyOrder
	unpin bool
}

// took tells everybody what is in force now: status, history, evidence. What fails of it changes nothing of that.
func (r *reloader) took(c policyChange) (*evidence.ChangeReceipt, error) {
	var faults []error
	if c.unpin {
		if err := r.history.setPin(nil); err != nil { // the directory has changed, so a restart comes to the same
			faults = append(faults, err)
		}
		r.history.told.Pinned(nil)
	}
	digest, at := c.policy.Digest(), time.Now().UTC()
	status := admin.PolicyStatus{Digest: digest, LoadedAt: at, Documents: documents(c.policy), Fault: c.fault}
	if !c.unpin {
		status.Pinned = r.history.pinned().shown()
	}
	r.mu.Lock()
	before := r.status.Digest
	r.unfresh = "" // what changed beside the policy went along
	r.seen, r.inForce, r.status = c.seen, c.policy, status
	r.mu.Unlock()
	r.told(c.fault)
	if err := r.history.add(c.files, keptMeta{Digest: digest, LoadedAt: at, Documents: status.Documents, By: c.how}); err != nil {
		faults = append(faults, err)
	}
	err := errors.Join(faults...)
	if err != nil {
		r.mu.Lock()
		r.status.HistoryFault = err.Error()
		r.mu.Unlock()
		r.history.told.Failed(err)
	}
	if r.record == nil {
		return nil, err
	}
	change := &evidence.Change{At: at, Kind: c.kind, Policy: digest, Before: before, By: c.by, Reason: c.words.Reason, Ticket: c.words.Ticket}
	if c.kept != digest {
		change.Kept = c.kept
	}
	return r.record(change), err
}

// stays says that the pinned policy stays: the policy directory is again, or still, what it was when that was pinned.
func (r *reloader) stays(digest string) {
	r.mu.Lock()
	faulty := r.status.Fault != ""
	r.seen, r.status.Fault = digest, ""
	r.mu.Unlock()
	if faulty {
		r.told("")
	}
}

// loadPinned begins with the pinned policy. A policy directory that was edited meanwhile wins, if it can; a pinned policy
// that cannot be used is no reason to take the directory's, which somebody decided against.
func (r *reloader) loadPinned(ctx context.Context, files *policyfile.Files, err error) error {
	pin := r.history.pinned()
	if err == nil && files.Digest() != pin.Files {
		if err = r.take(ctx, files, nil); err == nil {
			return nil
		}
	}
	kept, m, errKept := r.keptFiles(pin.Digest)
	var ready prepared
	if errKept == nil {
		ready, errKept = r.prepare(ctx, kept)
	}
	if errKept == nil {
		errKept = r.publish(ctx, ready.policy, ready.snapshot)
	}
	if errKept != nil {
		return fmt.Errorf("the pinned policy %s cannot be brought into force: %w\nto run the policy directory instead, remove %s",
			pin.Digest, errKept, filepath.Join(r.history.dir, pinFile))
	}
	change := policyChange{prepared: ready, kind: evidence.ChangeInForce, how: byStart, by: byStart, kept: m.Digest,
		words: admin.PolicyOrder{Reason: pin.Reason, Ticket: pin.Ticket}}
	if files != nil {
		change.seen = files.Digest()
	}
	if err != nil {
		change.fault = err.Error()
		if errors.As(err, &notAsked{}) {
			change.seen = ""
		}
	}
	r.history.told.Pinned(pin.shown())
	_, _ = r.took(change) // it is told there
	return nil
}

func (r *reloader) keptFiles(digest string) (*policyfile.Files, keptMeta, error) {
	if r.history == nil {
		return nil, keptMeta{}, errors.New("no policies are kept here")
	}
	name, err := r.history.find(digest)
	if err != nil {
		return nil, keptMeta{}, err
	}
	m, files, err := r.history.read(name)
	if err != nil {
		return nil, m, fmt.Errorf("the kept policy %s%s is damaged and is not used: %w", digestPrefix, name, err)
	}
	return files, m, nil
}

// policyOrder is an order of the admin socket on its way to run, which alone changes the policy.
type policyOrder struct {
	admin.PolicyOrder
	release bool
	by      string
	answer  chan policyAnswer // of capacity 1: run does not wait for who asked
}

type policyAnswer struct {
	move    *admin.PolicyMove
	receipt *evidence.ChangeReceipt // nil: nothing is recorded
	err     error
}

// obey carries out an order, or changes nothing.
func (r *reloader) obey(ctx context.Context, o *policyOrder) policyAnswer {
	was, before := r.inForce, r.policyStatus().Digest
	change, err := r.rollBack(ctx, o)
	if err != nil {
		return policyAnswer{err: err}
	}
	receipt, err := r.took(change)
	status := r.policyStatus()
	move := &admin.PolicyMove{Digest: status.Digest, Before: before, Documents: status.Documents, Pinned: status.Pinned, By: o.by,
		Changes: []policydiff.Change{}}
	if was != nil {
		move.Changes = append(move.Changes, policydiff.Compare(was, change.policy, r.world.Sources)...)
	}
	move.Direction = policydiff.Fold(move.Changes)
	if err != nil {
		move.Fault = err.Error()
	}
	return policyAnswer{move: move, receipt: receipt}
}

// rollBack publishes what an order asks for.
func (r *reloader) rollBack(ctx context.Context, o *policyOrder) (c policyChange, err error) {
	c = policyChange{kind: evidence.ChangeRollback, how: byRollback, by: o.by, words: o.PolicyOrder}
	was := r.history.pinned()
	directory, errRead := policyfile.Read(r.dir)
	if errRead == nil {
		c.seen = directory.Digest()
	}
	var pin *policyPin
	if o.release {
		c.kind, c.how = evidence.ChangeRelease, byRelease
		switch {
		case was == nil:
			return c, errors.New("nothing is pinned: the policy directory counts")
		case errRead != nil:
			return c, fmt.Errorf("the pinned policy stays, because the policy directory cannot be read:\n%w", errRead)
		}
		if c.prepared, err = r.prepare(ctx, directory); err != nil {
			return c, fmt.Errorf("the pinned policy stays, because the policy directory's cannot be brought into force:\n%w", err)
		}
	} else {
		files, m, err := r.keptFiles(o.Digest)
		if err != nil {
			return c, err
		}
		if c.prepared, err = r.prepare(ctx, files); err != nil {
			return c, fmt.Errorf("nothing was changed, because the kept policy %s cannot be brought into force with today's settings:\n%w",
				m.Digest, err)
		}
		c.kept = m.Digest
		pin = &policyPin{Files: c.seen, PolicyPin: admin.PolicyPin{Digest: m.Digest, At: time.Now().UTC(), By: o.by,
			Reason: o.Reason, Ticket: o.Ticket}}
	}
	// Before anything lives by it: what a restart would undo unasked is not to be relied on.
	if err := r.history.setPin(pin); err != nil {
		return c, fmt.Errorf("nothing was changed: %w", err)
	}
	if err := r.publish(ctx, c.policy, c.snapshot); err != nil {
		return c, errors.Join(fmt.Errorf("what was in force stays: %w", err), r.history.setPin(was), r.putBack(ctx))
	}
	r.history.told.Pinned(pin.shown())
	return c, nil
}

// putBack publishes what is in force once more, after something else was published in part.
func (r *reloader) putBack(ctx context.Context) error {
	if r.inForce == nil {
		return nil
	}
	snapshot, err := r.build(r.inForce)
	if err != nil {
		return err
	}
	return r.publish(ctx, r.inForce, snapshot)
}
