package main

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
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
	return part{"authz over TCP", sc.decisions(listener, admission)}, nil
}

// refusalsLogged is how often at most connections are logged that were refused, or broke off: whoever reaches them can make them.
const refusalsLogged = time.Second

// envoyRefused counts every connection that authz.listen refused, and logs one now and then.
func (o *observer) envoyRefused() func(remote string, err error) {
	count := prometheus.NewCounter(prometheus.CounterOpts{Name: "tiergate_authz_connections_refused_total",
		Help: "Connections to authz.listen that were refused in the handshake."})
	o.registry.MustRegister(count)
	seldom := nowAndThen()
	return func(remote string, err error) {
		count.Inc()
		seldom(func(more int) {
			o.log.Warn("a connection to authz.listen is refused", zap.String("remote", remote), zap.Error(err),
				zap.Int("moreSinceTheLast", more))
		})
	}
}

// nowAndThen has something told at most once per refusalsLogged, with how often it was not told meanwhile.
func nowAndThen() func(tell func(more int)) {
	var mu sync.Mutex
	var last time.Time
	quiet := 0
	return func(tell func(more int)) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if now.Sub(last) < refusalsLogged {
			quiet++
			return
		}
		last = now
		tell(quiet)
		quiet = 0
	}
}
