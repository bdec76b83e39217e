package drift

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/xds"
)

// liar is whatever may stand behind the socket instead of Envoy.
func liar(t *testing.T, answer http.HandlerFunc) *Watcher {
	t.Helper()
	dir := shortDir(t)
	socket := filepath.Join(dir, "envoy.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: answer, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // it ends with the test
	}()
	t.Cleanup(func() {
		_ = server.Close() // nothing is to be finished
		<-done
	})
	w := New(Options{Socket: socket, Intent: func() Intent { return someIntent(t, dir) }})
	w.settles, w.admin.within, w.admin.bound = 10*time.Millisecond, 30*time.Second, 1<<20
	return w
}

func someIntent(t *testing.T, dir string) Intent {
	t.Helper()
	snapshot, err := xds.Build(anInput(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	server := xds.NewServer(xds.Options{})
	if err := server.Publish(context.Background(), snapshot); err != nil {
		t.Fatal(err)
	}
	served, _ := server.Serving()
	return Intent{Resources: served, Version: "one", Bootstrap: xds.BootstrapOptions{NodeID: "e",
		XDSSocket: filepath.Join(dir, "xds.sock"), AdminSocket: filepath.Join(dir, "envoy.sock")}}
}

const (
	goodInfo    = `{"version":"c0ffee/1.40.0/Clean/RELEASE/BoringSSL","state":"LIVE","command_line_options":{"drain_time":"20s"}}`
	goodRuntime = `{"layers":["fixed"],"entries":{"re2.max_program_size.error_level":{"final_value":"100000"}}}`
)

// told answers as Envoy does, but for the dump.
func told(dump func(w http.ResponseWriter)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/server_info":
			_, _ = io.WriteString(w, goodInfo) // whoever asked sees what is missing
		case "/runtime":
			_, _ = io.WriteString(w, goodRuntime)
		default:
			dump(w)
		}
	}
}

func text(s string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { _, _ = io.WriteString(w, s) }
}

// TestNotCompared: what cannot be compared is a fault that says why, and never "no difference".
func TestNotCompared(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		fault  string
	}{
		"no Envoy":          {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }, "names no version"},
		"garbage":           {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, "/server_info"},
		"an error":          {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "with 500 Internal Server Error"},
		"no JSON":           {told(text("configs")), "/config_dump?include_eds of Envoy's admin interface: "},
		"a list":            {told(text("[]")), "the answer is no config_dump: the dump begins with [, not with {"},
		"no configs":        {told(text(`{"x":1}`)), "it has no configs"},
		"configs of words":  {told(text(`{"configs":"x"}`)), "configs begins with x, not with ["},
		"a list of words":   {told(text(`{"configs":["x"]}`)), "an element of configs begins with x"},
		"half":              {told(text(`{"configs":[{"static_listeners":[{"listener":{"name":"a"`)), "cannot be read to its end"},
		"cut":               {told(text(`{"configs":[`)), "cannot be read to its end"},
		"element of a word": {told(text(`{"configs":[{"dynamic_listeners":["x"]}]}`)), "an element of dynamic_listeners cannot be read"},
		"huge":              {told(endless), "it is longer than tiergate reads"},
		"hanging": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(2 * time.Minute):
			}
		}, "does not answer /server_info"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := liar(t, c.answer)
			if name == "hanging" {
				w.admin.within = 2 * time.Second
			}
			began := time.Now()
			report := w.Look(t.Context())
			if !strings.Contains(report.Fault, c.fault) || report.Absent || len(report.Differences) > 0 {
				t.Errorf("%+v\nwant a fault with %q", report, c.fault)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func endless(w http.ResponseWriter) {
	_, _ = io.WriteString(w, `{"configs":[{"static_listeners":[`)
	for range 100 {
		if _, err := fmt.Fprintf(w, `{"listener":{"name":%q}},`, strings.Repeat("a", 64<<10)); err != nil {
			return
		}
	}
}

// TestLying: a dump that leaves out what there is, or shows kinds that nobody gives, is all difference.
func TestLying(t *testing.T) {
	t.Parallel()
	w := liar(t, told(text(`{"configs":[{"ecds_filters":[{"name":"x"}]},{"dynamic_listeners":[
		{"name":"ingress","active_state":{"listener":{"name":"ingress","no_such_field":1}}},
		{"name":"guests","warming_state":{"listener":{"name":"guests"}}},
		{"name":"old","draining_state":{"listener":{"name":"old"}}}]},
		{"static_route_configs":[{"route_config":{"name":"inline"}}]}]}`)))
	r := &rig{t: t, watcher: w}
	r.look("bootstrap  missing : the dump has no bootstrap",
		"cluster guests/app missing", "cluster ingress/app missing", "cluster ingress/vault missing",
		"cluster tiergate_authz missing", "cluster tiergate_xds missing",
		"endpoints guests/app@", "endpoints ingress/app@", "endpoints ingress/vault@",
		"listener guests different ", "listener ingress different address: is not set",
		"other ecds_filters unexpected : Envoy holds \"x\", which nobody here gives it",
		"route guests missing", "route ingress missing")
}

// TestAbsent: without an Envoy there is nothing to compare, which is told once and again when it changes.
func TestAbsent(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	var outcomes []string
	w := New(Options{Socket: filepath.Join(dir, "envoy.sock"), Intent: func() Intent { return Intent{} },
		Events: Events{Compared: func(r Report, changed bool) { outcomes = append(outcomes, fmt.Sprint(r.Absent, changed)) }}})
	for range 2 {
		if report := w.Look(t.Context()); !report.Absent || !strings.Contains(report.Fault, "there is no "+dir) {
			t.Errorf("%+v", report)
		}
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "envoy.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if report := w.Look(t.Context()); report.Absent || report.Fault != errNothingServed.Error() {
		t.Errorf("without a policy: %+v", report)
	}
	listener.SetUnlinkOnClose(false)
	_ = listener.Close() // as a process does that is killed: its socket stays
	if report := w.Look(t.Context()); !report.Absent || !strings.Contains(report.Fault, "nobody listens on") {
		t.Errorf("%+v", report)
	}
	if got := strings.Join(outcomes, ", "); got != "true true, true false, false true, true true" {
		t.Errorf("told %s", got)
	}
}

// TestMoving: while what is served changes, nothing is a difference; that it never settles is told.
func TestMoving(t *testing.T) {
	t.Parallel()
	w := liar(t, told(text(`{"configs":[]}`)))
	base, n := w.intent(), 0
	w.intent = func() Intent {
		n++
		base.Version = fmt.Sprint(n)
		return base
	}
	if report := w.Look(t.Context()); !strings.Contains(report.Fault, "changed again and again") || len(report.Differences) > 0 {
		t.Errorf("%+v", report)
	}
}

// TestRun: it compares by itself, soon after it is asked to, and ends with its context.
func TestRun(t *testing.T) {
	t.Parallel()
	looks := make(chan Report, 100)
	w := New(Options{Socket: filepath.Join(shortDir(t), "envoy.sock"), Intent: func() Intent { return Intent{} },
		Events: Events{Compared: func(r Report, _ bool) { looks <- r }}})
	w.settles, w.every = 10*time.Millisecond, time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-looks
	w.Soon()
	w.Soon()
	<-looks
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := w.Report(); !got.Absent {
		t.Errorf("%+v", got)
	}
}
