package svid

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The times between attempts. An agent is on this machine: asking it again soon costs nobody much, and a certificate
// of seconds needs it.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// Run follows the Workload API until ctx ends; then it returns nil. An agent that is away or refuses is asked again, for
// as long as it takes.
func (s *Source) Run(ctx context.Context) error {
	connection, err := s.dial()
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }() // its streams have ended
	client := workload.NewSpiffeWorkloadAPIClient(connection)
	var running sync.WaitGroup
	running.Go(func() {
		follow(ctx, s, StreamX509, client.FetchX509SVID, &workload.X509SVIDRequest{}, s.takeX509, s.lostX509)
	})
	if s.options.JWT {
		running.Go(func() {
			follow(ctx, s, StreamJWT, client.FetchJWTBundles, &workload.JWTBundlesRequest{}, s.takeJWT, s.lostJWT)
		})
	}
	running.Wait()
	return nil
}

// dial prepares the connection; it is made when it is needed. The path is dialled as it stands: in a gRPC target it
// would go through a URL parser first.
func (s *Source) dial() (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///localhost",
		grpc.WithTransportCredentials(insecure.NewCredentials()), // SPIFFE_Workload_Endpoint.md, section 3: a socket, no TLS
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.options.Socket)
		}),
		// gRPC's own default waits for up to two minutes before it tries an agent that is back.
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: time.Second, Backoff: backoff.Config{
			BaseDelay: minBackoff, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second,
		}}),
		grpc.WithDisableServiceConfig(),
	)
}

// follow keeps one stream of answers open.
func follow[Request, Answer any](ctx context.Context, s *Source, name Stream,
	open func(context.Context, *Request, ...grpc.CallOption) (grpc.ServerStreamingClient[Answer], error), request *Request,
	take func(*Answer), lost func(error),
) {
	for failures := 0; ; {
		err := receive(ctx, open, request, func(a *Answer) {
			failures = 0
			s.tell(func() { take(a) })
		})
		if ctx.Err() != nil {
			return
		}
		failures++
		retryIn := wait(failures)
		lost(err)
		s.tell(func() { s.options.Events.Failed(name, err, retryIn) })
		timer := time.NewTimer(retryIn)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// receive opens a stream and hands on its answers until it breaks; the error says how.
func receive[Request, Answer any](ctx context.Context,
	open func(context.Context, *Request, ...grpc.CallOption) (grpc.ServerStreamingClient[Answer], error), request *Request,
	take func(*Answer),
) error {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(ctx, "workload.spiffe.io", "true"))
	defer cancel()
	stream, err := open(ctx, request)
	if err != nil {
		return explain(err)
	}
	for {
		answer, err := stream.Recv()
		if err != nil {
			return explain(err)
		}
		take(answer)
	}
}

// explain adds what to do to the agent's own words.
func explain(err error) error {
	words := status.Convert(err)
	if words.Code() == codes.PermissionDenied {
		return fmt.Errorf("%w; it says: %.300q", ErrNoIdentity, words.Message())
	}
	if words.Code() == codes.Unavailable {
		return fmt.Errorf("the agent is out of reach: is it running, and may this process open its socket? %.300s",
			words.Message())
	}
	return fmt.Errorf("the agent ended the stream: %s: %.300q", words.Code(), words.Message())
}

func (s *Source) tell(what func()) {
	s.telling.Lock()
	defer s.telling.Unlock()
	what()
}

// wait grows with each failure, and is no two processes' the same.
func wait(failures int) time.Duration {
	d := maxBackoff
	if failures < 7 { // 100 ms doubled so often is more than maxBackoff
		d = min(maxBackoff, minBackoff<<(failures-1))
	}
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // it keeps no secret
}
