package xds

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// DefaultLinger is longer than a request waits for a decision that the old routes have sent it for.
const DefaultLinger = MaxCheckTimeout + time.Second

// maxRequest bounds one message of an Envoy, in bytes.
const maxRequest = 32 << 20

// everyNode is the one key of a session's cache, which is for one Envoy.
const everyNode = "envoy"

type sameForAll struct{}

func (sameForAll) ID(*corev3.Node) string { return everyNode }

// Options are what a Server may be told; the zero Options are good.
type Options struct {
	Events Events
	// Linger is how long clusters, their endpoints and secrets that a new snapshot no longer has stay after every connected
	// Envoy took over the new routes. Default DefaultLinger.
	Linger time.Duration
	// MinVersion, three numbers, refuses Envoys below it. It can only raise the package's MinVersion; one that cannot be read
	// refuses all.
	MinVersion string
}

// Server delivers the published snapshot to every Envoy over ADS, delta or state of the world, as far as it fits: what an
// Envoy refuses is taken back to what was good before, for that Envoy alone, and tried again later.
//
// A change is made before it is broken: what the old routes still need stays until every connected Envoy holds the new
// ones, and of a reconnecting Envoy's own until it does. Run does that; without it, nothing is ever taken away.
type Server struct {
	events Events
	linger time.Duration
	lowest version

	firstRetry time.Duration
	changed    chan struct{}          // wakes Run; holds one
	streams    func() context.Context // ends when Run does
	stop       context.CancelFunc

	mu        sync.Mutex
	sessions  map[*session]struct{}
	refused   map[string]*refusedNode // by node id
	published *Snapshot
	wanted    contents // of published
	lingering contents // of snapshots before it
	lastGood  contents // what an Envoy of this process took over last
	everybody fit      // what an Envoy gets that refused nothing
	settled   bool     // Events.Settled has been told of published
	calmSince time.Time
}

// NewServer makes a server that starts nothing and serves nothing until Publish.
func NewServer(o Options) *Server {
	if o.Linger <= 0 {
		o.Linger = DefaultLinger
	}
	ctx, stop := context.WithCancel(context.Background())
	return &Server{
		events: o.Events, linger: o.Linger, lowest: lowest(o.MinVersion), changed: make(chan struct{}, 1),
		streams: func() context.Context { return ctx }, stop: stop,
		firstRetry: firstRetry,
		sessions:   map[*session]struct{}{}, refused: map[string]*refusedNode{}, lingering: contents{}, lastGood: contents{},
	}
}

// ServerOptions are what a gRPC server for Envoy's streams needs: Envoy pings an idle stream, and grpc-go by default
// cuts whoever pings more often than every five minutes. A peer that is gone without a word is noticed within 30 s. What
// Envoy says of a resource that it refuses may quote all of it.
func ServerOptions() []grpc.ServerOption {
	return serverOptions(5*time.Second, 20*time.Second)
}

// serverOptions bears pings that come no faster than bear, and pings itself what was silent for so long.
func serverOptions(bear, silent time.Duration) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: bear, PermitWithoutStream: true}),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: silent, Timeout: 10 * time.Second}),
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
	session := newSession(false, time.Now())
	heard := deltaCallbacks{callbacks{v.server, session}}
	return delta.NewServer(v.server.streams(), session.cache, heard).DeltaStreamHandler(stream, resource.AnyType)
}

// StreamAggregatedResources serves one Envoy that is configured for the state of the world.
func (v service) StreamAggregatedResources(
	stream discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer,
) error {
	session := newSession(true, time.Now())
	heard := sotwCallbacks{callbacks{v.server, session}}
	// Ordered: clusters are with Envoy before the routes that name them.
	return sotw.NewServer(v.server.streams(), session.cache, heard, sotw.WithOrderedADS()).StreamHandler(stream, resource.AnyType)
}

// Publish hands a snapshot to every Envoy, those that connect later included. The snapshot must be Consistent. It
// returns when the snapshot is on its way; Events and Status tell what each Envoy makes of it.
func (s *Server) Publish(ctx context.Context, snapshot *Snapshot) error {
	if snapshot == nil {
		return errors.New("there is no snapshot to publish")
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("the snapshot was not published: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted, lingering := contentsOf(snapshot), contents{}
	for _, before := range []contents{s.lingering, s.wanted} { // the younger of a name is the one that counts
		for url, items := range before {
			for name, v := range items {
				if _, fresh := wanted[url][name]; lingers(url) && !fresh {
					lingering.of(url)[name] = v
				}
			}
		}
	}
	s.published, s.wanted, s.lingering, s.settled, s.calmSince = snapshot, wanted, lingering, false, time.Time{}
	s.tidy()
	return s.fitAll()
}

// fitAll gives every Envoy anew what fits it.
func (s *Server) fitAll() error {
	s.everybody = newFit(fitted(s.wanted, s.lingering, nil), nil)
	var errs []error
	for session := range s.sessions {
		errs = append(errs, s.fit(session, ""))
	}
	s.wake()
	return errors.Join(errs...)
}

// fit gives one Envoy what fits it; of a type that it just refused at once.
func (s *Server) fit(session *session, rolledBack string) error {
	if s.published == nil {
		return nil
	}
	session.target = s.everybody
	if !session.plain() {
		lingering := contents{}
		for _, old := range []contents{session.ghosts, s.lingering} {
			for url, items := range old {
				for name, v := range items {
					lingering.of(url)[name] = v
				}
			}
		}
		session.target = newFit(fitted(s.wanted, lingering, session.refused, session.held, s.lastGood), session.refused)
	}
	if err := session.step(rolledBack); err != nil {
		return fmt.Errorf("the snapshot was not handed to Envoy %s: %w", session.node.GetId(), err)
	}
	return nil
}

// tidy forgets what no longer matters: refusals of versions that nobody would send, and good versions of what is gone.
func (s *Server) tidy() {
	for session := range s.sessions {
		for key := range session.refused {
			if s.wanted[key.typeURL][key.name].version != key.version && s.lastGood[key.typeURL][key.name].version != key.version {
				delete(session.refused, key)
			}
		}
	}
	for url, items := range s.lastGood {
		for name := range items {
			_, wanted := s.wanted[url][name]
			_, stays := s.lingering[url][name]
			if !wanted && !stays {
				delete(items, name)
			}
		}
	}
}

func (s *Server) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
