package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	zaptest "go.uber.org/zap/zaptest/observer"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

// counted is the value of a counter by one label.
func counted(t *testing.T, registry *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no %s of %s", name, label)
	return 0
}

// TestAnOutageOfProofsIsSaidOnce: and so is its end; every check is counted by what came of it.
func TestAnOutageOfProofsIsSaidOnce(t *testing.T) {
	t.Parallel()
	core, lines := zaptest.New(zap.InfoLevel)
	o := &observer{log: zap.New(core), registry: prometheus.NewRegistry()}
	checked := o.replays().Checked
	down := errors.New("the store is down")
	for _, err := range []error{nil, authz.ErrReplayed, down, down, authz.ErrReplayed, down, nil, nil, down} {
		checked(time.Millisecond, err)
	}
	for result, want := range map[string]float64{"new": 3, "replayed": 2, "unchecked": 4} {
		if got := counted(t, o.registry, "tiergate_proof_checks_total", result); got != want {
			t.Errorf("%s: %v, want %v", result, got, want)
		}
	}
	var said []string
	for _, line := range lines.All() {
		said = append(said, line.Level.String())
	}
	if strings.Join(said, " ") != "error info error" {
		t.Errorf("said: %v", lines.All())
	}
}

// stuck is a store that answers nobody.
type stuck struct{ signals.Store }

func (s stuck) PutRecord(ctx context.Context, _ signals.Record, _ signals.Revision) error {
	<-ctx.Done()
	return errors.New("nobody answered")
}

// TestARequestWaitsForLessThanEnvoyDoes: the answer must come before Envoy gives up, or it is no answer.
func TestARequestWaitsForLessThanEnvoyDoes(t *testing.T) {
	t.Parallel()
	for patience, want := range map[time.Duration]time.Duration{20 * time.Millisecond: 10 * time.Millisecond, time.Second: 100 * time.Millisecond} {
		o := &observer{log: zap.NewNop(), registry: prometheus.NewRegistry()}
		m := newReplays(&config.Settings{Envoy: config.Envoy{CheckTimeout: patience}}, o, stuck{})
		start := time.Now()
		err := m.Once(token.Once{Key: "a", Until: start.Add(time.Minute)})
		if took := time.Since(start); err == nil || took < want || took > want+5*time.Second {
			t.Errorf("Envoy waits %v: %v after %v", patience, err, took)
		}
	}
}

// TestASidecarWaitsForNoDisk of a shared store, whatever the settings say of it, and leaves the settings as they are.
func TestASidecarWaitsForNoDisk(t *testing.T) {
	t.Parallel()
	s := &config.Settings{Store: config.Store{Redis: &config.RedisStore{Address: "127.0.0.1:1", WaitAOF: 7}}} // 7: no store takes it
	if _, err := openStore(s); err == nil {
		t.Fatal("openStore takes anything: this test proves nothing")
	}
	store, err := openSidecarStore(s)
	if err != nil || s.Store.Redis.WaitAOF != 7 {
		t.Fatalf("%v; %+v", err, s.Store.Redis)
	}
	_ = store.Close()
}

// TestServeLooksProofsUp: the memory of proofs is a part of `serve`.
func TestServeLooksProofsUp(t *testing.T) {
	t.Parallel()
	s := aPlace(t)
	stop := serving(t, s)
	if _, text := probe(s.Ports.ServeMetrics, "/metrics", http.StatusOK); !strings.Contains(text, `tiergate_proof_checks_total{result="unchecked"} 0`) {
		t.Errorf("proofs are not looked up:\n%s", text)
	}
	stop()
}
