package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"

	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/findings/engine"
	"github.com/tiergate/tiergate/authz/findings/outlets"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/replica"
)

// findingDesk is findings in a receiver's process: what finds them, and what people see of them and do about them.
type findingDesk struct {
	cases  engine.Cases
	engine *engine.Engine // nil: this process follows no policy, and leaves it to those that do
}

// newFindingDesk makes it over the store and the desk of the process. queue is asked when something is to be told; shared is
// what a process that decides has in memory, nil in others.
func newFindingDesk(
	s *config.Settings, store signals.Store, desk *approvals.Desk, queue func() *outlets.Queue, shared *engine.Shared, o *observer,
) (*findingDesk, error) {
	m := newFindingMetrics(o.registry)
	d := &findingDesk{cases: engine.Cases{Records: desk.Records, Policy: desk.Policy, Now: desk.Now}}
	d.cases.Tell = func(ctx context.Context, notices []findings.Notice) error {
		if err := queue().Tell(ctx, desk.Policy(), notices); err != nil {
			return err
		}
		for i := range notices {
			m.told(&notices[i])
			o.noticed(&notices[i])
		}
		return nil
	}
	if s.Policy.Dir == "" {
		o.log.Info("policy.dir is not set, so that this process finds nothing, and grants nothing")
		return d, nil
	}
	var postures signals.Postures
	var copied replica.Options
	if shared == nil {
		var err error
		if postures, copied, err = believedPostures(s, o, store); err != nil {
			return nil, err
		}
	}
	d.engine = engine.New(engine.Options{Name: cmp.Or(receiverName(s), rand.Text()), Alone: s.Store.Embedded != nil,
		Shared: shared, Postures: postures, Replica: copied, Observed: store, Cases: d.cases, Events: o.findings(m),
		Noticed: func(ctx context.Context, exception string) error {
			_, err := desk.Noticed(ctx, exception, approvals.Person{Way: approvals.WaySocket, Name: "tiergate"})
			return err
		}})
	return d, nil
}

// parts are what runs.
func (d *findingDesk) parts() []part {
	if d.engine == nil {
		return nil
	}
	return []part{{"findings", d.engine.Run}}
}

// noticed puts on the log what was handed to the outlets, so that it is somewhere where there are none.
func (o *observer) noticed(n *findings.Notice) {
	o.log.Info("a finding is told", zap.String("what", string(n.What)), zap.String("finding", n.Case), zap.String("kind", string(n.Kind)),
		zap.String("severity", string(n.Severity)), zap.String("subject", n.Subject), zap.String("summary", n.Summary),
		zap.String("team", n.Team), zap.String("to", n.To), zap.Time("deadline", n.Deadline), zap.String("reason", n.Reason))
}

// receiverFindings are where the receiver's process tells what is found, and what finds it.
func receiverFindings(s *config.Settings, store signals.Store, desk *approvals.Desk, o *observer) (*outlets.Queue, *findingDesk, error) {
	queue, err := newOutletQueue(s, store, o)
	if err != nil {
		return nil, nil, err
	}
	found, err := newFindingDesk(s, store, desk, func() *outlets.Queue { return queue }, nil, o)
	return queue, found, err
}

// withFindings is what a receiver's admin socket serves, and findings.
func withFindings(verbs http.Handler, found *findingDesk) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", verbs)
	found.paths(mux, localCaller)
	return mux
}
