package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/tiergate/tiergate/config/policyfile"
)

const (
	editEvery = 100 * time.Millisecond
	// applied is what Envoy's worker may lag behind its main thread, which is what says that it has a resource.
	applied = 50 * time.Millisecond
)

// edits is what was written when, and since when it is known that nothing older is in force any more.
type edits struct {
	c     *churn
	admin string // tiergate's socket

	mu      sync.Mutex
	written []edit // by generation
	byName  map[string]int
	last    int // the newest that is in force
	inForce int // how many ever were, as far as somebody looked
}

type edit struct {
	at      time.Time
	settled time.Time // zero: it was never seen in force
}

// begin takes down the generation that all started with.
func (e *edits) begin() {
	e.byName = map[string]int{e.digest(): 0}
	now := time.Now()
	e.written = []edit{{at: now, settled: now}}
}

// digest is what tiergate calls the policy that is in the directory.
func (e *edits) digest() string {
	files, err := policyfile.Read(e.c.p.settings.Policy.Dir)
	if err != nil {
		e.c.t.Error(err)
		return ""
	}
	compiled, problems := policyfile.Compile(files, e.c.p.world)
	if len(problems) > 0 {
		e.c.t.Errorf("generation %d: %v", len(e.written)-1, problems)
		return ""
	}
	return compiled.Digest()
}

// next writes the next generation.
func (e *edits) next() {
	e.mu.Lock()
	generation := len(e.written)
	e.written = append(e.written, edit{at: time.Now()})
	e.mu.Unlock()
	e.c.write(generation)
	digest := e.digest()
	e.mu.Lock()
	e.byName[digest] = generation
	e.mu.Unlock()
}

// run edits steadily until ctx ends, and looks what is in force.
func (e *edits) run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() {
		tick := time.NewTicker(editEvery)
		defer tick.Stop()
		for ctx.Err() == nil && !e.c.t.Failed() {
			<-tick.C
			e.next()
		}
	})
	both.Go(func() {
		for ctx.Err() == nil {
			_ = e.look() // while tiergate is down there is nothing to see
			time.Sleep(5 * time.Millisecond)
		}
	})
	both.Wait()
}

// look takes down what is in force if Envoy has all of it.
func (e *edits) look() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	before, err := e.policy(ctx)
	if err != nil {
		return err
	}
	text, err := askSocket(ctx, e.admin, "/v1/envoys")
	if err != nil {
		return err
	}
	var envoys []struct{ InSync bool }
	if err := json.Unmarshal([]byte(text), &envoys); err != nil {
		return err
	}
	after, err := e.policy(ctx)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	generation, known := e.byName[before]
	if before != after || !known || len(envoys) != 1 || !envoys[0].InSync {
		return fmt.Errorf("generation %d: %q then %q, %s", generation, before, after, text)
	}
	if one := &e.written[generation]; one.settled.IsZero() {
		one.settled = time.Now()
		e.last, e.inForce = generation, e.inForce+1
	}
	return nil
}

func (e *edits) policy(ctx context.Context) (digest string, err error) {
	text, err := askSocket(ctx, e.admin, "/v1/policy")
	if err != nil {
		return "", err
	}
	var status struct{ Digest, Fault string }
	err = json.Unmarshal([]byte(text), &status)
	if err == nil && status.Fault != "" {
		e.c.t.Errorf("a policy was refused: %s", status.Fault)
	}
	return status.Digest, err
}

// newest reports that what was written last is in force.
func (e *edits) newest() bool {
	if e.look() != nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last == len(e.written)-1
}

// could reports that, some time between a request and its answer, a generation counted that leads there: it was written
// before the answer, and none that is newer had replaced it before the request.
func (e *edits) could(asked, answered time.Time, leads func(generation int) string, there string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for generation := len(e.written) - 1; generation >= 0; generation-- {
		one := e.written[generation]
		if !one.at.After(answered) && leads(generation) == there {
			return true
		}
		if !one.settled.IsZero() && one.settled.Add(applied).Before(asked) {
			return false // it had replaced all that are older
		}
	}
	return false
}
