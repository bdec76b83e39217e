package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// What callers ask of one server at the same time goes there together: whoever comes while every lane is under way waits for
// the next one to be free, and all who wait then share one pipeline, and one WAITAOF. Under load that is a fraction of the
// packets and system calls on both ends; alone, a call goes at once. Within a call nothing changes: its commands stay next to
// each other on one connection, and it has its own answers.
const (
	// lanes are the pipelines to one server that are under way at once: while one is answered the next is sent.
	lanes = 3
	// laneCalls and laneBytes bound what one pipeline takes; a larger call goes alone.
	laneCalls = 64
	laneBytes = 256 << 10
)

// flows are the calls of one side that wait or are under way, by server. One that has nothing to do is not kept.
type flows struct {
	mu sync.Mutex
	of map[*redis.Client]*flow
}

type flow struct {
	waiting []*call
	busy    int // lanes
}

// call are the commands of one caller.
type call struct {
	cmds   []redis.Cmder
	bytes  int
	synced time.Duration // how long WAITAOF shall wait after them; 0: there is none
	aof    *redis.Cmd    // its answer
	came   time.Time
	left   atomic.Bool // the caller has gone; what is not sent yet need not be
	done   chan error  // what befell the pipeline as a whole
}

func newCall(cmds []redis.Cmder, synced time.Duration) *call {
	c := &call{cmds: cmds, synced: synced, came: time.Now(), done: make(chan error, 1)}
	for _, cmd := range cmds {
		for _, arg := range cmd.Args() {
			switch text := arg.(type) {
			case string:
				c.bytes += len(text)
			case []byte:
				c.bytes += len(text)
			}
		}
	}
	return c
}

// carry sends a call to a server and waits for its answers. When the context ends first the answers are nobody's: the
// commands must not be looked at, and may have been carried out.
func (c *side) carry(ctx context.Context, client *redis.Client, asked *call) error {
	c.flows.mu.Lock()
	f := c.flows.of[client]
	if f == nil {
		f = &flow{}
		c.flows.of[client] = f
	}
	f.waiting = append(f.waiting, asked)
	if f.busy < lanes {
		f.busy++
		go c.drive(client, f)
	}
	c.flows.mu.Unlock()
	select {
	case err := <-asked.done:
		return err
	case <-ctx.Done():
		asked.left.Store(true)
		return ctx.Err()
	}
}

// drive sends what waits until nothing does. The time limits of the client bound each pipeline, whoever's it is.
func (c *side) drive(client *redis.Client, f *flow) {
	for {
		c.flows.mu.Lock()
		together := f.next()
		if len(together) == 0 {
			if f.busy--; f.busy == 0 {
				delete(c.flows.of, client)
			}
			c.flows.mu.Unlock()
			return
		}
		c.flows.mu.Unlock()
		c.deliver(client, together)
	}
}

// next takes the calls of one pipeline, in the order in which they came. The lock is held.
func (f *flow) next() []*call {
	n, bytes := 0, 0
	for n < len(f.waiting) && n < laneCalls {
		if bytes += f.waiting[n].bytes; n > 0 && bytes > laneBytes {
			break
		}
		n++
	}
	together := f.waiting[:n:n]
	if f.waiting = f.waiting[n:]; len(f.waiting) == 0 {
		f.waiting = nil // else the array would never be free
	}
	return together
}

// deliver sends calls in one pipeline and hands out what befell each.
func (c *side) deliver(client *redis.Client, together []*call) {
	ctx := context.Background()
	pipe := client.Pipeline()
	synced := time.Duration(0)
	sent := together[:0]
	for _, asked := range together {
		switch waited := time.Since(asked.came); {
		case asked.left.Load():
			continue
		case waited > c.read: // the server has not answered those before; this one is not to stand behind them for ever
			asked.done <- fmt.Errorf("%w: the calls before were not answered within %s", context.DeadlineExceeded, waited)
			continue
		}
		for _, cmd := range asked.cmds {
			_ = pipe.Process(ctx, cmd) // only queues
		}
		synced = max(synced, asked.synced)
		sent = append(sent, asked)
	}
	if len(sent) == 0 {
		return
	}
	var aof *redis.Cmd
	if synced > 0 { // once for all: it waits for everything written before on this connection
		aof = pipe.Do(ctx, "WAITAOF", c.opts.WaitAOF, c.opts.WaitReplicas, synced.Milliseconds())
	}
	err := execute(ctx, pipe)
	for _, asked := range sent {
		asked.aof = aof
		asked.done <- firstOf(err, lineFailed(faulty(asked.cmds)))
	}
}

// lineFailed returns the failure of a command that no server answered. execute says nothing of it where the server answered
// one before with an error of its own.
func lineFailed(cmd redis.Cmder) error {
	var answered redis.Error
	if err := cmd.Err(); err != nil && !errors.As(err, &answered) {
		return err
	}
	return nil
}
