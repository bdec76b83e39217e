package redisstore

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// sentinels are three real Sentinels that watch over a primary with two replicas.
type sentinels struct {
	servers   []*server
	proxies   []*proxy // of the servers
	addresses []string // of the Sentinels
	direct    []string
	raw       *redis.Client // follows the primary
	lone      *redis.SentinelClient
}

const masterName = "posture"

// watching says how Sentinels watch. front, if any: they and the servers announce proxies that may end TLS.
type watching struct {
	downAfter time.Duration
	password  string
	front     *tls.Config
}

func startSentinels(t testing.TB, how watching, args ...string) *sentinels {
	t.Helper()
	const servers, watchers = 3, 3
	s, ports := &sentinels{}, freePorts(t, servers+watchers)
	announced := append([]int{}, ports...)
	for i := range servers {
		node := &server{}
		if how.front != nil {
			s.proxies = append(s.proxies, through(t, node, how.front))
			announced[i] = s.proxies[i].port
		}
		own := []string{"--port", fmt.Sprint(ports[i]), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0",
			"--replica-announce-ip", "127.0.0.1", "--replica-announce-port", fmt.Sprint(announced[i])}
		if i > 0 {
			own = append(own, "--replicaof", "127.0.0.1", fmt.Sprint(announced[0]))
		}
		made := serve(t, append(own, args...)...)
		node.socket, made.port = made.socket, announced[i]
		s.servers = append(s.servers, made)
	}
	eventually(t, "both replicas follow", func() error {
		info, err := s.servers[0].raw.Info(context.Background(), "replication").Result()
		if err == nil && strings.Count(info, "state=online") != servers-1 {
			return fmt.Errorf("not yet: %s", info)
		}
		return err
	})
	for i := range watchers {
		direct := startSentinel(t, ports[servers+i], announced[0], how)
		s.direct = append(s.direct, direct)
		if how.front == nil {
			s.addresses = append(s.addresses, direct)
			continue
		}
		p := through(t, &server{}, how.front)
		p.to = func() (net.Conn, error) { return net.Dial("tcp", direct) }
		s.addresses = append(s.addresses, p.address())
	}
	s.raw = redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: masterName, SentinelAddrs: s.direct, SentinelPassword: how.password, DisableIdentity: true, ReadTimeout: time.Minute,
	})
	s.lone = redis.NewSentinelClient(&redis.Options{Addr: s.direct[0],
		Password: how.password, DisableIdentity: true, ReadTimeout: time.Minute})
	t.Cleanup(func() { _ = s.raw.Close(); _ = s.lone.Close() })
	eventually(t, "the Sentinels know each other", s.ready)
	return s
}

// ready: a failover would find two replicas and a quorum.
func (s *sentinels) ready() error {
	ctx := context.Background()
	if err := s.lone.CkQuorum(ctx, masterName).Err(); err != nil {
		return err
	}
	state, err := s.lone.Master(ctx, masterName).Result()
	if err != nil {
		return err
	}
	if state["num-slaves"] != "2" || state["num-other-sentinels"] != "2" || state["flags"] != "master" {
		return fmt.Errorf("not yet: %v", state)
	}
	replicas, err := s.lone.Replicas(ctx, masterName).Result()
	if err != nil {
		return err
	}
	for _, r := range replicas {
		if r["master-link-status"] != "ok" || r["flags"] != "slave" {
			return fmt.Errorf("not yet: %v", r)
		}
	}
	return nil
}

func startSentinel(t testing.TB, port, primary int, how watching) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "sentinel.conf")
	settings := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nlogfile %s/log\nprotected-mode no\n", port, dir, dir) +
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d 2\n", masterName, primary) +
		fmt.Sprintf("sentinel down-after-milliseconds %s %d\n", masterName, how.downAfter.Milliseconds()) +
		fmt.Sprintf("sentinel failover-timeout %s 3000\n", masterName)
	if how.password != "" {
		settings += "requirepass " + how.password + "\nsentinel sentinel-pass " + how.password + "\n"
	}
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool(t, "valkey-server"), file, "--sentinel")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_, _ = cmd.Process.Wait()
		_ = os.RemoveAll(dir)
	})
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// primary is the server that the Sentinels name, which may be down.
func (s *sentinels) primary(t testing.TB) *server {
	t.Helper()
	at, err := s.lone.GetMasterAddrByName(context.Background(), masterName).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range s.servers {
		if fmt.Sprint(server.port) == at[1] {
			return server
		}
	}
	t.Fatalf("the Sentinels name %v", at)
	return nil
}

func (s *sentinels) do(t testing.TB, args ...any) any {
	t.Helper()
	answer, err := s.raw.Do(context.Background(), args...).Result()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return answer
}
