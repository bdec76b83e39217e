package e2e_test

import (
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/agent"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

const (
	rotationTTL = 14 * time.Second // so that an agent that is gone for a while leaves a busy machine some seconds to renew
	agentGone   = 4 * time.Second
	// rotationTakes at most: until a renewal that is some seconds away, and until what the old CA had signed by then has ended.
	rotationTakes = 19 * time.Second
)

// rotationLasts is short in `make test`; `make prove` says TIERGATE_ROTATION=5m.
func rotationLasts(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("TIERGATE_ROTATION")
	if text == "" {
		return rotationTakes + 2*time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < rotationTakes {
		t.Fatalf("TIERGATE_ROTATION=%s: write a duration of at least %s", text, rotationTakes)
	}
	return d
}

// TestRotationUnderLoad: certificates of fourteen seconds for clients, Envoy, tiergate and upstreams; an agent that is gone for
// four; a CA that is replaced meanwhile. Of clients that renew in time, no request is lost; one that does not is refused,
// and so is whoever shows what the old CA has signed.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	lasts := rotationLasts(t)
	issued := &issuedCount{by: map[string]int{}}
	s := rotatingCompany(t, issued)
	load := &rotationLoad{stage: s}
	load.start(t)
	late := lateClient(t, s)
	ofOldCA := stage.Request{As: "deployer", Host: stage.PayrollHost, Path: "/admin/runs", HTTP1: true}
	eventually(t, s, late, http.StatusOK)

	began, rotations := time.Now(), 0
	for end := began.Add(lasts); rotations == 0 || time.Now().Add(rotationTakes).Before(end); rotations++ {
		rotateOnce(t, s)
	}
	time.Sleep(time.Until(began.Add(lasts)))
	load.stop()

	took := time.Since(began)
	t.Logf("%s: %d requests, %d lost; each certificate renewed every %s, the CA replaced %d times, the agent gone as often",
		took.Round(time.Second), load.sent.Load(), len(load.faults), rotationTTL/2, rotations)
	for i, fault := range load.faults {
		if i < 20 {
			t.Error(fault)
		}
	}
	load.check(t, issued, int(took/(rotationTTL/2)))
	if answer := s.Ask(soon(t, 10*time.Second), late); answer.Status != http.StatusUnauthorized || answer.DecisionID() == "" {
		t.Errorf("a kept connection whose certificate has ended: %d %s %v", answer.Status, answer.Reason(), answer.Err)
	}
	if answer := s.Ask(soon(t, 10*time.Second), ofOldCA); answer.Err == nil {
		t.Errorf("a certificate of the CA that was withdrawn: %d %s", answer.Status, answer.Reason())
	}
}

// issuedCount counts the certificates that the agent signed for each identity.
type issuedCount struct {
	mu sync.Mutex
	by map[string]int
}

func (c *issuedCount) of(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[id]
}

func rotatingCompany(t *testing.T, issued *issuedCount) *stage.Stage {
	t.Helper()
	var started atomic.Bool
	s, err := stage.New(stage.Options{Store: stage.StoreEmbedded, Agent: true, AgentEvents: agent.Events{
		Issued: func(id string, _ time.Time) {
			issued.mu.Lock()
			defer issued.mu.Unlock()
			issued.by[id]++
		},
		Refused: func(caller agent.Caller, reason string) {
			if started.Load() { // before, a child may ask before the stage could say who it is, and asks again
				t.Errorf("the agent refused %s: %s", caller, reason)
			}
		},
		Rejected: func(_ agent.Caller, names []string, detail string) {
			t.Errorf("Envoy cannot use %q: %s", names, detail)
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Agent.SetTTL(rotationTTL); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(soon(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	started.Store(true)
	return s
}

// rotateOnce replaces the CA: published some seconds before a renewal, it signs from then on. Right after that renewal the
// agent is taken away; when it is back there are some seconds until the next one.
func rotateOnce(t *testing.T, s *stage.Stage) {
	t.Helper()
	const known, signs = 3 * time.Second, 300 * time.Millisecond // before the renewal
	ctx := soon(t, 2*time.Minute)
	if next := s.Agent.NextRenewal(); time.Until(next) < known { // too soon for all to know the new one by then
		time.Sleep(time.Until(next.Add(500 * time.Millisecond)))
	}
	time.Sleep(time.Until(s.Agent.NextRenewal().Add(-known)))
	rotated := make(chan error, 1)
	go func() { rotated <- s.Agent.RotateCA(ctx, stage.TrustDomain, known-signs) }()
	time.Sleep(known + signs)
	if err := s.Agent.Stop(); err != nil {
		t.Error(err)
	}
	time.Sleep(agentGone)
	if err := s.Agent.Start(); err != nil {
		t.Error(err)
	}
	if err := <-rotated; err != nil {
		t.Errorf("replace the CA: %v", err)
	}
}

// lateClient keeps its connection and never renews.
func lateClient(t *testing.T, s *stage.Stage) stage.Request {
	t.Helper()
	client, err := s.Workload(soon(t, 10*time.Second), "deployer")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	pair, err := client.Pair()
	if err != nil {
		t.Fatal(err)
	}
	return stage.Request{Host: stage.PayrollHost, Path: "/admin/runs", Pair: pair}
}
