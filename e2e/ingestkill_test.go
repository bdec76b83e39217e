package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/redisstore"
	"github.com/tiergate/tiergate/signals/source/standard"
)

// mortal is a `tiergate ingest` beside a Valkey, both of this test's own.
type mortal struct {
	dir, address, settings string
	binaries               stage.Binaries
	process                *exec.Cmd
}

const mortalSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"

func newMortal(t *testing.T) *mortal {
	t.Helper()
	binaries, err := stage.FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &mortal{dir: dir, address: freeport.For(t), settings: filepath.Join(dir, "settings.yaml"), binaries: binaries}
	m.run(t, binaries.Valkey, "--port", "0", "--unixsocket", m.store(), "--dir", dir, "--save", "", "--appendonly", "yes",
		"--appendfsync", "always")
	for file, text := range map[string]string{m.settings: `runtimeDir: run
store: {redis: {address: ` + m.store() + `, unsealed: true}}
sources: [{name: mdm, type: standard, attests: [firewall], secretFiles: [secret]}]
ingest: {listen: "` + m.address + `", metrics: {listen: "127.0.0.1:0"}}
log: {level: warn}
`, filepath.Join(dir, "secret"): mortalSecret} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *mortal) store() string { return filepath.Join(m.dir, "valkey") }

func (m *mortal) run(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(program, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return c
}

func (m *mortal) start(t *testing.T) {
	t.Helper()
	m.process = m.run(t, m.binaries.Tiergate, "ingest", "--config", m.settings)
}

// deliver sends until the delivery is acknowledged, as senders that retry do.
func (m *mortal) deliver(ctx context.Context, client *http.Client, id string, body []byte) error {
	for {
		header, err := standard.Sign(mortalSecret, id, time.Now(), body)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+m.address+"/v1/sources/mdm", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header = header
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusAccepted {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func fromEnv(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: write a number", name, text)
	}
	return n
}

// TestReceiverIsKilled: the receiver is killed (SIGKILL) again and again while senders deliver, and retry what was not
// acknowledged. Every delivery is applied, each once: one change of one device.
func TestReceiverIsKilled(t *testing.T) {
	t.Parallel()
	n, kills := fromEnv(t, "TIERGATE_DELIVERIES", 1000), fromEnv(t, "TIERGATE_KILLS", 3)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*30*time.Millisecond+2*time.Minute)
	defer cancel()
	m := newMortal(t)
	m.start(t)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	var next, acknowledged atomic.Int64
	var senders sync.WaitGroup
	for range 16 {
		senders.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				at := time.Now().UTC().Format(time.RFC3339)
				body := fmt.Appendf(nil, `{"type":"device.posture.updated","timestamp":%q,"data":{"device":{"id":"%d"},`+
					`"observed_at":%q,"attributes":{"firewall":true}}}`, at, i, at)
				if err := m.deliver(ctx, client, fmt.Sprint(i), body); err != nil {
					t.Errorf("delivery %d: %v", i, err)
					return
				}
				acknowledged.Add(1)
			}
		})
	}
	for kill := 1; kill <= kills && ctx.Err() == nil; kill++ {
		for acknowledged.Load() < int64(kill*n/(kills+1)) && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		_ = m.process.Process.Kill()
		_ = m.process.Wait()
		m.start(t)
	}
	senders.Wait()
	store, err := redisstore.Open(ctx, redisstore.Options{Address: m.store(), Patience: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	began := time.Now()
	for left := 1; left > 0 && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		left = 0
		if _, err := store.EachRecord(ctx, ingest.KindInbox, func(signals.Record) error { left++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	settled := time.Since(began)
	lost, twice, claims := m.judge(ctx, t, store, n)
	if lost != 0 || twice != 0 || claims != n || acknowledged.Load() != int64(n) {
		t.Errorf("%d acknowledged, %d lost, %d applied twice, %d names claimed", acknowledged.Load(), lost, twice, claims)
	}
	t.Logf("%d deliveries, receiver killed %d times: acknowledged %d, lost %d, applied twice %d; the rest was applied %v after the last",
		n, kills, acknowledged.Load(), lost, twice, settled.Round(time.Millisecond))
}

// judge looks behind every name: which device has it, and how often that device has changed.
func (m *mortal) judge(ctx context.Context, t *testing.T, store *redisstore.Store, n int) (lost, twice, claims int) {
	t.Helper()
	named := map[string]int{} // devices by their one vendor id
	_, err := store.EachPosture(ctx, func(p signals.Posture) error {
		for _, alias := range p.Aliases {
			named[alias.String()]++
		}
		if len(p.Aliases) != 1 || len(p.Facts) != 1 || p.Facts[0].Value != signals.Bool(true) {
			t.Errorf("device %s: %+v", p.Device, p)
		}
		return nil
	}, func(device signals.DeviceID, err error) { t.Errorf("%s: %v", device, err) })
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= n; i++ {
		switch named[fmt.Sprintf("vendor:mdm/%d", i)] {
		case 0:
			lost++
		case 1:
		default:
			twice++
		}
	}
	changes := m.changes(ctx, t)
	if _, err := store.EachRecord(ctx, ingest.KindAlias, func(signals.Record) error { claims++; return nil }); err != nil {
		t.Fatal(err)
	}
	return lost, twice + changes - len(named), claims
}

// changes counts the notices of the postures' change streams, which has one for every version ever written.
func (m *mortal) changes(ctx context.Context, t *testing.T) (sum int) {
	t.Helper()
	for shard := range 16 {
		out, err := m.ask(ctx, "XLEN", fmt.Sprintf("tg:{%02d}:posture-changes", shard))
		if err != nil {
			t.Fatal(err)
		}
		sum += out
	}
	return sum
}

// ask sends one command to Valkey and reads the number that it answers.
func (m *mortal) ask(ctx context.Context, command, key string) (n int, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", m.store())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "%s %s\r\n", command, key); err != nil {
		return 0, err
	}
	_, err = fmt.Fscanf(conn, ":%d\r\n", &n)
	return n, err
}
