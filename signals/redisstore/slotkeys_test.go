package redisstore

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// moveByKeys moves the slot of a shard as redis-cli --cluster reshard does: key by key, so that meanwhile some of its keys lie
// on one node and some on the other (https://valkey.io/topics/cluster-spec/, "Live resharding").
func (c *cluster) moveByKeys(t *testing.T, shard, to int, pause time.Duration) (steps int) {
	t.Helper()
	from := c.holder(t, shard)
	source, target := c.nodes[from], c.nodes[to]
	slot := slotOf(t, source, shard)
	target.do(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", source.do(t, "CLUSTER", "MYID"))
	source.do(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", target.do(t, "CLUSTER", "MYID"))
	for ; ; steps++ {
		keys, _ := source.do(t, "CLUSTER", "GETKEYSINSLOT", slot, 3).([]any)
		if len(keys) == 0 {
			break
		}
		command := append([]any{"MIGRATE", "127.0.0.1", target.port, "", 0, 30_000, "KEYS"}, keys...)
		source.do(t, command...)
		time.Sleep(pause)
	}
	id := target.do(t, "CLUSTER", "MYID")
	target.do(t, "CLUSTER", "SETSLOT", slot, "NODE", id)
	source.do(t, "CLUSTER", "SETSLOT", slot, "NODE", id)
	return steps
}

// errorsOf is how often the nodes answered with an error of this name.
func (c *cluster) errorsOf(t *testing.T, name string) int {
	t.Helper()
	sum := 0
	for _, node := range c.nodes {
		_, after, found := strings.Cut(node.do(t, "INFO", "errorstats").(string), "errorstat_"+name+":count=")
		if !found {
			continue
		}
		count, _, _ := strings.Cut(after, "\r\n")
		n, err := strconv.Atoi(count)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// TestSlotsMoveKeyByKey: while a slot is moved key by key, under reads and writes, nothing that was acknowledged is lost,
// nothing goes back, and every device can be read.
func TestSlotsMoveKeyByKey(t *testing.T) {
	t.Parallel()
	live := startCluster(t, false, nil)
	l := startLoad(t, Options{Cluster: live.addresses()})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%+v", l.copied.Status())
		}
	})
	l.recovered(t)
	shard := shardOf("d0")
	var beside []signals.DeviceID // in the same slot, and nobody writes them
	for i := 0; len(beside) < 150; i++ {
		device := fmt.Sprint("beside", i)
		if shardOf(device) != shard {
			continue
		}
		beside = append(beside, signals.DeviceID(device))
		eventually(t, device+" is there", func() error {
			if err := l.s.PutPosture(t.Context(), small(device, 7), 0); !errors.Is(err, signals.ErrConflict) {
				return err
			}
			return nil
		})
	}
	absent, unread, reads := 0, 0, 0
	done := make(chan struct{})
	l.all.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			reads++
			switch p, err := l.s.Posture(t.Context(), beside[i%len(beside)]); {
			case errors.Is(err, signals.ErrNotFound), err == nil && p.Revision != 7:
				absent++
			case err != nil:
				unread++
			}
		}
	})
	steps := 0
	for range 2 { // there and back
		steps += live.moveByKeys(t, shard, (live.holder(t, shard)+1)%masters, 10*time.Millisecond)
	}
	pause := l.recovered(t)
	close(done)
	l.still()
	asks, tryAgains := live.errorsOf(t, "ASK"), live.errorsOf(t, "TRYAGAIN")
	until(t, "the replica shows what was acknowledged", func() bool {
		for _, device := range beside {
			if held, ok := l.copied.Device(device); !ok || held.Posture == nil || held.Posture.Revision != 7 {
				return false
			}
		}
		return true
	})
	l.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	for device, acked := range l.acked {
		if p, err := l.s.Posture(t.Context(), signals.DeviceID(device)); err != nil || p.Revision < acked {
			t.Errorf("%s: %d was acknowledged, and there is %d, %v", device, acked, p.Revision, err)
		}
	}
	t.Logf("a slot moved twice in %d steps: ASK %d, TRYAGAIN %d; %d reads beside, %d refused for a while, %d wrong; acknowledged "+
		"writes lost %d, gone back %d, longest pause of all writers %.2f s", steps, asks, tryAgains, reads, unread, absent, l.lost,
		l.back, pause.Seconds())
	if asks == 0 || tryAgains == 0 {
		t.Error("nothing was asked for where it no longer was, so that nothing is proved")
	}
	if absent > 0 || l.lost > 0 || l.back > 0 || unread > reads/10 {
		t.Error("a move is seen")
	}
}
