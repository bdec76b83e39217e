package xds

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/tiergate/tiergate/authz/policy"
)

// askedOf is what an Envoy asks for of a snapshot: of each type, its names; none where it takes all.
func askedOf(s *Snapshot) map[string][]string {
	asked := map[string][]string{}
	for _, t := range deliveredTypes {
		asked[t.url] = nil
		if !whole(t.url) {
			for name := range s.cache.GetVersionMap(t.url) {
				asked[t.url] = append(asked[t.url], name)
			}
		}
	}
	return asked
}

// follow acknowledges whatever comes, until the stream ends.
func follow(ctx context.Context, ads discoveryv3.AggregatedDiscoveryServiceClient, id string, sotw bool,
	asked map[string][]string,
) error {
	if sotw {
		return followWorld(ctx, ads, id, asked)
	}
	stream, err := ads.DeltaAggregatedResources(ctx)
	if err != nil {
		return err
	}
	for _, t := range deliveredTypes {
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{
			Node: envoyNode(id), TypeUrl: t.url, ResourceNamesSubscribe: asked[t.url],
		}); err != nil {
			return err
		}
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{
			TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce(),
		}); err != nil {
			return err
		}
	}
}

func followWorld(ctx context.Context, ads discoveryv3.AggregatedDiscoveryServiceClient, id string,
	asked map[string][]string,
) error {
	stream, err := ads.StreamAggregatedResources(ctx)
	if err != nil {
		return err
	}
	for _, t := range deliveredTypes {
		if err := stream.Send(&discoveryv3.DiscoveryRequest{
			Node: envoyNode(id), TypeUrl: t.url, ResourceNames: asked[t.url],
		}); err != nil {
			return err
		}
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := stream.Send(&discoveryv3.DiscoveryRequest{
			TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce(), VersionInfo: response.GetVersionInfo(),
			ResourceNames: asked[response.GetTypeUrl()],
		}); err != nil {
			return err
		}
	}
}

func heapMiB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// Many Envoys connect at once, half of them in each protocol, each over a connection of its own; a policy edit reaches all.
func TestSwarm(t *testing.T) {
	n := 50
	if prove() {
		n = 500
	}
	p := newPlane(t)
	first := mustBuild(t, written(t))
	p.publishSnapshot(first)
	before := heapMiB()
	ctx, cancel := context.WithCancel(context.Background())
	var swarm sync.WaitGroup
	defer swarm.Wait()
	defer cancel()
	began := time.Now()
	for i := range n {
		conn, err := grpc.NewClient("unix:"+filepath.Join(p.dir, "xds.sock"),
			grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		swarm.Go(func() {
			err := follow(ctx, discoveryv3.NewAggregatedDiscoveryServiceClient(conn), fmt.Sprintf("swarm-%d", i), i%2 == 0,
				askedOf(first))
			if ctx.Err() == nil {
				t.Errorf("swarm-%d: %v", i, err)
			}
		})
	}
	all := func(s *Snapshot) func() error {
		return func() error {
			if len(p.server.Status()) != n {
				return fmt.Errorf("%d are connected", len(p.server.Status()))
			}
			return p.settledOn(s)
		}
	}
	p.eventually("all hold the snapshot", all(first))
	t.Logf("%d Envoys: all hold the snapshot %v after they began to connect; %.1f MiB more heap, clients included",
		n, time.Since(began).Round(time.Millisecond), heapMiB()-before)
	in := written(t)
	for i := range in.Routes {
		in.Routes[i].Upstream = "tracker"
	}
	second := mustBuild(t, in)
	began = time.Now()
	p.publishSnapshot(second)
	published := time.Since(began)
	p.eventually("all hold the edit", all(second))
	t.Logf("%d Envoys: an edit was published in %v and held by all after %v", n, published.Round(time.Millisecond),
		time.Since(began).Round(time.Millisecond))
	if p.events.has("nacked routes") {
		t.Error("somebody refused")
	}
}

// A route table that is as large as a company: build, push and acceptance by a real Envoy.
func TestManyRoutes(t *testing.T) {
	n := 1_000
	if prove() {
		n = 10_000
	}
	r := newRig(t, newAuthority(t), small(t))
	r.settled(r.build(r.in))
	in := r.in
	in.Routes = nil
	for i := range n {
		in.Routes = append(in.Routes, route(fmt.Sprintf("route-%d", i), fmt.Sprintf("app-%d.acme.example", i/10),
			fmt.Sprintf("/part-%d/{id}/**", i%10), "app", []string{"employees"}, "GET", "POST"))
	}
	in.TableDigest = "large"
	began := time.Now()
	snapshot := r.build(in)
	built := time.Since(began)
	began = time.Now()
	r.publishSnapshot(snapshot)
	pushed := time.Since(began)
	r.settledWithin(60*time.Second, snapshot)
	accepted := time.Since(began)
	size := 0
	for _, table := range snapshot.Routes() {
		size += proto.Size(table)
	}
	t.Logf("%d routes: built and checked in %v, handed over in %v, accepted by Envoy %v after that began; %.1f MiB of routes",
		n, built.Round(time.Millisecond), pushed.Round(time.Millisecond), accepted.Round(time.Millisecond),
		float64(size)/(1<<20))
	host, path := fmt.Sprintf("app-%d.acme.example", (n-1)/10), fmt.Sprintf("/part-%d/7/x", (n-1)%10)
	if got := r.client("ingress", ana, true).do("GET", host, path, nil); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	in.Routes = append([]policy.Route(nil), in.Routes...)
	in.Routes[0].Path = "/edited/**"
	edited := r.build(in)
	began = time.Now()
	r.publishSnapshot(edited)
	r.settledWithin(60*time.Second, edited)
	t.Logf("%d routes: an edit of one was accepted after %v", n, time.Since(began).Round(time.Millisecond))
	if strings.Contains(r.events.String(), "nacked") {
		t.Errorf("Envoy refused: %v", r.events.nacked())
	}
}

func (r *rig) settledWithin(limit time.Duration, snapshot *Snapshot) {
	r.t.Helper()
	for deadline := time.Now().Add(limit); r.events.lastSettled() != snapshot.Digest(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("not settled within %v: %+v", limit, r.server.Status())
		}
	}
}
