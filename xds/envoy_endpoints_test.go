package xds

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
)

// edited is the input with other endpoints of one upstream, under another table.
func edited(in Input, upstream, table string, endpoints ...string) Input {
	in.TableDigest = table
	in.Upstreams = slices.Clone(in.Upstreams)
	for i := range in.Upstreams {
		if in.Upstreams[i].Meta.Name == upstream {
			in.Upstreams[i].Endpoints = endpoints
		}
	}
	return in
}

// Streams that are open while the endpoints of their own upstreams are edited: one more, the other taken away, and at last
// the one that they are on. Envoy lets them end by themselves in each case, and sends nothing new to what is gone.
func TestEndpointsChangeUnderOpenStreams(t *testing.T) {
	t.Parallel()
	chat, opened := webSocketServer(t)
	moreChat, moreOpened := webSocketServer(t)
	calls, moreCalls := grpcServer(t, "one"), grpcServer(t, "two")
	r := newRig(t, newAuthority(t), streams(calls, chat))
	r.settled(r.build(r.in))
	ws, code := r.client("ingress", ana, false).dialWebSocket("app.acme.example", "/chat")
	if ws == nil {
		t.Fatalf("the handshake got %d", code)
	}
	client := r.grpcClient("ingress", ana)
	call, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	alive := func(after string) {
		t.Helper()
		if err := ws.speak(after); err != nil {
			t.Fatalf("the WebSocket, %s: %v", after, err)
		}
		if err := spoken(call, after); err != nil {
			t.Fatalf("the call, %s: %v", after, err)
		}
	}
	alive("before")
	built, changed := r.stat("cluster_manager.cluster_added"), r.stat("cluster_manager.cluster_modified")

	next := edited(edited(r.in, "chat", "more", chat, moreChat), "calls", "more", calls, moreCalls)
	r.settled(r.publish(next))
	alive("with one more endpoint")
	served := map[string]int{}
	for range 20 {
		got, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
		if err != nil {
			t.Fatal(err)
		}
		served[got.GetServerId()]++
	}
	if served["one"] < 5 || served["two"] < 5 {
		t.Errorf("20 calls were spread as %v", served)
	}
	next.Routes = append(slices.Clone(next.Routes), route("more", "app.acme.example", "/more/**", "chat", []string{"employees"}))
	next.TableDigest = "a route more"
	r.settled(r.publish(next))
	alive("with one more route")
	r.settled(r.publish(edited(edited(next, "chat", "fewer", chat), "calls", "fewer", calls)))
	alive("without the other endpoint")
	r.settled(r.publish(edited(edited(next, "chat", "moved", moreChat), "calls", "moved", moreCalls)))
	alive("without their own endpoint")
	if got, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil || got.GetServerId() != "two" {
		t.Errorf("a new call went to %v: %v", got, err)
	}
	if again, code := r.client("ingress", ana, false).dialWebSocket("app.acme.example", "/chat"); again == nil ||
		again.speak("new") != nil || opened.Load() != 1 || moreOpened.Load() != 1 {
		t.Errorf("a new WebSocket: %d, %d at the old endpoint, %d at the new", code, opened.Load(), moreOpened.Load())
	}
	time.Sleep(idleHTTP1 + 500*time.Millisecond) // which is for connections that nobody uses
	alive("at last")
	if a, m := r.stat("cluster_manager.cluster_added"), r.stat("cluster_manager.cluster_modified"); a != built || m != changed {
		t.Errorf("%d clusters were added and %d modified by edits of endpoints", a-built, m-changed)
	}
	call.CloseSend()
}

// A cluster that changes while its endpoints do not must come into force at once, and a response on the old one goes on.
func TestClusterChangesUnderTheSameEndpoints(t *testing.T) {
	t.Parallel()
	chat, _ := webSocketServer(t)
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	release := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto)
		if r.URL.Path == "/slow" {
			http.NewResponseController(w).Flush()
			<-release
			fmt.Fprint(w, " to the end")
		}
	}))
	server.Config.Protocols = both
	server.Start()
	t.Cleanup(server.Close)
	in := streams(server.Listener.Addr().String(), chat)
	in.Routes[0].Methods = nil
	r := newRig(t, newAuthority(t), in)
	r.settled(r.build(r.in))
	c := r.client("ingress", ana, true)
	c.http.Timeout = 2 * time.Minute // one response lasts over all changes
	slow, err := c.http.Get("https://envoy.acme.example/slow")
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Body.Close()
	for i := range 6 {
		want, protocol := "HTTP/1.1", policy.ProtocolHTTP1
		if i%2 == 1 {
			want, protocol = "HTTP/2.0", policy.ProtocolHTTP2
		}
		next := edited(r.in, "", fmt.Sprintf("change %d", i))
		next.Upstreams[0].Protocol = protocol
		began := time.Now()
		r.settled(r.publish(next))
		if took := time.Since(began); took > 10*time.Second { // for the endpoints of a new cluster Envoy would wait 15 s
			t.Errorf("change %d: Envoy took %v", i, took)
		}
		if got := c.do("GET", "envoy.acme.example", "/", nil); got.status != 200 || got.body != want {
			t.Errorf("change %d: %d %q, want %q", i, got.status, got.body, want)
		}
	}
	close(release)
	if body, err := io.ReadAll(slow.Body); err != nil || string(body) != "HTTP/2.0 to the end" {
		t.Errorf("the response under way came as %q: %v", body, err)
	}
}

// counting answers 200 and counts.
func counting(t *testing.T) (address string, taken *atomic.Int32) {
	t.Helper()
	taken = new(atomic.Int32)
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		taken.Add(1)
		http.MaxBytesReader(nil, r.Body, 1<<30).Close()
	}))
	server.Config.Protocols = both
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), taken
}

func TestNothingIsSentTwice(t *testing.T) {
	t.Parallel()
	good, done := counting(t)
	refusing, refused := refusesStreams(t)
	closing, taken := takesAndCloses(t)
	closed := freeport.For(t)
	staff := []string{"employees"}
	in := Input{
		Audiences: []policy.Audience{audience("employees", false)},
		Settings:  Settings{Listeners: []Listener{{Name: "ingress"}}},
	}
	for name, other := range map[string]string{"closed": closed, "refusing": refusing, "closing": closing} {
		u := upstream(name, good, "")
		u.Endpoints = []string{other, good}
		if name == "refusing" {
			u.Protocol = policy.ProtocolHTTP2
		}
		in.Upstreams = append(in.Upstreams, u)
		in.Routes = append(in.Routes, route(name, name+".acme.example", "/**", name, staff))
	}
	r := newRig(t, newAuthority(t), in)
	r.settled(r.build(r.in))
	c := r.client("ingress", ana, true)
	const n = 40
	post := func(host string, size int) (ok int) {
		t.Helper()
		for range n {
			response, err := c.http.Post("https://"+host+"/", "text/plain", strings.NewReader(strings.Repeat("x", size)))
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			switch response.StatusCode {
			case 200:
				ok++
			case 502, 503:
			default:
				t.Errorf("%s: %d", host, response.StatusCode)
			}
		}
		return ok
	}
	for _, size := range []int{10, 1 << 20} { // the second is more than Envoy keeps to send again
		if ok := post("closed.acme.example", size); ok != n || done.Swap(0) != n {
			t.Errorf("with an endpoint that is closed, %d of %d requests of %d bytes were answered", ok, n, size)
		}
	}
	ok := post("refusing.acme.example", 10)
	if ok != n || done.Swap(0) != n || refused.Load() == 0 {
		t.Errorf("%d of %d were answered where %d were refused before they were looked at", ok, n, refused.Load())
	}
	ok = post("closing.acme.example", 10)
	if lost := int(taken.Load()); lost == 0 || ok != n-lost || int(done.Swap(0)) != ok {
		t.Errorf("%d of %d were answered where %d were perhaps done and not answered", ok, n, lost)
	}
}

func TestUpstreamIsSetAsideOnlyIfUnreachable(t *testing.T) {
	t.Parallel()
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(failing.Close)
	in := small(t)
	closed := freeport.For(t)
	in.Upstreams[0].Endpoints = []string{failing.Listener.Addr().String(), in.Upstreams[0].Endpoints[0]}
	r := newRig(t, newAuthority(t), in)
	r.settled(r.build(r.in))
	c := r.client("ingress", ana, true)
	codes := map[int]int{}
	for range 40 {
		codes[c.do("GET", "app.acme.example", "/", nil).status]++
	}
	if codes[200] != 20 || codes[503] != 20 {
		t.Errorf("an upstream that answers 503 was set aside: %v", codes)
	}
	r.settled(r.publish(edited(r.in, "app", "closed", closed, in.Upstreams[0].Endpoints[1])))
	for range 40 {
		if got := c.do("GET", "app.acme.example", "/", nil); got.status != 200 {
			t.Errorf("beside an endpoint that is closed: %d %s", got.status, got.body)
		}
	}
	if n := r.stat("cluster.ingress/app.outlier_detection.ejections_enforced_total"); n != 1 {
		t.Errorf("%d endpoints were set aside, want 1", n)
	}
	// The only one is used even so: it answers as soon as it is back.
	r.settled(r.publish(edited(r.in, "app", "alone", closed)))
	for range 10 {
		if got := c.do("GET", "app.acme.example", "/", nil); got.status != 503 {
			t.Errorf("nobody is there: %d", got.status)
		}
	}
	l, err := net.Listen("tcp", closed)
	if err != nil {
		t.Fatal(err)
	}
	back := httptest.NewUnstartedServer(echoHandler("back"))
	back.Listener.Close()
	back.Listener = l
	back.Start()
	t.Cleanup(back.Close)
	if got := c.do("GET", "app.acme.example", "/", nil); got.status != 200 {
		t.Errorf("back: %d %s", got.status, got.body)
	}
}
