package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// crew is some processes of `tiergate serve` beside a company, which reach its Valkey through a gate.
type crew struct {
	s      *stage.Stage
	gate   *gate
	checks []authv3.AuthorizationClient
	ask    *authv3.CheckRequest // of ana, on her laptop
}

// newCrew starts n of them; edits are further changes of their settings, from and to.
func newCrew(t *testing.T, n int, edits ...[2]string) *crew {
	t.Helper()
	s := aCompany(t, stage.StoreRedis)
	binaries, err := stage.FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(s.Settings())
	if err != nil {
		t.Fatal(err)
	}
	c := &crew{s: s, gate: newGate(t, s.Path("run", "valkey.sock")), ask: asks(s, "ana-laptop", "ana")}
	for i := range n {
		name := fmt.Sprint("serve-", i)
		text := string(settings)
		for from, to := range map[string]string{
			"runtimeDir: run": "runtimeDir: " + name, s.Path("run", "valkey.sock"): c.gate.address(), s.Ports.ServeMetrics: "127.0.0.1:0",
		} {
			text = replaceOnce(t, text, from, to)
		}
		for _, edit := range edits {
			text = replaceOnce(t, text, edit[0], edit[1])
		}
		file := s.Path(name + ".yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		conn, err := grpc.NewClient("unix:"+s.Path(name, "authz.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		checks := authv3.NewAuthorizationClient(conn)
		c.checks = append(c.checks, checks)
		err = s.Processes.Start(soon(t, time.Minute), stage.Process{
			Name: name, Path: binaries.Tiergate, Args: []string{"serve", "--config", file}, Log: s.Path("logs", name+".log"),
			Ready: func(ctx context.Context) error {
				if admitted, err := c.admits(ctx, checks); err != nil || !admitted {
					return errors.Join(err, errors.New("ana is not admitted"))
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *crew) admits(ctx context.Context, checks authv3.AuthorizationClient) (bool, error) {
	response, err := checks.Check(ctx, c.ask)
	return err == nil && codes.Code(response.GetStatus().GetCode()) == codes.OK, err
}

// change is how long one took: from when the webhook was sent, and from its 202, until a sidecar decided by it.
type change struct{ sent, accepted time.Duration }

// change reports that ana's disk is encrypted, or not, and waits until each sidecar decides so. Between the 202 and the
// waiting something may be done.
func (c *crew) change(t *testing.T, encrypted bool, meanwhile func()) []change {
	t.Helper()
	ctx := soon(t, wait)
	var began, accepted time.Time
	for status := 0; status != http.StatusAccepted; { // a sender comes again when a busy receiver made it wait
		began = time.Now()
		receipt, err := c.s.Report(ctx, "ana-laptop", map[string]any{"disk_encryption": encrypted})
		if status = receipt.Status; err != nil || ctx.Err() != nil {
			t.Fatalf("%d %v", status, err)
		}
		accepted = time.Now()
	}
	if meanwhile != nil {
		meanwhile()
	}
	took := make([]change, len(c.checks))
	var all sync.WaitGroup
	for i, checks := range c.checks {
		all.Go(func() {
			for {
				admitted, err := c.admits(ctx, checks)
				if err != nil {
					t.Errorf("sidecar %d, %v after the webhook: %v", i, time.Since(began), err)
					return
				}
				if now := time.Now(); admitted == encrypted {
					took[i] = change{now.Sub(began), now.Sub(accepted)}
					return
				}
				time.Sleep(500 * time.Microsecond) // five ask at once, on few cores
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return took
}

// wait is the longest that any of these figures may be; nobody is measured against it but what hangs.
const wait = time.Minute

func figures(t *testing.T, took []time.Duration) string {
	t.Helper()
	slices.Sort(took)
	if last := took[len(took)-1]; last > wait {
		t.Errorf("one took %v", last)
	}
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }
	return fmt.Sprintf("p50 %s, p99 %s, max %s ms", ms(took[len(took)/2]), ms(took[len(took)*99/100]), ms(took[len(took)-1]))
}

// load is how busy the machine was in the last minute; figures of time mean little without it.
func load() string {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(raw), " ")
	return one
}

// TestWebhookReachesEverySidecar: from a webhook to the changed decision of each of five sidecars, which are processes of
// their own: with the change stream as it is, and when each sidecar's connections to the store are taken from it just before.
// Nothing but the store tells a sidecar of a change, so then the bound is how soon it notices.
func TestWebhookReachesEverySidecar(t *testing.T) {
	t.Parallel()
	c := newCrew(t, 5)
	encrypted := true
	run := func(what string, n int, before, meanwhile func()) {
		var sent, accepted []time.Duration
		for range n {
			if before != nil {
				before()
			}
			encrypted = !encrypted
			for _, took := range c.change(t, encrypted, meanwhile) {
				sent, accepted = append(sent, took.sent), append(accepted, took.accepted)
			}
		}
		t.Logf("%s: webhook -> changed decision on each of %d sidecars, %d changes: %s; after the 202: %s (load %s)",
			what, len(c.checks), n, figures(t, sent), figures(t, accepted), load())
	}
	cuts, calm := fromEnv(t, "TIERGATE_CUTS", 1), time.Duration(0)
	if cuts > 1 {
		calm = 6 * time.Second // trouble in quick succession is waited for longer each time; so long after, it counts as new
	}
	taken := func(calm time.Duration, take func() int) func() {
		return func() {
			time.Sleep(calm)
			if n := take(); n < len(c.checks) {
				t.Fatalf("%d sidecars had %d connections through the gate: it is not where this test thinks", len(c.checks), n)
			}
		}
	}
	run("the change stream as it is", fromEnv(t, "TIERGATE_CHANGES", 50), nil, nil)
	run("connections ended", cuts, taken(calm, c.gate.cut), nil)
	run("connections silent", cuts, taken(calm, c.gate.silence), nil)
	run("connections silent, and the change streams gone", cuts, taken(calm, c.gate.silence), func() { c.forget(t) })
	if cuts > 1 {
		run("connections ended, again and again", 2*cuts, taken(0, c.gate.cut), nil)
	}
	run("and as before again", 10, nil, nil)
}

// forget removes the change streams of postures from Valkey, and with them every notice that a silent sidecar has not heard.
func (c *crew) forget(t *testing.T) { t.Helper(); c.forgetChanges(t, "posture-changes") }

func (c *crew) forgetChanges(t *testing.T, of string) {
	t.Helper()
	conn, err := net.Dial("unix", c.s.Path("run", "valkey.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // what it was for has been said
	var names strings.Builder
	for shard := range 16 {
		fmt.Fprintf(&names, " tg:{%02d}:%s", shard, of)
	}
	if _, err := fmt.Fprintf(conn, "DEL%s\r\n", names.String()); err != nil {
		t.Fatal(err)
	}
	if answer, err := bufio.NewReader(conn).ReadString('\n'); err != nil || answer == ":0\r\n" || answer[0] != ':' {
		t.Fatalf("%q, %v: the streams are not where this test thinks", answer, err)
	}
}
