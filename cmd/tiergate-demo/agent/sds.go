package agent

import (
	"context"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretv3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const secretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

// secrets is Envoy's secret discovery service (envoy.service.secret.v3). Envoy opens a stream for each secret.
type secrets struct {
	secretv3.UnimplementedSecretDiscoveryServiceServer
	agent *Agent
}

// StreamSecrets answers each new set of names, and again whenever one of those secrets has changed.
func (s *secrets) StreamSecrets(stream secretv3.SecretDiscoveryService_StreamSecretsServer) error {
	var told whole
	return converse(stream.Context(), s, stream.Recv, stream.Send, told.answer, told.take)
}

// DeltaSecrets sends each secret that is subscribed to, and again whenever it has changed.
func (s *secrets) DeltaSecrets(stream secretv3.SecretDiscoveryService_DeltaSecretsServer) error {
	told := parts{versions: map[string]string{}}
	return converse(stream.Context(), s, stream.Recv, stream.Send, told.answer, told.take)
}

// FetchSecrets answers once.
func (s *secrets) FetchSecrets(ctx context.Context, r *discoveryv3.DiscoveryRequest) (*discoveryv3.DiscoveryResponse, error) {
	v, err := s.agent.viewOf(ctx)
	if err != nil {
		return nil, err
	}
	var told whole
	told.take(r)
	response, err := told.answer(v, s.agent.options.SPIFFEValidator)
	switch {
	case err != nil:
		return nil, s.denied(ctx, err)
	case response == nil:
		return nil, status.Error(codes.InvalidArgument, "name the secrets")
	}
	return response, nil
}

// request is what both kinds of requests have.
type request interface {
	comparable
	GetTypeUrl() string
	GetErrorDetail() *rpcstatus.Status
}

// converse answers what the other end asks, and tells it what has changed since, until the stream ends.
func converse[Q request, A any](ctx context.Context, s *secrets, read func() (Q, error), send func(*A) error,
	answer func(view, bool) (*A, error), take func(Q) []string,
) error {
	requests := receive(ctx, read)
	for {
		v, err := s.agent.viewOf(ctx)
		if err != nil {
			return err
		}
		response, err := answer(v, s.agent.options.SPIFFEValidator)
		if err != nil {
			return s.denied(ctx, err)
		}
		if response != nil {
			if err := send(response); err != nil {
				return err
			}
		}
		asked, open, err := next(ctx, v, requests)
		if err != nil || !open {
			return err
		}
		var none Q
		if asked == none {
			continue
		}
		if kind := asked.GetTypeUrl(); kind != "" && kind != secretType {
			return status.Errorf(codes.InvalidArgument, "there are secrets here, and no %s", kind)
		}
		names := take(asked)
		if detail := asked.GetErrorDetail(); detail != nil {
			s.rejected(ctx, names, detail.GetMessage())
		}
	}
}

// next waits for a request, or for something else to tell; then the request is its zero value.
func next[Q request](ctx context.Context, v view, requests <-chan Q) (asked Q, open bool, err error) {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan error, 1)
	go func() { changed <- v.wait(waiting) }()
	select {
	case asked, open = <-requests:
		return asked, open, nil
	case err := <-changed:
		return asked, true, err
	}
}

// receive reads requests until the stream ends.
func receive[Q any](ctx context.Context, read func() (Q, error)) <-chan Q {
	requests := make(chan Q)
	go func() {
		defer close(requests)
		for {
			request, err := read()
			if err != nil {
				return
			}
			select {
			case requests <- request:
			case <-ctx.Done():
				return
			}
		}
	}()
	return requests
}

// denied tells of a secret that the caller may not have.
func (s *secrets) denied(ctx context.Context, err error) error {
	if caller, unknown := callerOf(ctx); unknown == nil {
		s.agent.refused(caller, status.Convert(err).Message())
	}
	return err
}

// rejected tells of a secret that Envoy could not use.
func (s *secrets) rejected(ctx context.Context, names []string, detail string) {
	if caller, err := callerOf(ctx); err == nil && s.agent.options.Events.Rejected != nil {
		s.agent.options.Events.Rejected(caller, names, detail)
	}
}
