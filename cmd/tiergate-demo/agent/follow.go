package agent

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// viewOf is what the process at the other end is told now.
func (a *Agent) viewOf(ctx context.Context) (view, error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return view{}, err
	}
	names := a.options.Identities(caller)
	if len(names) == 0 {
		a.refused(caller, "no identity issued")
		return view{}, status.Errorf(codes.PermissionDenied, "no identity issued: %s is registered for none", caller)
	}
	v, err := a.state.view(names)
	if err != nil {
		a.refused(caller, err.Error())
		return view{}, status.Error(codes.Internal, err.Error())
	}
	return v, nil
}

func (a *Agent) refused(caller Caller, reason string) {
	if a.options.Events.Refused != nil {
		a.options.Events.Refused(caller, reason)
	}
}

// follow sends what build makes of the caller's view, now and whenever it has become another, until the stream ends or
// the caller is no longer registered.
func follow[M proto.Message](ctx context.Context, a *Agent, build func(view) (M, error), send func(M) error) error {
	var last proto.Message
	for {
		v, err := a.viewOf(ctx)
		if err != nil {
			return err
		}
		message, err := build(v)
		if err != nil {
			return status.Error(codes.Internal, err.Error())
		}
		if last == nil || !proto.Equal(last, message) {
			if err := send(message); err != nil {
				return err
			}
			last = message
		}
		if err := v.wait(ctx); err != nil {
			return err
		}
	}
}

// wait returns when there is something else to tell.
func (v view) wait(ctx context.Context) error {
	due := time.NewTimer(time.Until(v.renew))
	defer due.Stop()
	select {
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-v.changed:
	case <-due.C:
	}
	return nil
}
