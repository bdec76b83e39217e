package e2e_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// TestMain fails where a real part is missing: a skipped end-to-end test proves nothing.
func TestMain(m *testing.M) {
	binaries, err := stage.FindBinaries()
	if err == nil {
		err = binaries.Check(stage.StoreRedis)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests need the real parts:", err, "(make tools build)")
		os.Exit(1)
	}
	status := m.Run()
	shared.close()
	os.Exit(status)
}

// shared is one running company on the embedded store for all tests that leave it as they found it.
var shared company

type company struct {
	once  sync.Once
	stage *stage.Stage
	err   error
}

func (c *company) close() {
	if c.stage != nil {
		_ = c.stage.Close() // what was started here ends here; there is nobody to tell
	}
}

// theCompany is up, and ana's laptop is healthy.
func theCompany(t *testing.T) *stage.Stage {
	t.Helper()
	shared.once.Do(func() {
		shared.stage, shared.err = stage.New(stage.Options{Store: stage.StoreEmbedded})
		if shared.err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if shared.err = shared.stage.Start(ctx); shared.err == nil {
			shared.err = makeHealthy(ctx, shared.stage, "ana-laptop")
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.stage
}

// aCompany is up for one test alone, which may break it.
func aCompany(t *testing.T, store string) *stage.Stage {
	t.Helper()
	s, err := stage.New(stage.Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(soon(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := makeHealthy(soon(t, time.Minute), s, "ana-laptop"); err != nil {
		t.Fatal(err)
	}
	return s
}

var healthy = map[string]any{"platform": "macos", "disk_encryption": true, "edr_healthy": true, "compromised": false, "firewall": true}

// makeHealthy reports a healthy laptop and waits until its owner is admitted.
func makeHealthy(ctx context.Context, s *stage.Stage, laptop string) error {
	receipt, err := s.Report(ctx, laptop, healthy)
	if err != nil || receipt.Status != 202 {
		return fmt.Errorf("report %s: status %d, %w", laptop, receipt.Status, err)
	}
	for ctx.Err() == nil {
		if answer := s.Ask(ctx, stage.Request{As: laptop[:3], Host: stage.PortalHost}); answer.Status == 200 {
			return nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	return fmt.Errorf("%s was never admitted: %w", laptop, ctx.Err())
}

func soon(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for an answer with a status; it fails the test when none comes in time.
func eventually(t *testing.T, s *stage.Stage, r stage.Request, status int) stage.Answer {
	t.Helper()
	ctx := soon(t, 30*time.Second)
	var last stage.Answer
	for ctx.Err() == nil {
		if last = s.Ask(ctx, r); last.Status == status {
			return last
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("no %d came for %+v; the last answer was %d %s %v", status, r, last.Status, last.Reason(), last.Err)
	return last
}
