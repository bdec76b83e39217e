package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// protocol is one way to ask through Envoy.
type protocol struct {
	name  string
	http1 bool
	sent
}

// protocols are asked one by one: an Envoy that failed closed for HTTP did not for gRPC once (envoyproxy/envoy#32476).
func protocols() []protocol {
	get := sent{method: "GET", target: "/x", host: stage.PortalHost}
	rpc := sent{method: "POST", target: "/acme.Notes/List", host: stage.PortalHost, body: make([]byte, 5), // an empty message
		fields: []field{{"content-type", "application/grpc"}, {"te", "trailers"}}}
	web := get
	web.fields = []field{{"connection", "Upgrade"}, {"upgrade", "websocket"}, {"sec-websocket-version", "13"},
		{"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="}}
	return []protocol{{"HTTP/1", true, get}, {"HTTP/2", false, get}, {"gRPC", false, rpc}, {"WebSocket", true, web}}
}

// anApp is behind somebody's own Envoy: it speaks all four and counts who reached it.
type anApp struct {
	*httptest.Server
	reached atomic.Int64
}

func newApp(t *testing.T) *anApp {
	t.Helper()
	a := &anApp{}
	a.Server = httptest.NewUnstartedServer(a)
	a.Config.Protocols = &http.Protocols{}
	a.Config.Protocols.SetHTTP1(true)
	a.Config.Protocols.SetUnencryptedHTTP2(true)
	a.Start()
	t.Cleanup(a.Close)
	return a
}

func (a *anApp) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	a.reached.Add(1)
	_, _ = io.Copy(io.Discard, r.Body)
	switch {
	case r.Header.Get("Content-Type") == "application/grpc":
		out.Header().Set("Content-Type", "application/grpc")
		out.Header().Set("Trailer", "Grpc-Status")
		_, _ = out.Write(make([]byte, 5))
		out.Header().Set("Grpc-Status", "0")
	case r.Header.Get("Upgrade") == "websocket":
		out.Header().Set("Connection", "Upgrade")
		out.Header().Set("Upgrade", "websocket")
		out.WriteHeader(http.StatusSwitchingProtocols)
	}
}

// suspend stops a process, and waits until all of its threads have stopped.
func suspend(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for ctx := soon(t, 10*time.Second); ; time.Sleep(time.Millisecond) {
		stats := made(filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)))(t)
		runs := slices.ContainsFunc(stats, func(name string) bool {
			raw, err := os.ReadFile(name)
			_, state, _ := strings.Cut(string(raw), ") ") // a thread's name stands in brackets
			return err == nil && !strings.HasPrefix(state, "T")
		})
		if len(stats) > 0 && !runs {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("process %d does not stop", pid)
		}
	}
}

// gateway is an Envoy before applications.
type gateway struct {
	name    string
	address string
	open    bool         // failure_mode_allow: true
	reached func() int64 // how many requests have come through so far
	upgrade int          // what an admitted WebSocket is answered
}

// appClusters lead all protocols to one address of an application, gRPC by HTTP/2.
const appClusters = `    - name: app
      type: STATIC
      load_assignment: &app
        cluster_name: app
        endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}}]}]
    - name: rpc
      type: STATIC
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {http2_protocol_options: {}}
      load_assignment: *app
`

// gateways are the Envoy that tiergate programs and two that somebody configured: the README's, with upgrades and gRPC,
// once as printed and once told to let pass what could not be asked for.
func gateways(t *testing.T, w *witnessed) []gateway {
	t.Helper()
	var programmed atomic.Int64
	all := []gateway{{name: "ours", address: w.Ports.Ingress, upgrade: http.StatusForbidden,
		reached: func() int64 { return programmed.Add(int64(len(w.seen()))) }}}
	for _, open := range []bool{false, true} {
		app := newApp(t)
		address := ownEnvoy(t, w.Stage, func(text string) string {
			text = replaceOnce(t, text, "failure_mode_allow: false", fmt.Sprintf("failure_mode_allow: %t", open))
			text = replaceOnce(t, text, "stat_prefix: ingress\n", "stat_prefix: ingress\n"+strings.Repeat(" ", 16)+
				"upgrade_configs: [{upgrade_type: websocket}]\n")
			text = replaceOnce(t, text, "routes: [", "routes: [{match: {prefix: /, grpc: {}}, route: {cluster: rpc}}, ")
			before, _, _ := strings.Cut(text, "    - name: app\n")
			return before + fmt.Sprintf(appClusters, portOf(app.Listener.Addr().String()))
		})
		all = append(all, gateway{name: fmt.Sprintf("own, failure_mode_allow %t", open), address: address, open: open,
			reached: app.reached.Load, upgrade: http.StatusSwitchingProtocols})
	}
	return all
}

// person asks with a certificate and a token.
type person struct{ pair, token, target string }

// modes asks everybody's protocols of every gateway, and counts.
type modes struct {
	*testing.T
	w        *witnessed
	gateways []gateway
	asked    atomic.Int64
	closed   atomic.Int64 // came through although it was not to
	opened   atomic.Int64 // came through because an Envoy was told so
}

// ask sends one request and says whether it came through.
func (m *modes) ask(g gateway, p protocol, who person) (got, bool) {
	m.Helper()
	r := p.sent
	r.fields = append([]field{{caseHeader, "1"}}, r.fields...)
	if who.token != "" {
		r.fields = append(r.fields, field{"authorization", "Bearer " + who.token})
	}
	if who.target != "" {
		r.target = who.target
	}
	before := g.reached()
	pipe := newWire(m.T, m.w.Stage, g.address, m.w.Cast.Pairs[who.pair].TLS(), p.http1)
	answer := pipe.ask(r)
	pipe.close()
	m.asked.Add(1)
	return answer, g.reached() > before
}

// told is what a client of each protocol reads of an answer: a status, and of gRPC the code.
func told(p protocol, a got) string {
	if p.name != "gRPC" || a.Status != http.StatusOK {
		return fmt.Sprint(a.Status)
	}
	for _, where := range []http.Header{a.Header, a.trailers} {
		if code := where.Get("Grpc-Status"); code != "" {
			return "grpc " + code
		}
	}
	return "200 without grpc-status"
}

// nobody must come through, and is told a status; of gRPC the code. The gateways are asked side by side: each waits for a tiergate that hangs.
func (m *modes) nobody(state string, who person, status int, code string, open bool) {
	m.Helper()
	var all sync.WaitGroup
	for _, g := range m.gateways {
		all.Go(func() {
			for _, p := range protocols() {
				want := fmt.Sprint(status)
				switch {
				case p.name == "gRPC":
					want = "grpc " + code
				case p.name == "WebSocket" && g.upgrade == http.StatusForbidden:
					want = "403" // Envoy refuses the upgrade before it asks anybody
				}
				m.refused(state, g, p, who, want, open && g.open)
			}
		})
	}
	all.Wait()
}

// refused says what is wrong with how a gateway answers somebody who must not come through but where it was told so.
func (m *modes) refused(state string, g gateway, p protocol, who person, want string, open bool) {
	m.Helper()
	a, through := m.ask(g, p, who)
	switch {
	case open && through:
		m.opened.Add(1)
	case open:
		m.Errorf("%s, %s, %s: %s %s; failure_mode_allow: true has changed its meaning, so must our words", state, g.name, p.name, told(p, a), a.Body)
	case through:
		m.closed.Add(1)
		m.Errorf("%s, %s, %s: came through", state, g.name, p.name)
	case told(p, a) != want:
		m.Errorf("%s, %s, %s: %s %s %v, not %s", state, g.name, p.name, told(p, a), a.Body, a.Err, want)
	}
}

// TestFailModes: HTTP/1, HTTP/2, gRPC and WebSocket one by one, through the Envoy that tiergate programs and through
// others with failure_mode_allow both ways. What tiergate answers is never overlooked. While it cannot answer, nothing
// passes our Envoy, nor another that is told to fail closed; one with failure_mode_allow: true lets all pass, which is
// why the README says not to.
func TestFailModes(t *testing.T) {
	t.Parallel()
	w := aWitnessedCompany(t, stage.StoreRedis)
	m := &modes{T: t, w: w, gateways: gateways(t, w)}
	ana := person{pair: "ana-laptop", token: w.Cast.Tokens["ana"]}
	m.admitted("tiergate answers", ana)

	m.nobody("no token", person{pair: "ana-laptop"}, 401, "16", false)
	m.nobody("a forged token", person{pair: "ana-laptop", token: "a.b.c"}, 401, "16", false)
	m.nobody("another certificate", person{pair: "reporter", token: w.Cast.Tokens["ana"]}, 401, "16", false)
	m.nobody("an unknown device", person{pair: "ben-laptop", token: w.Cast.Tokens["ben"]}, 403, "7", false)
	m.nobody("two readings", person{pair: "ana-laptop", token: w.Cast.Tokens["ana"], target: "/x;y"}, 400, "3", false)
	m.posture()

	if err := w.Kill("valkey"); err != nil {
		t.Fatal(err)
	}
	eventually(t, w.Stage, stage.Request{As: "dora", Host: stage.PortalHost}, http.StatusServiceUnavailable)
	m.nobody("the store is gone", person{pair: "dora-laptop", token: w.Cast.Tokens["dora"]}, 503, "14", false)

	serve := w.Processes.Pid("serve")
	suspend(t, serve)
	m.nobody("tiergate hangs", ana, 503, "14", true)
	if err := syscall.Kill(serve, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	m.recovered("it goes on", ana)
	if err := w.Kill("serve"); err != nil {
		t.Fatal(err)
	}
	m.nobody("tiergate is killed", ana, 503, "14", true)
	if err := os.Remove(w.Path("run", "authz.sock")); err != nil {
		t.Fatal(err)
	}
	m.nobody("its socket is gone", ana, 503, "14", true)

	t.Logf("%d requests; closed ones allowed: %d; let pass by failure_mode_allow: true while nobody answered: %d", m.asked.Load(), m.closed.Load(), m.opened.Load())
	if n := m.opened.Load(); n != 3*4 {
		t.Errorf("failure_mode_allow: true let %d of 12 pass", n)
	}
}

// admitted must come through everywhere, but for a WebSocket through our Envoy, whose routes have no upgrades.
func (m *modes) admitted(state string, who person) {
	m.Helper()
	for _, g := range m.gateways {
		for _, p := range protocols() {
			a, through := m.ask(g, p, who)
			want := "200"
			switch p.name {
			case "gRPC":
				want = "grpc 0"
				if g.name == "ours" {
					want = "200 without grpc-status" // the upstream was reached by HTTP/1.1, which is all that our clusters speak
				}
			case "WebSocket":
				want = fmt.Sprint(g.upgrade)
			}
			if got := told(p, a); got != want || through != (got != "403") {
				m.Errorf("%s, %s, %s: %s (came through: %t) %s %v, not %s", state, g.name, p.name, got, through, a.Body, a.Err, want)
			}
		}
	}
}

// recovered waits until all gateways admit again.
func (m *modes) recovered(state string, who person) {
	m.Helper()
	for began, g := time.Now(), 0; g < len(m.gateways); {
		switch _, through := m.ask(m.gateways[g], protocols()[1], who); {
		case through:
			g++
		case time.Since(began) > 15*time.Second:
			m.Fatalf("%s: %s does not admit again", state, m.gateways[g].name)
		default:
			time.Sleep(20 * time.Millisecond)
		}
	}
	m.admitted(state, who)
}

// posture reports ben's laptop as it must not be: known, and refused for its state.
func (m *modes) posture() {
	m.Helper()
	if err := makeHealthy(soon(m.T, 20*time.Second), m.w.Stage, "ben-laptop"); err != nil {
		m.Fatal(err)
	}
	receipt, err := m.w.Report(soon(m.T, 10*time.Second), "ben-laptop", map[string]any{"disk_encryption": false})
	if err != nil || receipt.Status != http.StatusAccepted {
		m.Fatalf("%d %v", receipt.Status, err)
	}
	eventually(m.T, m.w.Stage, stage.Request{As: "ben", Host: stage.PortalHost}, http.StatusForbidden)
	m.nobody("a laptop that is not encrypted", person{pair: "ben-laptop", token: m.w.Cast.Tokens["ben"]}, 403, "7", false)
}
