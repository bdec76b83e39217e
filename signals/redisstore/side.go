package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// side is one set of connections, with its own patience: that of decisions, that of the work, or that of one watch. It
// hides which of the three shapes the servers have.
type side struct {
	opts *Options
	read time.Duration // how long an answer may take
	dial time.Duration
	bulk int // the longest text of an answer in bytes

	single  *redis.Client        // one server, or the primary that the Sentinels name
	cluster *redis.ClusterClient // or this

	flows flows // of calls that share pipelines

	mu     sync.Mutex
	nodes  map[string]*redis.Client // by address: where a Cluster sent us; nil: closed
	closed bool
}

// maxNodes bounds to how many addresses a Cluster may send us.
const maxNodes = 256

// newSide connects to nothing.
func newSide(opts *Options, read time.Duration, bulk int) *side {
	c := &side{opts: opts, read: read, dial: dialTimeout, bulk: bulk, nodes: map[string]*redis.Client{}}
	c.flows.of = map[*redis.Client]*flow{}
	if opts.TLS != nil {
		c.dial += tlsTimeout
	}
	if len(opts.Sentinels) > 0 {
		c.dial += sentinelTimeout
	}
	c.dial = max(c.dial, min(read, maxDial), opts.Patience)
	switch {
	case len(opts.Cluster) > 0:
		c.cluster = redis.NewClusterClient(c.clusterOptions())
	case len(opts.Sentinels) > 0:
		c.single = redis.NewFailoverClient(c.failoverOptions())
	default:
		c.single = redis.NewClient(c.options(opts.Address))
	}
	return c
}

// options spells out every setting that decides how long a call may take: the library's defaults (5 s, three
// retries, five dials, context deadlines ignored) would stall decisions for a minute.
func (c *side) options(address string) *redis.Options {
	return &redis.Options{
		Addr: address, Dialer: c.connect, Username: c.opts.Username, Password: c.opts.Password,
		Protocol: 2, DisableIdentity: true, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		DialTimeout: c.dial, ReadTimeout: c.read, WriteTimeout: min(c.read, max(writeTimeout, c.opts.Patience)),
		PoolSize: poolSize, MaxActiveConns: poolSize, PoolTimeout: readTimeout, PipelinePoolSize: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

func (c *side) failoverOptions() *redis.FailoverOptions {
	o := c.options("")
	return &redis.FailoverOptions{
		MasterName: c.opts.Master, SentinelAddrs: c.opts.Sentinels,
		SentinelUsername: c.opts.SentinelUsername, SentinelPassword: c.opts.SentinelPassword,
		Dialer: o.Dialer, Username: o.Username, Password: o.Password,
		Protocol: o.Protocol, DisableIdentity: o.DisableIdentity, MaxRetries: o.MaxRetries,
		DialerRetries: o.DialerRetries, ContextTimeoutEnabled: o.ContextTimeoutEnabled,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		PoolSize: o.PoolSize, MaxActiveConns: o.MaxActiveConns, PoolTimeout: o.PoolTimeout,
		PipelinePoolSize: o.PipelinePoolSize,
	}
}

// clusterOptions: the library keeps the map of slots and a pool per node; where commands go is decided in route.go.
func (c *side) clusterOptions() *redis.ClusterOptions {
	o := c.options("")
	return &redis.ClusterOptions{
		Addrs: c.opts.Cluster, ClusterStateReloadInterval: 10 * time.Second, MaxRedirects: -1,
		Dialer: o.Dialer, Username: o.Username, Password: o.Password,
		Protocol: o.Protocol, DisableIdentity: o.DisableIdentity, MaxRetries: o.MaxRetries,
		DialerRetries: o.DialerRetries, ContextTimeoutEnabled: o.ContextTimeoutEnabled,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		PoolSize: o.PoolSize, MaxActiveConns: o.MaxActiveConns, PoolTimeout: o.PoolTimeout,
		PipelinePoolSize: o.PipelinePoolSize, MaintNotificationsConfig: o.MaintNotificationsConfig,
	}
}

// connect dials a server or a Sentinel, with TLS where it is set, and bounds what may come back.
func (c *side) connect(ctx context.Context, _, address string) (net.Conn, error) {
	if err := c.opts.mayDial(address); err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, c.dial)
	defer stop()
	network := "tcp"
	if filepath.IsAbs(address) {
		network = "unix"
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if c.opts.TLS == nil {
		return guarded(conn, c.bulk), nil
	}
	settings := c.opts.TLS.Clone()
	if settings.ServerName == "" {
		settings.ServerName, _, _ = net.SplitHostPort(address)
	}
	secure := tls.Client(conn, settings)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	return guarded(secure, c.bulk), nil
}

// primary returns the node that has a shard as far as we know.
func (c *side) primary(ctx context.Context, shard int) (*redis.Client, error) {
	if c.cluster == nil {
		return c.single, nil
	}
	return c.cluster.MasterForKey(ctx, tag(shard))
}

// node returns the client of an address that a Cluster sent us to. The map of slots may not know it yet.
func (c *side) node(address string) (*redis.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.nodes[address]
	switch {
	case c.closed:
		return nil, redis.ErrClosed
	case ok:
		return known, nil
	case len(c.nodes) >= maxNodes:
		return nil, fmt.Errorf("the Cluster sent us to more than %d addresses; see its CLUSTER SLOTS", maxNodes)
	}
	made := redis.NewClient(c.options(address))
	c.nodes[address] = made
	return made, nil
}

// Close ends every connection; calls that are under way end with an error.
func (c *side) Close() error {
	c.mu.Lock()
	nodes := c.nodes
	c.nodes, c.closed = nil, true
	c.mu.Unlock()
	var errs []error
	for _, n := range nodes {
		errs = append(errs, n.Close())
	}
	if c.single != nil {
		errs = append(errs, c.single.Close())
	}
	if c.cluster != nil {
		errs = append(errs, c.cluster.Close())
	}
	return errors.Join(errs...)
}
