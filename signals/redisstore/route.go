package redisstore

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxHops is how often a command follows where a Cluster sends it: a slot moves once, and the map of a node that we ask
// may be one step behind.
const maxHops = 5

// batch are commands of which each goes to the primary of its shard, and follows its slot when that has moved.
type batch struct {
	side  *side
	pipes [shards]redis.Pipeliner
}

func (c *side) batch() *batch { return &batch{side: c} }

// on queues commands for a shard.
func (b *batch) on(shard int) redis.Pipeliner {
	switch {
	case b.pipes[shard] != nil:
	case b.side.cluster != nil:
		b.pipes[shard] = b.side.cluster.Pipeline()
	default:
		pipe := b.side.single.Pipeline()
		for i := range b.pipes {
			b.pipes[i] = pipe
		}
	}
	return b.pipes[shard]
}

// hop is where commands go next. asking: the node does not have the slot yet but is getting it.
type hop struct {
	client *redis.Client
	asking bool
}

// run asks, and returns what befell the batch as a whole; what a server answered to a single command is that command's
// own error.
func (b *batch) run(ctx context.Context) error {
	if b.side.cluster == nil {
		return execute(ctx, b.pipes[0])
	}
	jobs := map[hop][]redis.Cmder{}
	for shard, pipe := range b.pipes {
		if pipe == nil {
			continue
		}
		client, err := b.side.primary(ctx, shard)
		if err != nil {
			b.side.refresh()
			return err
		}
		jobs[hop{client: client}] = append(jobs[hop{client: client}], pipe.Cmds()...)
	}
	for range maxHops {
		if err := b.side.round(ctx, jobs); err != nil {
			b.side.refresh()
			return err
		}
		next, err := b.side.redirected(jobs)
		if err != nil {
			return err
		}
		if len(next) == 0 {
			return nil
		}
		jobs = next
	}
	return nil
}

// round asks all nodes at once and returns the first failure.
func (c *side) round(ctx context.Context, jobs map[hop][]redis.Cmder) error {
	var all sync.WaitGroup
	failures := make(chan error, len(jobs))
	for to, cmds := range jobs {
		all.Go(func() { failures <- send(ctx, to, cmds) })
	}
	all.Wait()
	close(failures)
	var first error
	for err := range failures {
		if first == nil {
			first = err
		}
	}
	return first
}

// send runs commands on one connection of a node.
func send(ctx context.Context, to hop, cmds []redis.Cmder) error {
	pipe := to.client.Pipeline()
	for _, cmd := range cmds {
		cmd.SetErr(nil)
		if to.asking {
			pipe.Do(ctx, "ASKING")
		}
		_ = pipe.Process(ctx, cmd) // only queues
	}
	return execute(ctx, pipe)
}

// redirected sorts the commands whose slot was elsewhere by where it is.
func (c *side) redirected(jobs map[hop][]redis.Cmder) (map[hop][]redis.Cmder, error) {
	next := map[hop][]redis.Cmder{}
	for from, cmds := range jobs {
		for _, cmd := range cmds {
			to, elsewhere, err := c.elsewhere(from, cmd.Err())
			if err != nil {
				return nil, err
			}
			if elsewhere {
				next[to] = append(next[to], cmd)
			}
		}
	}
	return next, nil
}

// elsewhere reads a redirection (https://valkey.io/topics/cluster-spec/, "MOVED redirection", "ASK redirection"). One
// without a host means the host that sent it.
func (c *side) elsewhere(from hop, answer error) (hop, bool, error) {
	if answer == nil {
		return hop{}, false, nil
	}
	address, moved := redis.IsMovedError(answer)
	asking := false
	if !moved {
		if address, asking = redis.IsAskError(answer); !asking {
			return hop{}, false, nil
		}
	}
	if moved {
		c.refresh()
	}
	if host, port, err := net.SplitHostPort(address); err == nil && (host == "" || host == "?") {
		host, _, _ = net.SplitHostPort(from.client.Options().Addr)
		address = net.JoinHostPort(host, port)
	}
	client, err := c.node(address)
	return hop{client, asking}, err == nil, err
}

// refresh has the map of slots read again, beside what goes on.
func (c *side) refresh() {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if c.cluster != nil && !closed {
		c.cluster.ReloadState(context.Background())
	}
}

// together runs commands on one connection of the shard's primary, and WAITAOF after them if synced is not 0, whose answer it
// returns. When the slot is elsewhere the first was not carried out, and all are sent there. While a slot is being moved key
// by key its commands of several keys wait. The commands that build made last have the answers.
func (c *side) together(
	ctx context.Context, shard int, synced time.Duration, build func(redis.Pipeliner),
) (aof *redis.Cmd, err error) {
	client, err := c.primary(ctx, shard)
	if err != nil {
		c.refresh()
		return nil, err
	}
	to, until := hop{client: client}, time.Now().Add(c.read)
	for hops := 0; ; hops++ {
		pipe := to.client.Pipeline()
		build(pipe)
		asked := newCall(pipe.Cmds(), synced)
		if err := c.hand(ctx, to, asked); err != nil {
			c.refresh()
			return nil, err
		}
		first := faulty(asked.cmds)
		next, elsewhere, err := c.elsewhere(to, first.Err())
		switch {
		case err != nil:
			return nil, err
		case elsewhere && hops < maxHops:
			to = next
		case c.cluster != nil && passing(first.Err()) && time.Now().Before(until):
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
			c.refresh()
			if to.client, err = c.primary(ctx, shard); err != nil {
				return nil, err
			}
			to.asking, hops = false, 0
		default:
			return asked.aof, nil
		}
	}
}

// faulty returns the first command that was answered with an error, or else the first.
func faulty(cmds []redis.Cmder) redis.Cmder {
	for _, cmd := range cmds {
		if cmd.Err() != nil {
			return cmd
		}
	}
	return cmds[0]
}

// hand sends a call with others, unless the node is to be asked in a way of its own.
func (c *side) hand(ctx context.Context, to hop, asked *call) error {
	if !to.asking {
		return c.carry(ctx, to.client, asked)
	}
	pipe := to.client.Pipeline()
	for _, cmd := range asked.cmds {
		pipe.Do(ctx, "ASKING")     // for the next command
		_ = pipe.Process(ctx, cmd) // only queues
	}
	if asked.synced > 0 {
		asked.aof = pipe.Do(ctx, "WAITAOF", c.opts.WaitAOF, c.opts.WaitReplicas, asked.synced.Milliseconds())
	}
	return execute(ctx, pipe)
}

// passing: a Cluster that is electing a primary or moving a slot answers so for a while.
func passing(err error) bool {
	return err != nil && (redis.IsTryAgainError(err) || redis.IsClusterDownError(err) || redis.IsMasterDownError(err))
}

// answer asks one shard one thing.
func answer[T any](
	ctx context.Context, c *side, shard int, ask func(redis.Pipeliner) interface{ Result() (T, error) },
) (T, error) {
	b := c.batch()
	asked := ask(b.on(shard))
	if err := b.run(ctx); err != nil {
		var none T
		return none, err
	}
	return asked.Result()
}
