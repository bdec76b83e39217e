package redisstore

import (
	"context"
	"crypto/tls"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
)

// freePorts finds TCP ports outside of the range that the kernel gives away.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		_, port, _ := strings.Cut(freeport.For(t), ":")
		var err error
		if ports[i], err = strconv.Atoi(port); err != nil {
			t.Fatal(err)
		}
	}
	return ports
}

// cluster is a real Cluster: the first three nodes have the slots, the others are their replicas, one each.
type cluster struct {
	nodes   []*server
	proxies []*proxy // what the nodes announce, if there are any
	raw     *redis.ClusterClient
}

const masters = 3

// startCluster starts one. front, if any: the nodes announce proxies that may end TLS, &tls.Config{} for ones that need not.
func startCluster(t testing.TB, replicas bool, front *tls.Config, args ...string) *cluster {
	t.Helper()
	// Where nobody can take over, nobody needs to be taken for dead soon: a loaded machine is slow, too.
	n, patience := masters, "10000" // ms
	if replicas {
		n, patience = 2*masters, "3000"
	}
	c, ports := &cluster{}, freePorts(t, 2*n)
	for i := range n {
		port, bus := ports[2*i], ports[2*i+1]
		own := []string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes",
			"--cluster-port", fmt.Sprint(bus), "--cluster-node-timeout", patience, "--repl-diskless-sync-delay", "0",
			"--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0"}
		node := &server{}
		if front != nil {
			p := through(t, node, front)
			c.proxies = append(c.proxies, p)
			own = append(own, "--cluster-announce-port", fmt.Sprint(p.port))
		}
		made := serve(t, append(own, args...)...)
		node.socket = made.socket
		made.port = port
		c.nodes = append(c.nodes, made)
	}
	for i, node := range c.nodes {
		for j := range c.nodes {
			if i != j {
				node.do(t, "CLUSTER", "MEET", "127.0.0.1", ports[2*j], ports[2*j+1])
			}
		}
		if i < masters {
			node.do(t, "CLUSTER", "ADDSLOTSRANGE", i*16384/masters, (i+1)*16384/masters-1)
		}
	}
	c.await(t, "everybody knows everybody", func(node *server) bool {
		return strings.Contains(node.do(t, "CLUSTER", "INFO").(string), fmt.Sprintf("cluster_known_nodes:%d", n))
	})
	for i := masters; i < n; i++ {
		primary := c.nodes[i-masters].do(t, "CLUSTER", "MYID")
		eventually(t, "a replica", func() error {
			return c.nodes[i].raw.Do(context.Background(), "CLUSTER", "REPLICATE", primary).Err()
		})
	}
	c.await(t, "all slots are served", func(node *server) bool {
		info := node.do(t, "CLUSTER", "INFO").(string)
		return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384")
	})
	if replicas {
		for _, node := range c.nodes[:masters] {
			eventually(t, "a replica in sync", func() error { return synced(node) })
		}
	}
	c.raw = redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.addresses(), DisableIdentity: true, ReadTimeout: time.Minute})
	t.Cleanup(func() { _ = c.raw.Close() })
	return c
}

// synced says whether a primary has a replica that follows its writes.
func synced(node *server) error {
	info, err := node.raw.Info(context.Background(), "replication").Result()
	if err == nil && !strings.Contains(info, "state=online") {
		return fmt.Errorf("no replica is online: %s", info)
	}
	return err
}

func (c *cluster) await(t testing.TB, what string, holds func(*server) bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		good := 0
		for _, node := range c.nodes {
			if node.cmd == nil || holds(node) {
				good++
			}
		}
		if good == len(c.nodes) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s\n%s", what, c.nodes[0].do(t, "CLUSTER", "NODES"))
		}
	}
}

func (c *cluster) addresses() []string {
	var all []string
	for i, node := range c.nodes {
		port := node.port
		if c.proxies != nil {
			port = c.proxies[i].port
		}
		all = append(all, fmt.Sprintf("127.0.0.1:%d", port))
	}
	return all
}

func (c *cluster) do(t testing.TB, args ...any) any {
	t.Helper()
	if args[0] == "FLUSHALL" {
		for _, node := range c.nodes {
			if err := node.raw.Do(context.Background(), args...).Err(); err != nil &&
				!strings.HasPrefix(err.Error(), "READONLY") {
				t.Fatal(err)
			}
		}
		return "OK"
	}
	answer, err := c.raw.Do(context.Background(), args...).Result()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return answer
}

// restart restarts every node and waits until they have found each other again.
func (c *cluster) restart(t testing.TB) {
	t.Helper()
	for _, node := range c.nodes {
		node.restart(t)
	}
	c.await(t, "all slots are served again", func(node *server) bool {
		return strings.Contains(node.do(t, "CLUSTER", "INFO").(string), "cluster_slots_ok:16384\r\n") &&
			strings.Contains(node.do(t, "CLUSTER", "INFO").(string), "cluster_state:ok")
	})
}

// holder returns the number of the node that has a shard.
func (c *cluster) holder(t testing.TB, shard int) int {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for i, node := range c.nodes { // on a loaded machine one may take another for dead, and then nobody has it for a moment
			err := node.raw.Do(context.Background(), "EXISTS", tag(shard)).Err()
			if node.cmd != nil && err == nil {
				return i
			}
		}
	}
	t.Fatalf("nobody has shard %d", shard)
	return -1
}

func slotOf(t testing.TB, node *server, shard int) any {
	t.Helper()
	return node.do(t, "CLUSTER", "KEYSLOT", tag(shard))
}
