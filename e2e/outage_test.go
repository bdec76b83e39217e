package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// TestStoreOutage: decisions go on with the copy, a stranger's device cannot be known (503, not 403), a webhook is not
// acknowledged; when the store is back all of it heals by itself.
func TestStoreOutage(t *testing.T) {
	t.Parallel()
	s := aCompany(t, stage.StoreRedis)
	known := stage.Request{As: "ana", Host: stage.PortalHost}
	stranger := stage.Request{As: "ben", Host: stage.PortalHost}
	if answer := s.Ask(soon(t, 10*time.Second), stranger); answer.Reason() != "device-unknown" {
		t.Fatalf("before the outage: %d %s", answer.Status, answer.Reason())
	}
	if err := s.Kill("valkey"); err != nil {
		t.Fatal(err)
	}
	if answer := eventually(t, s, stranger, http.StatusServiceUnavailable); answer.Reason() != "store-unreachable" {
		t.Errorf("a device that cannot be looked up: %s", answer.Reason())
	}
	for range 20 {
		if answer := decided(t, s, known); answer.Status != http.StatusOK {
			t.Fatalf("during the outage: %d %s", answer.Status, answer.Reason())
		}
	}
	receipt, err := s.Report(soon(t, 20*time.Second), "ana-laptop", map[string]any{"disk_encryption": false})
	if err != nil || receipt.Status != http.StatusServiceUnavailable {
		t.Errorf("a webhook without a store was answered %d, %v", receipt.Status, err)
	}
	if err := s.Restart(soon(t, time.Minute), "valkey"); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, stranger, http.StatusForbidden)
	if err := makeHealthy(soon(t, 20*time.Second), s, "ben-laptop"); err != nil {
		t.Error(err)
	}
	eventually(t, s, known, http.StatusOK)
}

// TestIngestIsKilled: what was acknowledged before the receiver died is in force after it came back.
func TestIngestIsKilled(t *testing.T) {
	t.Parallel()
	s := aCompany(t, stage.StoreRedis)
	for _, encrypted := range []bool{false, true, false} {
		until := time.Now().Add(30 * time.Second)
		for status := 0; status != http.StatusAccepted; { // a sender comes again when a busy store made it wait
			receipt, err := s.Report(soon(t, 10*time.Second), "ana-laptop", map[string]any{"disk_encryption": encrypted})
			if status = receipt.Status; err != nil || time.Now().After(until) {
				t.Fatalf("%d %v", status, err)
			}
		}
		if err := s.Kill("ingest"); err != nil {
			t.Fatal(err)
		}
		if err := s.Restart(soon(t, time.Minute), "ingest"); err != nil {
			t.Fatal(err)
		}
		want := http.StatusForbidden
		if encrypted {
			want = http.StatusOK
		}
		eventually(t, s, stage.Request{As: "ana", Host: stage.PortalHost}, want)
	}
}

// TestEnvoyWithoutTiergate keeps its configuration and refuses; a new tiergate is used without a word to Envoy.
func TestEnvoyWithoutTiergate(t *testing.T) {
	t.Parallel()
	s := aCompany(t, stage.StoreEmbedded)
	ask := stage.Request{As: "ana", Host: stage.PortalHost}
	if err := s.Kill("serve"); err != nil {
		t.Fatal(err)
	}
	for _, r := range []stage.Request{ask, {As: "ana", Host: stage.PortalHost, HTTP1: true}, {As: "deployer", Host: stage.PayrollHost, Path: "/admin/x"}} {
		if answer := eventually(t, s, r, http.StatusServiceUnavailable); answer.DecisionID() != "" {
			t.Errorf("somebody decided: %v", answer.Header)
		}
	}
	if err := s.Restart(soon(t, time.Minute), "serve"); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, ask, http.StatusOK)
}

// TestSidecarStartsWithoutStore: a sidecar that is started while the store is down knows no device and not whose sessions
// have ended, so it answers 503 to users, and decides where only a workload asks; when the store is back it is as it was.
func TestSidecarStartsWithoutStore(t *testing.T) {
	t.Parallel()
	s := aCompany(t, stage.StoreRedis)
	known := stage.Request{As: "ana", Host: stage.PortalHost}
	workload := stage.Request{As: "deployer", Host: stage.PayrollHost, Path: "/admin/x"}
	eventually(t, s, workload, http.StatusOK)
	for _, name := range []string{"valkey", "serve"} {
		if err := s.Kill(name); err != nil {
			t.Fatal(err)
		}
	}
	ready := make(chan error, 1)
	go func() { ready <- s.Restart(soon(t, time.Minute), "serve") }() // it is not ready before it has read the store once
	began := time.Now()
	eventually(t, s, workload, http.StatusOK)
	started := time.Since(began)
	for range 20 {
		if answer := decided(t, s, known); answer.Status != http.StatusServiceUnavailable || answer.Reason() != "identity-unchecked" {
			t.Fatalf("a user whose login may have ended: %d %s", answer.Status, answer.Reason())
		}
		if answer := decided(t, s, workload); answer.Status != http.StatusOK {
			t.Fatalf("a workload during the outage: %d %s", answer.Status, answer.Reason())
		}
	}
	select {
	case err := <-ready:
		t.Fatalf("it calls itself ready, and knows no device: %v", err)
	default:
	}
	began = time.Now()
	if err := s.Restart(soon(t, time.Minute), "valkey"); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, known, http.StatusOK)
	t.Logf("without a store it decides %v after its start; the laptop is admitted %v after the store's",
		started.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	if err := <-ready; err != nil {
		t.Error(err)
	}
}

// decided asks until somebody has decided: a worker of Envoy may not have found the new process yet, and a busy machine may be
// slower than Envoy is patient.
func decided(t *testing.T, s *stage.Stage, r stage.Request) stage.Answer {
	t.Helper()
	ctx := soon(t, 30*time.Second)
	answer := s.Ask(ctx, r)
	for answer.DecisionID() == "" && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
		answer = s.Ask(ctx, r)
	}
	return answer
}
