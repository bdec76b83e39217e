package e2e_test

import (
	"context"
	"crypto/tls"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// TestChurn: the policy is edited every 100 ms while everybody asks, and the listener's certificate is replaced in the
// middle of it. No request fails, no stream is cut, whoever answers is who some generation of that moment led to, and Envoy
// changes no listener. TIERGATE_PROVE=1 edits for a minute.
func TestChurn(t *testing.T) {
	t.Parallel()
	c := newChurn(t)
	c.edits.begin()
	lasts := 10 * time.Second
	if os.Getenv("TIERGATE_PROVE") != "" {
		lasts = time.Minute
	}
	before := c.stats("listener_manager")
	tiergate, envoy := c.memory("serve"), c.memory("envoy")
	c.load.start()
	c.load.open(t)
	shown := c.shown()
	ctx, stop := context.WithTimeout(context.Background(), lasts)
	defer stop()
	rotated := time.AfterFunc(lasts/2, func() { c.rotate() })
	defer rotated.Stop()
	c.edits.run(ctx)
	c.until("the last edit", c.edits.newest)
	c.load.stop()
	if c.shown() == shown {
		t.Error("the certificate of the listener is the old one")
	}
	l := c.load
	t.Logf("%d edits, %d of them seen in force; %d requests, %d failed, %d strayed; %d streams open, %d messages over them",
		len(c.edits.written)-1, c.edits.inForce, l.sent.Load(), len(l.failed), len(l.strayed), l.streams.Load(), l.spoken.Load())
	t.Logf("of the route that changes its audience %d served, %d refused for the change; tiergate %d MiB then %d, Envoy %d MiB then %d",
		l.turned[0].Load(), l.turned[1].Load(), tiergate, c.memory("serve"), envoy, c.memory("envoy"))
	c.nothingFailed()
	c.envoyIsContent(before)
	if least := int64(lasts / (50 * time.Millisecond)); l.sent.Load() < least || l.spoken.Load() < least {
		t.Errorf("%d requests and %d messages, want %d of each to prove anything", l.sent.Load(), l.spoken.Load(), least)
	}
	if l.turned[0].Load() < 10 {
		t.Error("the route that changes its audience hardly ever served us")
	}
	if least := len(c.edits.written) / 4; c.edits.inForce < least {
		t.Errorf("%d of %d edits were seen in force", c.edits.inForce, len(c.edits.written)-1)
	}
}

// stop ends the load and waits for what has begun.
func (l *churnLoad) stop() {
	l.end()
	l.running.Wait()
}

func (c *churn) until(what string, is func() bool) time.Duration {
	c.t.Helper()
	began := time.Now()
	for !is() {
		if time.Since(began) > 30*time.Second {
			c.t.Fatalf("%s: it did not come: %v", what, c.edits.look())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

// rotate replaces the certificate of the listener, the way a renewal does.
func (c *churn) rotate() {
	server, err := c.p.servers.Server(forAnHour, churnHost)
	if err != nil {
		c.t.Error(err)
		return
	}
	files := c.p.settings.Envoy.Listeners[0].TLS
	if err := server.WriteFiles(files.CertFile+".new", files.KeyFile+".new"); err != nil {
		c.t.Error(err)
	}
	for _, file := range []string{files.CertFile, files.KeyFile} {
		if err := os.Rename(file+".new", file); err != nil {
			c.t.Error(err)
		}
	}
}

// shown is the serial number of the listener's certificate.
func (c *churn) shown() string {
	c.t.Helper()
	conn := made(tls.Dial("tcp", c.p.settings.Envoy.Listeners[0].Address, &tls.Config{RootCAs: devca.Pool(c.p.servers),
		ServerName: churnHost, Certificates: []tls.Certificate{c.pair.TLS()}, MinVersion: tls.VersionTLS12}))(c.t)
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func (c *churn) nothingFailed() {
	c.t.Helper()
	for i, f := range c.load.failed {
		if i > 20 {
			c.t.Errorf("and %d more", len(c.load.failed)-i)
			break
		}
		c.t.Error(f)
	}
	for i, s := range c.load.strayed {
		if i > 20 {
			c.t.Errorf("and %d more", len(c.load.strayed)-i)
			break
		}
		c.t.Error(s)
	}
	if n := c.load.streams.Load(); n != 12 {
		c.t.Errorf("%d streams are still open, of 12", n)
	}
}

var decisionCount = regexp.MustCompile(`(?m)^tiergate_decisions_total\{outcome="(\w+)",reason="([\w-]*)",.*\} ([0-9]+)$`)

// envoyIsContent holds that no listener changed, nothing was refused, and that tiergate never chose another route than Envoy.
func (c *churn) envoyIsContent(before map[string]int) {
	c.t.Helper()
	for name, n := range c.stats("listener_manager") {
		if strings.HasSuffix(name, "listener_modified") || strings.HasSuffix(name, "listener_added") ||
			strings.HasSuffix(name, "total_listeners_draining") {
			if n != before[name] {
				c.t.Errorf("%s is %d and was %d", name, n, before[name])
			}
		}
	}
	refused := c.stats("update_rejected")
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		if refused[name] != 0 {
			c.t.Errorf("%s: %d", name, refused[name])
		}
	}
	if len(refused) < 4 {
		c.t.Errorf("too few counters to prove anything: %v", refused)
	}
	metrics := made(c.p.probe(soon(c.t, 20*time.Second), "/metrics"))(c.t)
	allowed := 0
	for _, m := range decisionCount.FindAllStringSubmatch(metrics, -1) {
		switch n, _ := strconv.Atoi(m[3]); {
		case m[1] == "allow":
			allowed += n
		case m[2] == "audience", m[2] == "route-mismatch" && n <= int(c.load.turned[1].Load())+c.load.behind:
		default:
			c.t.Errorf("%s %s: %d times", m[1], m[2], n)
		}
	}
	if allowed == 0 {
		c.t.Errorf("no decision is counted:\n%s", metrics)
	}
	if strings.Contains(metrics, `answer="nack"`) {
		c.t.Error("a NACK is counted")
	}
}

// TestChurnUnderRestart: tiergate ends in the middle of the edits, once by SIGTERM and once by SIGKILL, and comes back to a
// policy that has changed meanwhile. While it is away what needs a decision is answered 503; when it is back, a route whose
// upstream has changed meanwhile is refused until Envoy leads there; and nothing else fails. The streams stay open, and Envoy
// changes no listener.
func TestChurnUnderRestart(t *testing.T) {
	t.Parallel()
	c := newChurn(t)
	c.edits.begin()
	before := c.stats("listener_manager")
	c.load.start()
	c.load.open(t)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	edited := make(chan struct{})
	go func() { defer close(edited); c.edits.run(ctx) }()
	var away []time.Duration
	for _, end := range []func(string) error{c.p.processes.End, c.p.processes.Kill} {
		time.Sleep(1500 * time.Millisecond)
		from := time.Now()
		if err := end("serve"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * editEvery) // so that it comes back to another policy than it knew
		if err := c.p.processes.Restart(soon(t, time.Minute), "serve"); err != nil {
			t.Fatal(err)
		}
		c.load.backed(t, 30*time.Second)
		away = append(away, time.Since(from))
		c.load.excuse(from, time.Now())
	}
	time.Sleep(1500 * time.Millisecond)
	stop()
	<-edited
	c.until("the last edit", c.edits.newest)
	c.load.stop()
	l := c.load
	t.Logf("%d edits, %d of them seen in force; %d requests, %d answered 503 while tiergate was away for %v and %d refused "+
		"until Envoy had the new routes, %d failed, %d strayed; %d streams open", len(c.edits.written)-1, c.edits.inForce,
		l.sent.Load(), l.closed, away, l.behind, len(l.failed), len(l.strayed), l.streams.Load())
	c.nothingFailed()
	c.envoyIsContent(before)
	if l.closed == 0 {
		t.Error("nobody noticed that tiergate was away")
	}
}
