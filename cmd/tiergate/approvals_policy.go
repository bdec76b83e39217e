package main

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/config/policyfile"
	"github.com/tiergate/tiergate/signals"
)

// policyEvery is how often a receiver's process looks at the policy directory; what it reads counts once it is the same at
// two looks, so that a directory that is being written is not read half.
const policyEvery = time.Second

// followedPolicy is the policy directory as the receiver's process (`tiergate ingest`) follows it: to judge what people ask
// for, not to decide requests. A directory with a fault keeps the last good policy.
type followedPolicy struct {
	dir   string
	world policy.World
	told  func(p *policy.Policy, fault error) // of every change, good or not
	every time.Duration

	inForce atomic.Pointer[policy.Policy]
	fault   atomic.Pointer[string] // of the newest text
	seen    string                 // what was read at the last look, or why it could not be
	taken   string                 // what was last judged
}

// followPolicy reads the directory that the settings name, if any. A fault is told, and does not keep the receiver from
// receiving: the verbs say it, and nothing is granted meanwhile.
func followPolicy(s *config.Settings, o *observer) *followedPolicy {
	f := &followedPolicy{dir: s.Policy.Dir, world: world(s), every: policyEvery}
	f.told = func(p *policy.Policy, fault error) {
		if fault != nil {
			o.log.Error("the policy directory cannot be used; the last good policy stays, and without one nothing is granted",
				zap.Error(fault))
			return
		}
		o.log.Info("exceptions, grace and clearances are judged by this policy", zap.String("digest", p.Digest()))
	}
	if f.dir != "" {
		f.look(true)
	}
	return f
}

func (f *followedPolicy) policy() *policy.Policy { return f.inForce.Load() }

// missing says what to do where there is no policy.
func (f *followedPolicy) missing() string {
	if f.dir == "" {
		return "set policy.dir in the settings of this process to the directory that its sidecars follow, and start it again"
	}
	if fault := f.fault.Load(); fault != nil {
		return "correct the policy directory: " + *fault
	}
	return "wait until the policy directory is read"
}

func (f *followedPolicy) run(ctx context.Context) error {
	if f.dir == "" {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			f.look(false)
		}
	}
}

// look reads the directory, and takes it if it stood still since the last look; first: as it is.
func (f *followedPolicy) look(first bool) {
	files, err := policyfile.Read(f.dir)
	var seen string
	if err != nil {
		seen = err.Error()
	} else {
		seen = files.Digest()
	}
	still := seen == f.seen || first
	if f.seen = seen; !still || seen == f.taken {
		return
	}
	f.taken = seen
	var compiled *policy.Policy
	if err == nil {
		read, problems := policyfile.Compile(files, f.world)
		if compiled = read; len(problems) > 0 {
			err = problems
		}
	}
	if err != nil {
		text := err.Error()
		f.fault.Store(&text)
		f.told(nil, err)
		return
	}
	f.fault.Store(nil)
	f.inForce.Store(compiled)
	f.told(compiled, nil)
}

// ground is what the desk stands on in `serve` with the embedded store.
func (sc *sidecar) ground() ground {
	g := ground{policy: sc.reloader.current, missing: func() string { return "see tiergate policy history" }}
	if sc.evidence != nil {
		g.record = sc.evidence.RecordChange
	}
	return g
}

// recordedDesk is the desk of `ingest`, and what records its steps where the settings name a file. That comes before whoever
// takes steps, so that it ends after them.
func recordedDesk(s *config.Settings, store signals.Store, f *followedPolicy, o *observer) (*approvals.Desk, []part, error) {
	recorder, err := newStepRecorder(s, o)
	if err != nil {
		return nil, nil, err
	}
	g := ground{policy: f.policy, missing: f.missing}
	var parts []part
	if recorder != nil {
		g.record, parts = recorder.RecordChange, []part{{"evidence", recorder.Run}}
	}
	desk, err := receiverDesk(s, store, g, o)
	return desk, parts, err
}

// current is the policy in force; nil: none yet.
func (r *reloader) current() *policy.Policy {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inForce
}
