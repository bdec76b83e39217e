package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// churnHost serves what stays and what changes, side by side.
const churnHost = "app.acme.example"

// churn is a company whose policy directory somebody edits all the time.
type churn struct {
	t       *testing.T
	p       *played
	pair    *devca.Pair       // an SVID that every route admits
	calls   string            // a gRPC server
	servers map[string]string // by name: address of an upstream that says its name, and which never moves itself

	edits *edits
	load  *churnLoad
}

// churnServers are those that routes and upstreams are led to and away from; "steady" never is.
var churnServers = []string{"steady", "a", "b", "c", "here", "there", "ours", "theirs"}

// newChurn starts the upstreams, tiergate and Envoy with the first generation.
func newChurn(t *testing.T) *churn {
	t.Helper()
	c := &churn{t: t, servers: map[string]string{}}
	for _, name := range churnServers {
		c.servers[name] = listening(t, &http.Server{Handler: saying(name), ReadHeaderTimeout: 5 * time.Second})
	}
	calls := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(calls, parrot{})
	c.calls = listening(t, calls)
	c.p = layOut(t, example{name: "../e2e/testdata/churn", envoy: "spiffe://acme.example/ns/edge/sa/envoy",
		clients: map[string][]string{"ingress": {"acme.example", "laptops"}}})
	c.pair = c.p.svid("spiffe://acme.example/ns/ci/sa/deployer")(t)
	c.write(0)
	c.p.load(t)
	c.p.start(t)
	c.edits = &edits{c: c, admin: c.p.path("run", "admin.sock")}
	c.load = &churnLoad{c: c}
	return c
}

// listening serves on a free port until the test ends.
func listening(t *testing.T, server interface{ Serve(net.Listener) error }) string {
	t.Helper()
	l := made(net.Listen("tcp", "127.0.0.1:0"))(t)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }() // it ends with the test
	t.Cleanup(func() {
		switch s := server.(type) {
		case *http.Server:
			_ = s.Close()
		case *grpc.Server:
			s.Stop()
		}
		<-done
	})
	return l.Addr().String()
}

// saying answers with a name, or repeats what it hears: as a WebSocket, or as events, one each 100 ms.
func saying(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		switch {
		case r.Header.Get("Upgrade") == "websocket":
			conn, buffered, err := control.Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
				"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
			_, _ = io.Copy(conn, buffered) // until either side ends it
		case strings.HasPrefix(r.URL.Path, "/steady/events"):
			w.Header().Set("Content-Type", "text/event-stream")
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(w, "data: %d\n\n", i); err != nil || control.Flush() != nil {
					return
				}
				select {
				case <-r.Context().Done():
					return
				case <-time.After(100 * time.Millisecond):
				}
			}
		default:
			_, _ = io.WriteString(w, name)
		}
	}
}

// parrot repeats what a gRPC stream says.
type parrot struct {
	testgrpc.UnimplementedTestServiceServer
}

func (parrot) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	for {
		heard, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: heard.GetPayload()}); err != nil {
			return err
		}
	}
}

const churnDocument = "apiVersion: tiergate.dev/v1alpha1\nkind: %s\nmetadata: {name: %s, owner: iam}\nspec: {%s}\n---\n"

// text is one generation of what is edited. What stays is in it too, so that it is written anew each time.
func (c *churn) text(generation int) string {
	var out strings.Builder
	used := map[string]bool{}
	document := func(kind, name, spec string, args ...any) {
		fmt.Fprintf(&out, churnDocument, kind, name, fmt.Sprintf(spec, args...))
	}
	route := func(name, path, guards, upstream string) {
		used[upstream] = true
		document("Route", name, "hosts: [%s], path: %q, %s, upstream: %s", churnHost, path, guards, upstream)
	}
	const machine, staff = "tier: machine, audiences: [automation]", "tier: changing, audiences: [staff]"
	document("Upstream", "calls", "endpoints: [%q], plaintext: true, protocol: http2", c.calls)
	document("Upstream", "moving", "endpoints: [%q], plaintext: true", c.servers[movedTo(generation)])
	route("steady", "/steady/**", machine, "steady")
	route("socket", "/socket", machine+", webSocket: true", "steady")
	route("calls", "/grpc.testing.TestService/*", machine, "calls")
	route("moving", "/moving", machine, "moving")
	route("flips", "/flips", machine, flippedTo(generation))
	const others = "tier: machine, audiences: [others]"
	route("others", "/others", others, "steady")
	if ours(generation) {
		route("turns", "/turns", machine, "ours")
	} else {
		route("turns", "/turns", others, "theirs")
	}
	route("kept", "/kept/**", staff, "steady")
	for i := range 6 { // each is there in two generations of three, and leads elsewhere each time
		if (generation+i)%3 > 0 {
			route(fmt.Sprintf("extra-%d", i), fmt.Sprintf("/extra/%d/**", i), staff, flippedTo(generation+generation/3+i))
		}
	}
	for _, name := range []string{"steady", "a", "b", "c", "ours", "theirs"} { // one that nothing leads to is a fault
		if used[name] {
			document("Upstream", name, "endpoints: [%q], plaintext: true", c.servers[name])
		}
	}
	document("Tier", "changing", "identify: user+device, require: [enrolled], recheckEvery: %ds, exceptions: {maxDuration: 14d}", 60+generation)
	if generation%2 == 1 {
		document("Exception", "loaner", "subjects: [{issuer: corp, user: ana}], devices: [C02LOANER%02d], routes: [kept], "+
			"signals: [enrolled], reason: a loaner, approver: cho@acme.example, ticket: IT-%d, from: 2026-11-06T08:00:00Z, "+
			"until: 2026-11-19T08:00:00Z", generation%100, generation)
	}
	return out.String()
}

// flippedTo and movedTo say where a generation leads, by the name that answers there.
func flippedTo(generation int) string { return []string{"a", "b", "c"}[generation%3] }
func movedTo(generation int) string   { return []string{"here", "there"}[generation%2] }

// ours: this generation leads to our upstream and lets us in; the others lead to theirs, and let in whom it belongs to.
func ours(generation int) bool { return generation%2 == 0 }

// write brings a generation into the directory in one step.
func (c *churn) write(generation int) {
	c.t.Helper()
	draft := c.p.path("churning.yaml")
	if err := os.WriteFile(draft, []byte(c.text(generation)), 0o600); err != nil {
		c.t.Error(err)
		return
	}
	if err := os.Rename(draft, c.p.path("policy", "churning.yaml")); err != nil {
		c.t.Error(err)
	}
}

// memory is what a process holds in RAM, in MiB.
func (c *churn) memory(process string) int {
	c.t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.p.processes.Pid(process)))
	if err != nil {
		return 0 // no Linux, or it is not there
	}
	var total, resident int
	if _, err := fmt.Sscan(string(raw), &total, &resident); err != nil {
		c.t.Error(err)
	}
	return resident * os.Getpagesize() >> 20
}

// askSocket asks over a Unix socket of the company.
func askSocket(ctx context.Context, socket, path string) (string, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://socket"+path, nil)
	if err != nil {
		return "", err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	return string(raw), err
}

// stats are the counters of Envoy whose names match.
func (c *churn) stats(filter string) map[string]int {
	c.t.Helper()
	text, err := askSocket(soon(c.t, 20*time.Second), c.p.path("run", "envoy.sock"), "/stats?filter="+filter)
	if err != nil {
		c.t.Fatal(err)
	}
	all := map[string]int{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		var n int
		if _, err := fmt.Sscan(value, &n); err == nil {
			all[name] = n
		}
	}
	return all
}
