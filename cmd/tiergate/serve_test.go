package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// aPlace is a laid-out company on the embedded store, with nothing running.
func aPlace(t *testing.T) *stage.Stage {
	t.Helper()
	s, err := stage.New(stage.Options{Store: stage.StoreEmbedded})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func edit(t *testing.T, file, old, replacement string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), old) {
		t.Fatalf("%s does not say %q:\n%s", file, old, raw)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(raw), old, replacement, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func occupy(t *testing.T, network, address string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // a part of serve may have removed its file
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close() // the caller only wanted to know that somebody is there
		}
	}()
}

// TestServeRefusesToStart: everything that can stand in the way of a start is one clear sentence and exit 1.
func TestServeRefusesToStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(t *testing.T, s *stage.Stage)
		want  []string
	}{
		"the probes' port is taken": {
			func(t *testing.T, s *stage.Stage) { occupy(t, "tcp", s.Ports.ServeMetrics) },
			[]string{"metrics.listen: cannot listen on 127.0.0.1:", "address already in use", "set another address"},
		},
		"the receiver's port is taken": {
			func(t *testing.T, s *stage.Stage) { occupy(t, "tcp", s.Ports.Ingest) },
			[]string{"ingest.listen: cannot listen on", "address already in use"},
		},
		"somebody listens on a socket": {
			func(t *testing.T, s *stage.Stage) { occupy(t, "unix", s.Path("run", "xds.sock")) },
			[]string{"another tiergate is listening on", "xds.sock"},
		},
		"others may enter the runtime directory": {
			func(t *testing.T, s *stage.Stage) {
				if err := os.Chmod(s.Path("run"), 0o755); err != nil {
					t.Fatal(err)
				}
			},
			[]string{"/run", "0755", "chmod 0700"},
		},
		"a bundle is missing": {
			func(t *testing.T, s *stage.Stage) {
				if err := os.Remove(s.Path("pki", "all-devices-ca.pem")); err != nil {
					t.Fatal(err)
				}
			},
			[]string{"settings.yaml:", "all-devices-ca.pem", "not found", "^"},
		},
		"a bundle holds no certificate": {
			func(t *testing.T, s *stage.Stage) {
				if err := os.WriteFile(s.Path("pki", "all-devices-ca.pem"), []byte("hello\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			},
			[]string{"devices"},
		},
		"a key set is no JSON": {
			func(t *testing.T, s *stage.Stage) {
				if err := os.WriteFile(s.Path("pki", "corp-jwks.json"), []byte("hello\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			},
			[]string{"identity.issuers[0].jwksFile", "corp-jwks.json"},
		},
		"the CA of a key set holds no certificate": {
			func(t *testing.T, s *stage.Stage) {
				edit(t, s.Settings(), "jwksFile: pki/corp-jwks.json",
					"jwksURL: https://127.0.0.1:1/keys\n      jwksCAFile: pki/corp-jwks.json")
			},
			[]string{"identity.issuers[0].jwksCAFile", "corp-jwks.json holds no PEM certificate"},
		},
		"a secret can be read by others": {
			func(t *testing.T, s *stage.Stage) {
				if err := os.Chmod(s.Path("secrets", "acme-mdm.whsec"), 0o644); err != nil {
					t.Fatal(err)
				}
			},
			[]string{"acme-mdm", "can be read by others (mode 0644): chmod 600 it"},
		},
		"a misspelt setting": {
			func(t *testing.T, s *stage.Stage) { edit(t, s.Settings(), "runtimeDir:", "runtimDir:") },
			[]string{"settings.yaml:", "unknown field \"runtimDir\"", "did you mean \"runtimeDir\"?"},
		},
		"a policy with a fault": {
			func(t *testing.T, s *stage.Stage) {
				edit(t, s.Path("policy", "access", "tiers.yaml"), "require:", "requires:")
			},
			[]string{"no policy to begin with", "tiers.yaml:7:3: unknown field \"requires\"", "did you mean \"require\"?"},
		},
		"no policy": {
			func(t *testing.T, s *stage.Stage) {
				if err := os.RemoveAll(s.Path("policy")); err != nil {
					t.Fatal(err)
				}
			},
			[]string{"policy"},
		},
		"a key that is not the certificate's": {
			func(t *testing.T, s *stage.Stage) {
				key, err := os.ReadFile(s.Path("pki", "contractors.key"))
				if err == nil {
					err = os.WriteFile(s.Path("pki", "ingress.key"), key, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			},
			[]string{"ingress", "key"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := aPlace(t)
			c.spoil(t, s)
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			var stderr bytes.Buffer
			status := run(ctx, []string{"serve", "--config", s.Settings()}, io.Discard, &stderr)
			if status != exitNo || ctx.Err() != nil {
				t.Errorf("exit %d, %v", status, ctx.Err())
			}
			for _, part := range c.want {
				if !strings.Contains(stderr.String(), part) {
					t.Errorf("no %q in\n%s", part, &stderr)
				}
			}
		})
	}
}

func TestIngestRefusesTheEmbeddedStore(t *testing.T) {
	t.Parallel()
	s := aPlace(t)
	var stderr bytes.Buffer
	if status := run(t.Context(), []string{"ingest", "--config", s.Settings()}, io.Discard, &stderr); status != exitNo ||
		!strings.Contains(stderr.String(), "the embedded store has one owner") {
		t.Errorf("exit %d: %s", status, &stderr)
	}
}

// serving runs serve until it is ready. stop ends it and wants it to have gone well; it may be called once.
func serving(t *testing.T, s *stage.Stage) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	var running sync.WaitGroup
	var stderr bytes.Buffer
	status := -1
	running.Go(func() { status = run(ctx, []string{"serve", "--config", s.Settings()}, io.Discard, &stderr) })
	if code, text := probe(s.Ports.ServeMetrics, "/readyz", http.StatusOK); code != http.StatusOK {
		t.Errorf("never ready: %d %s", code, text)
	}
	return func() {
		t.Helper()
		cancel()
		running.Wait()
		if status != exitFine {
			t.Errorf("exit %d: %s", status, &stderr)
		}
	}
}

// TestServeStartsAndStops: ready, then a second one is refused while the first serves on, then gone without a trace.
func TestServeStartsAndStops(t *testing.T) {
	t.Parallel()
	s := aPlace(t)
	ctx := t.Context()
	stop := serving(t, s)
	if code, text := probe(s.Ports.ServeMetrics, "/metrics", http.StatusOK); !strings.Contains(text, "tiergate_policy_last_reload_success 1") {
		t.Errorf("metrics %d:\n%s", code, text)
	}
	policy, err := s.Policy(ctx)
	if err != nil || policy.Documents != 30 || policy.Fault != "" || !strings.HasPrefix(policy.Digest, "sha256:") {
		t.Errorf("policy %+v, %v", policy, err)
	}
	var second bytes.Buffer
	if code := run(ctx, []string{"serve", "--config", s.Settings()}, io.Discard, &second); code != exitNo ||
		!strings.Contains(second.String(), "another process") {
		t.Errorf("a second one: exit %d, %s", code, &second)
	}
	stop()
	if left, _ := filepath.Glob(s.Path("run", "*.sock")); len(left) > 0 {
		t.Errorf("sockets are left behind: %v", left)
	}
}

// probe asks until the status comes, for at most half a minute.
func probe(address, path string, want int) (status int, body string) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		response, err := http.Get("http://" + address + path)
		if err != nil {
			body = err.Error()
			continue
		}
		raw, _ := io.ReadAll(response.Body)
		_ = response.Body.Close() // it was read
		if status, body = response.StatusCode, string(raw); status == want {
			return status, body
		}
	}
	return status, body
}
