package main

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/xds"
)

// The settings say the same as the package that enforces it.
func TestMinEnvoyVersion(t *testing.T) {
	if config.MinEnvoyVersion != xds.MinVersion {
		t.Errorf("config has %s, xds %s", config.MinEnvoyVersion, xds.MinVersion)
	}
}

var statusAt = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func goodEnvoy() xds.NodeStatus {
	return xds.NodeStatus{Node: "edge-1", Envoy: "1.40.0", Protocol: "delta", Since: statusAt, InSync: true,
		Types: []xds.TypeStatus{{Type: "listeners", Published: 2, Matching: 2, Held: 2, InSync: true}}}
}

func refusingEnvoy() xds.NodeStatus {
	return xds.NodeStatus{Node: "edge \x1b[2J2", Envoy: "1.40.0", Protocol: "state-of-the-world", Since: statusAt,
		LastError: "listeners second: cannot bind '127.0.0.1:1'", Types: []xds.TypeStatus{
			{Type: "listeners", Published: 2, Matching: 1, Held: 1, Refused: &xds.Nacks{
				Resources: []string{"second"}, Since: statusAt.Add(time.Minute), NextTry: statusAt.Add(2 * time.Minute)}},
			{Type: "routes", Published: 2, Matching: 1, Held: 1},
		}}
}

// envoyStatusOf runs the verb against an admin socket that answers with these nodes.
func envoyStatusOf(t *testing.T, nodes any, form string) (exit int, out string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := filepath.Join(dir, "settings.yaml")
	if err := os.WriteFile(file, []byte("runtimeDir: run\nstore: {embedded: {file: tiergate.db}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "run", "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: admin.Socket(func() admin.PolicyStatus { return admin.PolicyStatus{} },
		map[string]func() any{"/v1/envoys": func() any { return nodes }})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	var stdout, stderr bytes.Buffer
	exit = run(t.Context(), []string{"envoy", "status", "--config", file, "-o", form}, &stdout, &stderr)
	return exit, stdout.String() + stderr.String()
}

func TestEnvoyStatus(t *testing.T) {
	t.Parallel()
	tooOld := xds.NodeStatus{Node: "old", Envoy: "1.30.0", Protocol: "delta", Since: statusAt, Refused: "it is Envoy 1.30.0; upgrade Envoy"}
	lacking := goodEnvoy()
	lacking.InSync, lacking.Types[0].InSync, lacking.Types[0].Matching = false, false, 1
	for name, c := range map[string]struct {
		nodes any
		exit  int
		want  string
	}{
		"none":    {[]xds.NodeStatus(nil), exitNo, "no Envoy is connected; start one with the bootstrap that `tiergate envoy bootstrap` prints\n"},
		"in sync": {[]xds.NodeStatus{goodEnvoy()}, exitFine, "edge-1  1.40.0   2026-11-22T10:00:00Z  delta     in-sync  -\n"},
		"one of two": {[]xds.NodeStatus{goodEnvoy(), refusingEnvoy()}, exitNo,
			"out-of-sync  listeners second: cannot bind '127.0.0.1:1' (since 2026-11-22T10:01:00Z, next try 2026-11-22T10:02:00Z)\n"},
		"hostile name": {[]xds.NodeStatus{refusingEnvoy()}, exitNo, "edge_?[2J2  1.40.0   "},
		"lacks":        {[]xds.NodeStatus{lacking}, exitNo, "out-of-sync  listeners: it holds 1 of 2 as published\n"},
		"too old":      {[]xds.NodeStatus{goodEnvoy(), tooOld}, exitNo, "refused  it is Envoy 1.30.0; upgrade Envoy\n"},
	} {
		exit, out := envoyStatusOf(t, c.nodes, asTable)
		if exit != c.exit || !strings.Contains(out, c.want) || strings.Contains(out, "\x1b") {
			t.Errorf("%s: exit %d, want %d:\n%s\nwant %s", name, exit, c.exit, out, c.want)
		}
	}
	if exit, out := envoyStatusOf(t, []xds.NodeStatus(nil), asJSON); exit != exitNo || out != "[]\n" {
		t.Errorf("none as JSON: exit %d, %s", exit, out)
	}
	if exit, out := envoyStatusOf(t, []xds.NodeStatus{goodEnvoy()}, asYAML); exit != exitFine || !strings.Contains(out, "node: edge-1\n") {
		t.Errorf("as YAML: exit %d, %s", exit, out)
	}
}

func TestEnvoyMetrics(t *testing.T) {
	t.Parallel()
	o, err := newObserver(config.Log{Level: "error", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	o.envoys(func() []xds.NodeStatus {
		return []xds.NodeStatus{goodEnvoy(), goodEnvoy(), refusingEnvoy(), {Node: "old", Refused: "too old"}}
	})
	o.xds().Refused(xds.NodeStatus{Node: "old", Refused: "too old"})
	read := httptest.NewRecorder()
	o.metrics().ServeHTTP(read, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`tiergate_xds_envoys{state="in-sync"} 2`, `tiergate_xds_envoys{state="out-of-sync"} 1`,
		`tiergate_xds_envoys{state="refused"} 1`, `tiergate_xds_refused_resources{type="listeners"} 1`,
		`tiergate_xds_refused_resources{type="routes"} 0`, `tiergate_xds_answers_total{answer="refused",type="node"} 1`,
	} {
		if !strings.Contains(read.Body.String(), want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}
