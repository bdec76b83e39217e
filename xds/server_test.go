package xds

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// plane is a control plane without an Envoy.
type plane struct {
	rig
	conn *grpc.ClientConn
}

func newPlane(t *testing.T) *plane {
	t.Helper()
	p := &plane{rig: rig{t: t, root: t, dir: shortDir(t), events: &recorder{}}}
	p.startXDS()
	conn, err := grpc.NewClient("unix:"+filepath.Join(p.dir, "xds.sock"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p.conn = conn
	return p
}

// envoyNode says what an Envoy says of itself.
func envoyNode(id string) *corev3.Node {
	return &corev3.Node{
		Id: id, UserAgentName: "envoy", UserAgentVersionType: &corev3.Node_UserAgentBuildVersion{
			UserAgentBuildVersion: &corev3.BuildVersion{Version: &typev3.SemanticVersion{MajorNumber: 1, MinorNumber: 40}},
		},
	}
}

// node speaks the protocol as an Envoy does.
type node struct {
	t      *testing.T
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
}

func (p *plane) node(id string) *node {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p.t.Cleanup(cancel)
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(p.conn).DeltaAggregatedResources(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	n := &node{p.t, stream}
	n.send(&discoveryv3.DeltaDiscoveryRequest{Node: envoyNode(id), TypeUrl: resource.ClusterType})
	return n
}

func (n *node) send(request *discoveryv3.DeltaDiscoveryRequest) {
	n.t.Helper()
	if err := n.stream.Send(request); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) receive() *discoveryv3.DeltaDiscoveryResponse {
	n.t.Helper()
	got := make(chan *discoveryv3.DeltaDiscoveryResponse, 1)
	go func() {
		response, err := n.stream.Recv()
		if err != nil {
			close(got)
			return
		}
		got <- response
	}()
	select {
	case response, ok := <-got:
		if !ok {
			n.t.Fatal("the stream ended")
		}
		return response
	case <-time.After(30 * time.Second):
		n.t.Fatal("nothing was sent")
	}
	return nil
}

func (n *node) answer(response *discoveryv3.DeltaDiscoveryResponse, fault string) {
	n.t.Helper()
	request := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()}
	if fault != "" {
		request.ErrorDetail = &status.Status{Code: 13, Message: fault}
	}
	n.send(request)
}

// takeAll subscribes to everything of the snapshot and takes it over.
func (n *node) takeAll(s *Snapshot) {
	n.t.Helper()
	n.answer(n.receive(), "")
	n.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.ListenerType})
	n.answer(n.receive(), "")
	for _, url := range []string{resource.EndpointType, resource.RouteType, resource.SecretType} {
		n.send(&discoveryv3.DeltaDiscoveryRequest{
			TypeUrl: url, ResourceNamesSubscribe: slices.Collect(maps.Keys(s.cache.GetVersionMap(url))),
		})
		n.answer(n.receive(), "")
	}
}

func names(response *discoveryv3.DeltaDiscoveryResponse) []string {
	var all []string
	for _, r := range response.GetResources() {
		all = append(all, r.GetName())
	}
	slices.Sort(all)
	return all
}

func TestPublishNothing(t *testing.T) {
	if err := NewServer(Options{}).Publish(t.Context(), nil); err == nil {
		t.Error("no snapshot was published")
	}
}

// A cluster that the new routes no longer need stays until the slowest Envoy has the new routes.
func TestSlowestEnvoyKeepsItsClusters(t *testing.T) {
	p := newPlane(t)
	first := mustBuild(t, written(t))
	p.publishSnapshot(first)
	fast, slow := p.node("fast"), p.node("slow")
	fast.takeAll(first)
	slow.takeAll(first)
	p.eventually("both are settled", func() error { return p.settledOn(first) })

	in := written(t)
	for i := range in.Routes {
		in.Routes[i].Upstream = "tracker"
	}
	in.Upstreams = in.Upstreams[1:]
	second := mustBuild(t, in)
	p.publishSnapshot(second)
	take := func(n *node) {
		routes := n.receive()
		if routes.GetTypeUrl() != resource.RouteType || len(routes.GetRemovedResources()) > 0 {
			t.Fatalf("got %s %v, removed %v; want routes only", routes.GetTypeUrl(), names(routes), routes.GetRemovedResources())
		}
		n.answer(routes, "")
	}
	take(fast)
	p.eventually("fast is in sync, slow is not", func() error {
		status := p.server.Status()
		if len(status) == 2 && status[0].InSync && !status[1].InSync {
			return nil
		}
		return fmt.Errorf("%+v", status)
	})
	if err := p.settledOn(second); err == nil {
		t.Error("settled before the slowest Envoy")
	}
	take(slow)
	p.eventually("both are settled", func() error { return p.settledOn(second) })
	want := map[string]string{
		resource.ClusterType: "ingress/payroll", resource.SecretType: "upstream-ca upstream-client",
		resource.EndpointType: gonePayroll(first),
	}
	for _, n := range []*node{fast, slow} {
		for range want {
			gone := n.receive()
			if got := sortedText(gone.GetRemovedResources()); got == "" || got != want[gone.GetTypeUrl()] {
				t.Errorf("got %s, removed %s", gone.GetTypeUrl(), got)
			}
			n.answer(gone, "")
		}
	}
}

// gonePayroll is the name of the endpoints of a cluster that goes away.
func gonePayroll(s *Snapshot) string {
	for name := range s.cache.GetVersionMap(resource.EndpointType) {
		if strings.HasPrefix(name, "ingress/payroll") {
			return name
		}
	}
	return ""
}

// Without any Envoy nothing is known: one that is away may still hold the old routes, and finds its clusters on return.
func TestNobodyConnectedTakesNothingAway(t *testing.T) {
	p := newPlane(t)
	p.publishSnapshot(mustBuild(t, written(t)))
	in := written(t)
	in.Upstreams[1].Meta.Name = "renamed"
	for i := range in.Routes {
		if in.Routes[i].Upstream == "tracker" {
			in.Routes[i].Upstream = "renamed"
		}
	}
	p.publishSnapshot(mustBuild(t, in))
	time.Sleep(p.server.linger + 200*time.Millisecond)
	if got := p.events.lastSettled(); got != "" {
		t.Errorf("settled on %s", got)
	}
	want := []string{"contractors/renamed", "contractors/tracker", "ingress/payroll", "ingress/renamed", "ingress/tracker"}
	if got := names(p.node("back").receive()); !slices.Equal(got, append(want, authzCluster)) {
		t.Errorf("got clusters %v", got)
	}
}

func sortedText(list []string) string {
	return strings.Join(slices.Sorted(slices.Values(list)), " ")
}

func (p *plane) settledOn(s *Snapshot) error {
	if got := p.events.lastSettled(); got != s.Digest() {
		return fmt.Errorf("settled on %q, want %q", got, s.Digest())
	}
	return nil
}

func TestReconnectWithEqualContentSendsNothing(t *testing.T) {
	p := newPlane(t)
	snapshot := mustBuild(t, written(t))
	p.publishSnapshot(snapshot)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(p.conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t, stream}
	for _, url := range []string{resource.ClusterType, resource.ListenerType} {
		n.send(&discoveryv3.DeltaDiscoveryRequest{
			Node: envoyNode("back"), TypeUrl: url, InitialResourceVersions: snapshot.cache.GetVersionMap(url),
		})
		if got := n.receive(); len(got.GetResources()) > 0 || len(got.GetRemovedResources()) > 0 {
			t.Errorf("got %v again", names(got))
		}
	}
	for _, url := range []string{resource.EndpointType, resource.RouteType, resource.SecretType} {
		versions := snapshot.cache.GetVersionMap(url)
		n.send(&discoveryv3.DeltaDiscoveryRequest{
			TypeUrl: url, InitialResourceVersions: versions, ResourceNamesSubscribe: slices.Collect(maps.Keys(versions)),
		})
	}
	p.eventually("it counts as settled", func() error { return p.settledOn(snapshot) })
}

func TestNackThatNamesNobodyDoubtsAll(t *testing.T) {
	p := newPlane(t)
	p.publishSnapshot(mustBuild(t, written(t)))
	n := p.node("edge")
	n.answer(n.receive(), "something is wrong\nsomewhere")
	p.eventually("all clusters are in doubt", func() error {
		status := p.server.Status()
		if len(status) == 1 && status[0].Types[0].Refused != nil && len(status[0].Types[0].Refused.Resources) == 4 &&
			status[0].Types[0].Refused.Detail == "something is wrong somewhere" {
			return nil
		}
		return fmt.Errorf("%+v", status)
	})
	rolledBack := n.receive() // there is nothing good yet
	if got := rolledBack.GetRemovedResources(); len(rolledBack.GetResources()) > 0 || len(got) != 4 {
		t.Errorf("rolled back to %v, removed %v", names(rolledBack), got)
	}
	n.answer(rolledBack, "")
	next := written(t)
	next.Upstreams[1].SPIFFEID, next.Upstreams[1].Plaintext = "spiffe://acme.example/tracker", false
	p.publishSnapshot(mustBuild(t, next))
	changed := n.receive()
	if got := names(changed); !slices.Equal(got, []string{"contractors/tracker", "ingress/tracker"}) {
		t.Errorf("sent %v", got)
	}
	n.answer(changed, "")
	p.eventually("what did not change is still in doubt", func() error {
		status := p.server.Status()
		if refused := status[0].Types[0].Refused; refused != nil &&
			slices.Equal(refused.Resources, []string{"ingress/payroll", authzCluster}) {
			return nil
		}
		return fmt.Errorf("%+v", status)
	})
}

func TestNackDetail(t *testing.T) {
	leak := "bad: private_key { inline_bytes: x }"
	if got := describeNack(resource.SecretType, leak); strings.Contains(got, "inline_bytes") {
		t.Errorf("a secret leaks: %s", got)
	}
	harmless := "Failed to load certificate chain"
	if got := describeNack(resource.SecretType, harmless); got != harmless {
		t.Errorf("got %s", got)
	}
	long := "begin " + strings.Repeat("ü dump\n", 10_000) + " the reason"
	got := oneLine(long)
	if len(got) > maxDetail+40 || strings.Contains(got, "\n") || !strings.HasPrefix(got, "begin") ||
		!strings.HasSuffix(got, "the reason") {
		t.Errorf("got %d bytes: %s", len(got), got)
	}
}

// Run ends the streams, so that a graceful stop has nothing to wait for.
func TestRunEndsStreams(t *testing.T) {
	p := newPlane(t)
	p.publishSnapshot(mustBuild(t, written(t)))
	n := p.node("edge")
	n.receive()
	p.eventually("it is connected", func() error {
		if !p.events.has("connected edge") {
			return fmt.Errorf("%v", p.events)
		}
		return nil
	})
	started := time.Now()
	p.stopXDS()
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if len(p.server.Status()) != 0 || !p.events.has("disconnected edge") {
		t.Errorf("status %+v, events %v", p.server.Status(), p.events)
	}
}

// Policies are published while Envoys come, lag and go; whoever is left ends with the last of them.
func TestChurn(t *testing.T) {
	p := newPlane(t)
	last := mustBuild(t, written(t))
	p.publishSnapshot(last)
	steady := p.node("steady")
	steady.takeAll(last)
	for i := range 50 {
		in := written(t)
		in.TableDigest = strings.Repeat("x", i)
		in.Routes = append(in.Routes, route("churn", "churn.example", "/**", "tracker", []string{"employees"}))
		last = mustBuild(t, in)
		p.publishSnapshot(last)
		if i%10 == 0 {
			p.node("passing").receive()
		}
		steady.answer(steady.receive(), "")
	}
	go steady.follow()
	p.eventually("steady holds the last", func() error {
		for _, status := range p.server.Status() {
			if status.Node == "steady" && status.InSync {
				return nil
			}
		}
		return fmt.Errorf("%s: %+v", last.Digest(), p.server.Status())
	})
}

// follow takes over whatever comes, until the stream ends.
func (n *node) follow() {
	for {
		response, err := n.stream.Recv()
		if err != nil {
			return
		}
		err = n.stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()})
		if err != nil {
			return
		}
	}
}
