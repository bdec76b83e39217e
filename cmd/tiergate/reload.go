package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/config/policyfile"
	"github.com/tiergate/tiergate/xds"
)

const (
	// pollEvery is how often the directory is read anyway: a file system may tell nothing of a change (NFS, some binds).
	pollEvery = time.Second
	// settleFor is how long the directory must stay as it is before it is believed: half of a file may well be a policy of its
	// own, and a looser one.
	settleFor   = 50 * time.Millisecond
	settleTries = 40
)

// reloader brings the policy directory into force: compiled, built for Envoy, checked, and only then swapped in. Whatever
// fails leaves the last good policy alone, is told, and is tried again.
type reloader struct {
	dir     string
	world   policy.World
	build   func(*policy.Policy) (*xds.Snapshot, error)
	ask     func(context.Context, *xds.Snapshot) error // shows it to Envoy itself; nil: nobody is asked
	publish func(context.Context, *policy.Policy, *xds.Snapshot) error
	told    func(fault string)

	watchFailed func(error) // the file system lost count of changes, or a directory cannot be watched

	history *policyKeeper                                  // nil: nothing is kept
	record  func(*evidence.Change) *evidence.ChangeReceipt // nil: nothing is recorded
	orders  chan *policyOrder                              // of the admin socket

	republish     func(context.Context, *xds.Snapshot) error // hands Envoy something else of the same policy
	refreshFailed func(error)
	again         chan struct{} // holds one: that something beside the policy changed

	mu      sync.Mutex
	seen    string         // digest of the files of the last attempt
	inForce *policy.Policy // nil: none
	unfresh string         // why the last refresh failed; "": it did not
	status  admin.PolicyStatus
}

// load reads the directory once and brings it into force. It does nothing if the files are those of the last attempt.
func (r *reloader) load(ctx context.Context) error {
	files, err := policyfile.Read(r.dir)
	if err == nil && !r.fresh(files.Digest()) {
		return nil
	}
	if r.inForce == nil && r.history.pinned() != nil {
		return r.loadPinned(ctx, files, err)
	}
	return r.take(ctx, files, err)
}

// look is load once the directory keeps still; while it changes, the next look is soon enough.
func (r *reloader) look(ctx context.Context) {
	files, err := policyfile.Read(r.dir)
	if err == nil && !r.fresh(files.Digest()) {
		return
	}
	for range settleTries {
		if !pause(ctx, settleFor) {
			return
		}
		again, errAgain := policyfile.Read(r.dir)
		if alike(files, again, err, errAgain) {
			_ = r.take(ctx, again, errAgain) // told and kept by refused
			return
		}
		files, err = again, errAgain
	}
}

func alike(a, b *policyfile.Files, errA, errB error) bool {
	if errA != nil || errB != nil {
		return errA != nil && errB != nil && errA.Error() == errB.Error()
	}
	return a.Digest() == b.Digest()
}

// take brings what was read of the policy directory into force, unless a policy is pinned and the directory is what it was
// then.
func (r *reloader) take(ctx context.Context, files *policyfile.Files, err error) error {
	if err != nil {
		return r.refused("", err)
	}
	pin := r.history.pinned()
	if pin != nil && files.Digest() == pin.Files {
		r.stays(files.Digest())
		return nil
	}
	ready, err := r.prepare(ctx, files)
	switch {
	case errors.As(err, &notAsked{}):
		return r.refused("", err) // not the text's fault: tried again at the next look
	case err != nil:
		return r.refused(files.Digest(), err)
	}
	if err := r.publish(ctx, ready.policy, ready.snapshot); err != nil {
		return r.refused("", err) // not the text's fault: tried again at the next look
	}
	by := byEdit
	if r.inForce == nil && pin == nil {
		by = byStart
	}
	_, _ = r.took(policyChange{prepared: ready, seen: files.Digest(), kind: evidence.ChangeInForce, how: by, by: by,
		unpin: pin != nil}) // what fails of it is told there, and the policy is in force
	return nil
}

// prepared is a policy that could come into force now.
type prepared struct {
	files    *policyfile.Files
	policy   *policy.Policy
	snapshot *xds.Snapshot
}

// prepare does all that can fail and touches nothing that lives: compiles, builds for Envoy, asks Envoy.
func (r *reloader) prepare(ctx context.Context, files *policyfile.Files) (p prepared, err error) {
	compiled, problems := policyfile.Compile(files, r.world)
	if len(problems) > 0 {
		return p, problems
	}
	snapshot, err := r.build(compiled)
	if err != nil {
		return p, err
	}
	return prepared{files, compiled, snapshot}, r.asked(ctx, snapshot)
}

// asked is nil if Envoy would take the snapshot, or nobody is to ask it. One is asked about at a time, because run asks; what
// changes meanwhile is looked at after that, and only the newest of it.
func (r *reloader) asked(ctx context.Context, snapshot *xds.Snapshot) error {
	if r.ask == nil {
		return nil
	}
	return r.ask(ctx, snapshot)
}

// fresh reports files that were not tried before.
func (r *reloader) fresh(digest string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return digest != r.seen
}

// refused keeps the fault for whoever asks, and tells it once. Before there was a good policy, the caller says so.
func (r *reloader) refused(digest string, err error) error {
	r.mu.Lock()
	repeated := r.status.Fault == err.Error() || r.status.Digest == ""
	r.seen, r.status.Fault = digest, err.Error()
	r.mu.Unlock()
	if !repeated {
		r.told(err.Error())
	}
	return err
}

func (r *reloader) policyStatus() admin.PolicyStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// run follows the directory until ctx ends.
func (r *reloader) run(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", r.dir, err)
	}
	defer func() { _ = watcher.Close() }() // nothing was written
	r.watch(watcher)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.again:
			r.refresh(ctx)
		case order := <-r.orders:
			order.answer <- r.obey(ctx, order)
		case <-tick.C:
			if r.unfresh != "" {
				r.refresh(ctx)
			}
		case err := <-watcher.Errors: // an overflow: the look that follows finds what was missed
			r.watchFailed(err)
		case <-watcher.Events:
		}
		drain(watcher.Events)
		r.watch(watcher)
		r.look(ctx)
	}
}

// watch follows every directory below the policy's; those already followed stay so.
func (r *reloader) watch(watcher *fsnotify.Watcher) {
	_ = filepath.WalkDir(r.dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			if err := watcher.Add(path); err != nil {
				r.watchFailed(err) // it is still polled
			}
		}
		return nil
	})
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func drain(events <-chan fsnotify.Event) {
	for {
		select {
		case <-events:
		default:
			return
		}
	}
}
