package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/replica"
)

// load writes to many devices, each from its own goroutine, and knows the last revision of each that was acknowledged. A
// replica follows, and whatever it shows never goes back.
type load struct {
	s      *Store
	copied *replica.Replica

	mu        sync.Mutex
	acked     map[string]signals.Revision
	last      time.Time     // of the last acknowledgement
	pause     time.Duration // the longest between two of them
	regressed int           // how often the replica was shown something older than it holds
	gaps      int           // how often it began anew
	shown     map[signals.DeviceID]signals.Revision
	back      int
	lost      int // how often a writer read less than what it had been acknowledged

	stop  context.CancelFunc
	still context.CancelFunc // ends the writers, so that the replica has the machine for itself
	all   sync.WaitGroup
}

const writersInLoad = 12

func startLoad(t *testing.T, opts Options) *load {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &load{s: s, stop: stop, acked: map[string]signals.Revision{}, shown: map[signals.DeviceID]signals.Revision{}, last: time.Now()}
	l.copied = replica.New(s, replica.Options{
		OnChange: func(p *signals.Posture) {
			l.mu.Lock()
			defer l.mu.Unlock()
			if p.Revision < l.shown[p.Device] {
				l.back++
			}
			l.shown[p.Device] = p.Revision
		},
		Events: replica.Events{
			Regressed: func(signals.DeviceID, signals.Revision, signals.Revision) { l.count(&l.regressed) },
			Loaded:    func(int, time.Duration) { l.count(&l.gaps) },
		},
	})
	l.all.Go(func() { _ = l.copied.Run(ctx) })
	<-l.copied.Loaded()
	writing, still := context.WithCancel(ctx)
	l.still = still
	for i := range writersInLoad {
		l.all.Go(func() { l.write(writing, fmt.Sprint("d", i)) })
	}
	t.Cleanup(func() { l.end(); _ = s.Close() })
	return l
}

func (l *load) count(n *int) {
	l.mu.Lock()
	*n++
	l.mu.Unlock()
}

func (l *load) end() { l.stop(); l.all.Wait() }

// write is a receiver: it reads, and writes a revision that is higher than any before, as ingest does.
func (l *load) write(ctx context.Context, device string) {
	for ctx.Err() == nil {
		stored, err := l.s.Posture(ctx, signals.DeviceID(device))
		if err != nil && stored.Revision == 0 && !isAbsent(err) {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		l.mu.Lock()
		if stored.Revision < l.acked[device] {
			l.lost++
		}
		l.mu.Unlock()
		next := max(stored.Revision+1, signals.Revision(time.Now().UnixMicro()))
		if l.s.PutPosture(ctx, small(device, next), stored.Revision) != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		l.mu.Lock()
		l.acked[device] = next
		l.pause = max(l.pause, time.Since(l.last))
		l.last = time.Now()
		l.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}

// recovered waits until every writer was acknowledged again, and returns how long the longest pause was.
func (l *load) recovered(t *testing.T) time.Duration {
	t.Helper()
	from := signals.Revision(time.Now().UnixMicro())
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		l.mu.Lock()
		behind := 0
		for _, acked := range l.acked {
			if acked <= from {
				behind++
			}
		}
		pause, known := l.pause, len(l.acked)
		l.mu.Unlock()
		if behind == 0 && known == writersInLoad {
			return pause
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d writers are still refused", behind, known)
		}
	}
}

func isAbsent(err error) bool { return errors.Is(err, signals.ErrNotFound) }

// failover does something bad and returns how long nobody was acknowledged.
func (l *load) failover(t *testing.T, bad func()) time.Duration {
	t.Helper()
	l.recovered(t)
	l.mu.Lock()
	l.pause = 0
	l.mu.Unlock()
	bad()
	return l.recovered(t)
}

// durability are the settings whose losses are told.
var durability = []struct {
	name     string
	aof, rep int
}{{"waitAOF 0", 0, 0}, {"waitAOF 1", 1, 0}, {"waitAOF 1, waitReplicas 1", 1, 1}}

func (l *load) report(t *testing.T, what, setting string, pauses []time.Duration, nothing bool) {
	slices.Sort(pauses)
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Printf("    %s, %s: %d failovers, seconds without a write: median %.2f, most %.2f; acknowledged "+
		"writes found lost: %d; full loads %d, older revisions refused by the replica %d, gone back %d\n", what, setting,
		len(pauses), pauses[len(pauses)/2].Seconds(), pauses[len(pauses)-1].Seconds(), l.lost, l.gaps, l.regressed, l.back)
	if l.back > 0 {
		t.Errorf("the replica went back %d times", l.back)
	}
	if nothing && l.lost > 0 {
		t.Errorf("%d were lost, though a replica had them", l.lost)
	}
}

// TestSentinelFailover kills the primary under load, again and again.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	settings := durability[2:]
	rounds := 1
	if prove {
		settings, rounds = durability, 10
	}
	for _, d := range settings {
		live := startSentinels(t, watching{downAfter: 500 * time.Millisecond}, "--appendfsync", "everysec")
		l := startLoad(t, Options{Sentinels: live.addresses, Master: masterName, WaitAOF: d.aof, WaitReplicas: d.rep})
		var pauses []time.Duration
		for round := range rounds {
			pauses = append(pauses, l.failover(t, func() { live.primary(t).kill() }))
			for _, node := range live.servers {
				if node.cmd == nil {
					node.start(t)
				}
			}
			if round == rounds-1 {
				break
			}
			for until := time.Now().Add(25 * time.Second); live.ready() != nil && time.Now().Before(until); {
				time.Sleep(50 * time.Millisecond)
			}
		}
		l.end()
		l.report(t, "Sentinel", d.name, pauses, d.rep > 0)
	}
}

// TestClusterFailover moves slots and kills a primary under load.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	settings := durability[2:]
	if prove {
		settings = durability
	}
	for _, d := range settings {
		live := startCluster(t, true, nil, "--appendfsync", "everysec")
		l := startLoad(t, Options{Cluster: live.addresses(), WaitAOF: d.aof, WaitReplicas: d.rep})
		l.recovered(t)
		for i := range 3 {
			shard := shardOf(fmt.Sprint("d", i))
			live.move(t, shard, (live.holder(t, shard)+1)%masters)
		}
		fmt.Printf("    Cluster, %s: 3 slots moved, longest pause %.2f s\n", d.name, l.recovered(t).Seconds())
		pause := l.failover(t, func() {
			was := live.holder(t, shardOf("d0"))
			live.nodes[was].kill()
			until(t, "another node has its slots", func() bool { return live.holder(t, shardOf("d0")) != was })
			// With waitReplicas the new primary takes no write before it has a replica again, so the old one comes back.
			live.nodes[was].start(t)
		})
		l.end()
		l.report(t, "Cluster", d.name, []time.Duration{pause}, d.rep > 0)
	}
}
