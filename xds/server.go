package xds

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// DefaultLinger is longer than a request waits for a decision that the old routes have sent it for.
const DefaultLinger = MaxCheckTimeout + time.Second

// everyNode is the one key of the cache: every Envoy that connects gets the same snapshot.
const everyNode = "envoy"

type sameForAll struct{}

func (sameForAll) ID(*corev3.Node) string { return everyNode }

// Options are what a Server may be told; the zero Options are good.
type Options struct {
	Events Events
	// Linger is how long clusters and secrets that a new snapshot no longer has stay after every connected Envoy took
	// over the new routes. Default DefaultLinger.
	Linger time.Duration
}

// Server delivers the published snapshot to every Envoy over delta ADS. The state-of-the-world variant is refused:
// there, a refused resource would be sent again and again.
//
// A change is made before it is broken: what the old routes still need stays until every connected Envoy holds the new
// ones. Run does that; without it, nothing is ever taken away.
type Server struct {
	cache   cachev3.SnapshotCache
	delta   delta.Server
	events  Events
	linger  time.Duration
	changed chan struct{} // wakes Run; holds one
	stop    context.CancelFunc

	publishing sync.Mutex // held while a snapshot moves into the cache

	mu        sync.Mutex
	sessions  map[int64]*session
	published *Snapshot
	serving   *cachev3.Snapshot // published, and what lingers of those before
	lingering bool              // serving holds more than published
	settled   bool              // Events.Settled has been told of published
}

// NewServer makes a server that starts nothing and serves nothing until Publish.
func NewServer(o Options) *Server {
	if o.Linger <= 0 {
		o.Linger = DefaultLinger
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		cache: cachev3.NewSnapshotCache(true, sameForAll{}, nil), events: o.Events, linger: o.Linger,
		changed: make(chan struct{}, 1), stop: stop, sessions: map[int64]*session{},
	}
	s.delta = delta.NewServer(ctx, s.cache, callbacks{s})
	return s
}

// ServerOptions are what a gRPC server for Envoy's streams needs: Envoy pings an idle stream, and grpc-go by default
// cuts whoever pings more often than every five minutes.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
}

// Register adds the aggregated discovery service to a gRPC server, which must be made with ServerOptions. Secrets
// travel over it: serve it on a Unix socket that only Envoy's user may open, or over mTLS.
func (s *Server) Register(g *grpc.Server) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, service{server: s})
}

type service struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	server *Server
}

// DeltaAggregatedResources serves one Envoy until it leaves or Run ends.
func (v service) DeltaAggregatedResources(
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer,
) error {
	return v.server.delta.DeltaStreamHandler(stream, resource.AnyType)
}

// Publish hands a snapshot to every Envoy, those that connect later included. The snapshot must be Consistent. It
// returns when the snapshot is on its way; Events and Status tell what each Envoy makes of it.
func (s *Server) Publish(ctx context.Context, snapshot *Snapshot) error {
	if snapshot == nil {
		return errors.New("there is no snapshot to publish")
	}
	s.publishing.Lock()
	defer s.publishing.Unlock()
	s.mu.Lock()
	serving, lingering, err := withLingering(snapshot.cache, s.serving)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	s.published, s.serving, s.lingering, s.settled = snapshot, serving, lingering, false
	s.mu.Unlock()
	return s.set(ctx, serving)
}

func (s *Server) set(ctx context.Context, serving *cachev3.Snapshot) error {
	if err := s.cache.SetSnapshot(ctx, everyNode, serving); err != nil {
		return fmt.Errorf("the snapshot was not handed to every Envoy: %w", err)
	}
	s.wake()
	return nil
}

// withLingering adds to the new snapshot the clusters and secrets that only the old one has.
func withLingering(next, old *cachev3.Snapshot) (serving *cachev3.Snapshot, lingering bool, err error) {
	if old == nil {
		return next, false, nil
	}
	items := map[resource.Type][]types.Resource{}
	for _, t := range deliveredTypes {
		fresh := next.GetResources(t.url)
		for _, r := range fresh {
			items[t.url] = append(items[t.url], r)
		}
		if t.url != resource.ClusterType && t.url != resource.SecretType {
			continue
		}
		for name, r := range old.GetResources(t.url) {
			if _, kept := fresh[name]; !kept {
				items[t.url] = append(items[t.url], r)
				lingering = true
			}
		}
	}
	if !lingering {
		return next, false, nil
	}
	serving, err = cacheSnapshot(items)
	return serving, true, err
}

func (s *Server) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Run takes away what no Envoy needs any more, until the context ends; then it ends all streams, so that a graceful
// stop of the gRPC server has nothing to wait for. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	defer s.stop()
	timer := time.NewTimer(s.linger)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
			if digest, table, ok := s.settle(); ok {
				s.events.settled(digest, table)
				timer.Reset(s.linger)
			}
		case <-timer.C:
			if err := s.retire(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// settle reports, once for each published snapshot, that every connected Envoy holds it. Without any Envoy nothing is
// known: one that was connected before may still hold the old routes.
func (s *Server) settle() (digest, table string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled || s.published == nil || len(s.sessions) == 0 {
		return "", "", false
	}
	for _, session := range s.sessions {
		if !session.holds(s.published, s.serving) {
			return "", "", false
		}
	}
	s.settled = true
	return s.published.Digest(), s.published.Table(), true
}

func (s *Server) retire(ctx context.Context) error {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	s.mu.Lock()
	if !s.settled || !s.lingering { // something was published since; it is settled anew
		s.mu.Unlock()
		return nil
	}
	serving := s.published.cache
	s.serving, s.lingering = serving, false
	s.mu.Unlock()
	return s.set(ctx, serving)
}
