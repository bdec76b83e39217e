package xds

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tiergate/tiergate/authz/policy"
)

// small is one app behind one listener.
func small(t *testing.T) Input {
	t.Helper()
	return Input{
		Audiences: []policy.Audience{audience("employees", false)},
		Upstreams: []policy.Upstream{upstream("app", plainUpstream(t, "app"), "")},
		Routes:    []policy.Route{route("app", "app.acme.example", "/**", "app", []string{"employees"})},
		Settings:  Settings{Listeners: []Listener{{Name: "ingress"}}},
	}
}

// moved leads every route of the input to another upstream, under another table.
func moved(in Input, to, address string) Input {
	in.TableDigest = "table of " + to
	in.Upstreams = []policy.Upstream{upstream(to, address, "")}
	in.Routes = slices.Clone(in.Routes)
	for i := range in.Routes {
		in.Routes[i].Upstream = to
	}
	return in
}

// authzWaits has Envoy wait longer for a decision than any settings let it: what the test does meanwhile takes its time.
func authzWaits(t *testing.T, limit time.Duration) func(*resources) {
	wait := authzHole(func(a *authzv3.ExtAuthz) { a.GetGrpcService().Timeout = durationpb.New(limit) })
	return func(res *resources) { wait(t, res) }
}

func TestPolicyChangeDropsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, newAuthority(t), small(t))
	publish := func(in Input) {
		t.Helper()
		patient := r.altered(r.build(in), authzWaits(t, time.Minute))
		r.publishSnapshot(patient)
		r.settled(patient)
	}
	publish(r.in)
	c := r.client("ingress", ana, true)
	c.traced("GET", "app.acme.example", "/")
	modified := r.stat("listener_manager.listener_modified")

	for i := range 5 {
		to := fmt.Sprintf("app-%d", i)
		next := moved(r.in, to, plainUpstream(t, to))
		// A request is in the middle of its decision while the route that it took, and its cluster, go away.
		deciding, decide := make(chan struct{}), make(chan struct{})
		r.authz.set(func(*authv3.CheckRequest) *authv3.CheckResponse {
			close(deciding)
			<-decide
			return allowWith("x-tiergate-subject", "corp/ana")
		})
		answered := make(chan error, 1)
		go func() {
			got, err := c.try("GET", "app.acme.example", "/slow", nil)
			if err == nil && got.status != 200 {
				err = fmt.Errorf("%d %s", got.status, got.body)
			}
			answered <- err
		}()
		select {
		case <-deciding:
		case err := <-answered:
			t.Fatalf("change %d: answered without a decision: %v", i, err)
		}
		publish(next)
		close(decide)
		if err := <-answered; err != nil {
			t.Errorf("change %d: the request under way got %v", i, err)
		}
		r.authz.set(nil)
		got := c.do("GET", "app.acme.example", "/", nil)
		if e := got.echo(t); e.Upstream != to {
			t.Errorf("change %d: upstream %s, want %s", i, e.Upstream, to)
		}
		if table := r.authz.last().GetAttributes().GetContextExtensions()[ContextTable]; table != "table of "+to {
			t.Errorf("change %d: table %q", i, table)
		}
	}
	if _, reused := c.traced("GET", "app.acme.example", "/"); !reused {
		t.Error("the connection was cut")
	}
	if n := r.stat("listener_manager.listener_modified"); n != modified {
		t.Errorf("the listener was modified %d times", n-modified)
	}
	r.eventually("what the old routes needed is taken away", func() error {
		text, err := r.adminGet("/clusters")
		for _, gone := range []string{"ingress/app::", "ingress/app-0::", "ingress/app-3::"} {
			if strings.Contains(text, gone) {
				err = errors.Join(err, fmt.Errorf("%s is still there", gone))
			}
		}
		return err
	})
	if n := r.stat("cluster_manager.cluster_removed"); n < 5 {
		t.Errorf("%d clusters were removed, want 5", n)
	}
}

func TestNackShowsAndLastGoodServes(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := newRig(t, newAuthority(t), small(t))
	good := r.build(r.in)
	r.settled(good)
	c := r.client("ingress", ana, true)

	// Routes to a cluster that is not there: Consistent says so, Envoy refuses them.
	badRoutes := r.altered(good, func(res *resources) {
		res.routes[0].GetVirtualHosts()[0].GetRoutes()[0].GetRoute().ClusterSpecifier = &routev3.RouteAction_Cluster{
			Cluster: "ingress/nowhere",
		}
	})
	if err := badRoutes.Consistent(); err == nil || !strings.Contains(err.Error(), `no cluster "ingress/nowhere"`) {
		t.Errorf("Consistent: %v", err)
	}
	r.publishSnapshot(badRoutes)
	r.refused("routes", "ingress", "ingress/nowhere")
	if got := c.do("GET", "app.acme.example", "/", nil); got.status != 200 {
		t.Errorf("the last good routes: %d %s", got.status, got.body)
	}
	if r.events.lastSettled() == badRoutes.Digest() {
		t.Error("a refused snapshot counts as settled")
	}

	// A second listener on an address that somebody else has: the first goes on, the refusal of the routes is over.
	badListener := r.altered(good, func(res *resources) {
		l := proto.CloneOf(res.listeners[0])
		l.Name, l.EnableReusePort = "second", nil
		l.Address = socketAddress(taken.Addr().(*net.TCPAddr).AddrPort())
		l.BindToPort = nil
		res.listeners = append(res.listeners, l)
	})
	r.publishSnapshot(badListener)
	r.refused("listeners", "second", "cannot bind")
	if got := c.do("GET", "app.acme.example", "/", nil); got.status != 200 {
		t.Errorf("beside a refused listener: %d %s", got.status, got.body)
	}

	r.publishSnapshot(good)
	r.settled(good)
	for _, ts := range r.server.Status()[0].Types {
		if ts.Refused != nil {
			t.Errorf("%s are still refused: %+v", ts.Type, ts.Refused)
		}
	}
}

// altered is a snapshot with copies of another's resources, changed.
func (r *rig) altered(s *Snapshot, change func(*resources)) *Snapshot {
	r.t.Helper()
	changed := resources{clusters: s.Clusters(), endpoints: s.Endpoints(), secrets: s.Secrets()}
	for _, l := range s.Listeners() {
		changed.listeners = append(changed.listeners, proto.CloneOf[*listenerv3.Listener](l))
	}
	for _, c := range s.Routes() {
		changed.routes = append(changed.routes, proto.CloneOf[*routev3.RouteConfiguration](c))
	}
	change(&changed)
	snapshot, err := newSnapshot(changed, s.Table(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return snapshot
}

// refused waits until Status shows that the Envoy refused exactly this resource, with a reason in one short line.
func (r *rig) refused(kind, name, detail string) {
	r.t.Helper()
	r.eventually(kind+" are refused", func() error {
		status := r.server.Status()
		if len(status) != 1 || status[0].InSync {
			return fmt.Errorf("%+v", status)
		}
		for _, ts := range status[0].Types {
			if ts.Type == kind && ts.Refused != nil && !ts.InSync && slices.Equal(ts.Refused.Resources, []string{name}) &&
				strings.Contains(ts.Refused.Detail, detail) && len(ts.Refused.Detail) < 2*maxDetail {
				return nil
			}
		}
		return fmt.Errorf("%+v", status)
	})
	r.eventually("an event tells of it", func() error { // which it does after Status
		if !r.events.has("nacked " + kind) {
			return fmt.Errorf("%v", r.events)
		}
		return nil
	})
}

func TestControlPlaneRestartChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, newAuthority(t), small(t))
	r.settled(r.build(r.in))
	c := r.client("ingress", ana, true)
	c.traced("GET", "app.acme.example", "/")
	counters := []string{
		"listener_manager.listener_modified", "listener_manager.listener_added", "cluster_manager.cluster_modified",
		"cluster_manager.cluster_added", "cluster_manager.cluster_removed", "http.ingress.rds.ingress.config_reload",
	}
	before := map[string]int{}
	for _, name := range counters {
		before[name] = r.stat(name)
	}
	r.stopXDS()
	if !r.events.has("disconnected envoy-1") {
		t.Errorf("nobody was told that Envoy is gone: %v", r.events)
	}
	if status, reused := c.traced("GET", "app.acme.example", "/"); status != 200 || !reused {
		t.Errorf("without a control plane: %d, connection kept: %t", status, reused)
	}
	r.events.settled = nil // the server is gone, nobody writes
	r.startXDS()
	time.Sleep(50 * time.Millisecond) // an Envoy that connects before the first Publish waits
	snapshot := r.publish(r.in)
	r.settled(snapshot)
	if status, reused := c.traced("GET", "app.acme.example", "/"); status != 200 || !reused {
		t.Errorf("after the restart: %d, connection kept: %t", status, reused)
	}
	after := map[string]int{}
	for _, name := range counters {
		after[name] = r.stat(name)
	}
	if !maps.Equal(before, after) {
		t.Errorf("the restart changed Envoy: %v, before %v", after, before)
	}
	if got := r.server.Status()[0]; got.Node != "envoy-1" || got.Envoy != "1.40.0" || got.Cluster != "tiergate" {
		t.Errorf("status %+v", got)
	}
	if got := c.do(http.MethodGet, "app.acme.example", "/", nil); got.status != 200 {
		t.Errorf("got %d", got.status)
	}
}
