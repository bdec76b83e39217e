package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// assess has Falcon find a disk encrypted, or not, lists both vendors, and then sends a request.
type assess struct {
	encrypted string
	then      ask
}

func (a assess) perform(ctx context.Context, p *play, w want) got {
	began := time.Now()
	p.world.Assess(a.encrypted)
	if err := errors.Join(p.world.Sync(ctx, stage.KandjiName), p.world.Sync(ctx, stage.FalconName)); err != nil {
		return got{err: err}
	}
	listed := time.Since(began)
	a.then.until = soon
	g := a.then.perform(ctx, p, w)
	g.note = fmt.Sprintf("both lists after %s", milliseconds(listed))
	return g
}

// endSessions has the identity provider end somebody's sessions, and then sends a request.
type endSessions struct {
	as   string
	then ask
}

func (e endSessions) perform(ctx context.Context, p *play, w want) got {
	receipt, err := p.world.EndSessions(ctx, e.as)
	if err != nil {
		return got{err: err}
	}
	if receipt.Status != http.StatusAccepted {
		return got{err: fmt.Errorf("the receiver answered %d, want 202: %s", receipt.Status, receipt.Body)}
	}
	began := time.Now()
	e.then.until = soon
	g := e.then.perform(ctx, p, w)
	g.note = fmt.Sprintf("202 after %s; from there to the changed answer %s", milliseconds(receipt.Took), milliseconds(time.Since(began)))
	// Tokens tell the second of their issue: one of this second could be from before the event.
	select {
	case <-ctx.Done():
	case <-time.After(time.Until(began.Truncate(time.Second).Add(time.Second))):
	}
	return g
}
