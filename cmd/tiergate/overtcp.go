package main

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
)

// overTCP listens for the Envoys that authz.listen names, and returns what to run.
func (sc *sidecar) overTCP() (part, error) {
	listen := sc.settings.Authz.Listen
	admission, err := newEnvoys(sc.trust.own, sc.trust, listen.Envoys, sc.observer.envoyRefused())
	if err != nil {
		return part{}, err
	}
	listener, err := listenTCP(listen.Address, "authz.listen.address")
	if err != nil {
		return part{}, err
	}
	server := grpc.NewServer(append(sc.authz.ServerOptions(), grpc.ConnectionTimeout(5*time.Second), grpc.Creds(admission),
		// A peer that went away without a word is found out; one that pings is not cut for it.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}))...)
	sc.authz.Register(server)
	healthpb.RegisterHealthServer(server, sc.health)
	return part{"authz over TCP", func(ctx context.Context) error { return serveGRPC(ctx, server, listener) }}, nil
}

// refusalsLogged is how often at most refused connections are logged: whoever reaches the port can make them.
const refusalsLogged = time.Second

// envoyRefused counts every connection that authz.listen refused, and logs one now and then.
func (o *observer) envoyRefused() func(remote string, err error) {
	count := prometheus.NewCounter(prometheus.CounterOpts{Name: "tiergate_authz_connections_refused_total",
		Help: "Connections to authz.listen that were refused in the handshake."})
	o.registry.MustRegister(count)
	var mu sync.Mutex
	var last time.Time
	quiet := 0
	return func(remote string, err error) {
		count.Inc()
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if now.Sub(last) < refusalsLogged {
			quiet++
			return
		}
		last = now
		o.log.Warn("a connection to authz.listen is refused", zap.String("remote", remote), zap.Error(err),
			zap.Int("moreSinceTheLast", quiet))
		quiet = 0
	}
}
