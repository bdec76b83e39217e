package xds

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
)

// prove reports that there is time for the long form of a test.
func prove() bool { return os.Getenv("TIERGATE_PROVE") != "" }

// An Envoy below the minimum gets nothing, is told what to do, and is told of once.
func TestOldEnvoyIsRefused(t *testing.T) {
	p := newPlane(t)
	p.publishSnapshot(mustBuild(t, written(t)))
	old := envoyNode("old")
	old.GetUserAgentBuildVersion().GetVersion().MinorNumber = 37
	ads := discoveryv3.NewAggregatedDiscoveryServiceClient(p.conn)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	check := func(err error) {
		t.Helper()
		if grpcstatus.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "it is Envoy 1.37.0") ||
			!strings.Contains(err.Error(), "upgrade Envoy") {
			t.Errorf("got %v", err)
		}
	}
	for range 3 {
		stream, err := ads.DeltaAggregatedResources(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: old, TypeUrl: resource.ClusterType}); err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		check(err)
	}
	stream, err := ads.StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discoveryv3.DiscoveryRequest{Node: old, TypeUrl: resource.ClusterType}); err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	check(err)
	if n := strings.Count(p.events.String(), "refused old"); n != 1 {
		t.Errorf("told %d times: %v", n, p.events)
	}
	status := p.server.Status()
	if len(status) != 1 || status[0].Node != "old" || status[0].InSync || !strings.Contains(status[0].Refused, "upgrade") {
		t.Errorf("status %+v", status)
	}
	p.node("fine").takeAll(mustBuild(t, written(t)))
	if status := p.server.Status(); len(status) != 2 || status[0].Refused != "" {
		t.Errorf("status %+v", status)
	}
	p.server.mu.Lock()
	p.server.forgetRefused(time.Now().Add(2 * refusedNodeStays))
	left := len(p.server.refused)
	p.server.mu.Unlock()
	if left != 0 {
		t.Errorf("an Envoy that is away is still listed")
	}
}

// Node ids are Envoy's own word: many of them cost a bounded amount of memory, and lines stay lines.
func TestRefusedNodesAreBounded(t *testing.T) {
	s := NewServer(Options{MinVersion: "1.99.0"})
	defer s.stop()
	for i := range 3 * maxRefusedNodes {
		c := callbacks{s, newSession(false, time.Now())}
		c.opened()
		if err := c.received(request{node: envoyNode(fmt.Sprintf("%d\n%s", i, strings.Repeat("x", 4000)))}); err == nil {
			t.Fatal("it was let in")
		}
		c.closed()
	}
	status := s.Status()
	if len(status) != maxRefusedNodes || len(status[0].Node) > maxNodeID || strings.Contains(status[0].Node, "\n") {
		t.Errorf("%d nodes, the first %q", len(status), status[0].Node)
	}
}

// One that refuses does not hold up another; and while it refuses, what its last good routes need stays.
func TestOneRefusesTheOtherGoesOn(t *testing.T) {
	p := newPlane(t)
	first := mustBuild(t, written(t))
	p.publishSnapshot(first)
	good, bad := p.node("good"), p.node("bad")
	good.takeAll(first)
	bad.takeAll(first)
	p.eventually("both are settled", func() error { return p.settledOn(first) })
	in := written(t)
	for i := range in.Routes {
		in.Routes[i].Upstream = "tracker"
	}
	in.Upstreams = in.Upstreams[1:]
	second := mustBuild(t, in)
	p.publishSnapshot(second)
	good.answer(good.receive(), "")
	bad.answer(bad.receive(), "route: unknown cluster 'ingress/tracker'")
	back := bad.receive()
	if got := names(back); fmt.Sprint(got) != "[ingress]" || back.GetResources()[0].GetVersion() !=
		first.cache.GetVersionMap(resource.RouteType)["ingress"] {
		t.Errorf("rolled back %v to %v", got, back.GetResources())
	}
	bad.answer(back, "")
	p.eventually("one is in sync", func() error {
		status := p.server.Status()
		if status[1].InSync && !status[0].InSync && strings.Contains(status[0].LastError, "routes ingress: route: unknown") {
			return nil
		}
		return fmt.Errorf("%+v", status)
	})
	time.Sleep(p.server.linger + 200*time.Millisecond)
	p.server.mu.Lock()
	kept := p.server.lingering.size()
	_, there := p.server.lingering[resource.ClusterType]["ingress/payroll"]
	p.server.mu.Unlock()
	if !there {
		t.Errorf("the cluster of the routes that the one went back to is gone; %d linger", kept)
	}
}

// Whoever refuses everything gets a bounded number of answers, in both protocols.
func TestRefusingEverythingEnds(t *testing.T) {
	p := newPlane(t)
	first := mustBuild(t, written(t))
	p.publishSnapshot(first)
	delta := p.node("delta")
	refuse(t, func() (string, string) {
		got := delta.receive()
		return got.GetNonce(), fmt.Sprint(len(got.GetResources()))
	}, func(nonce string) {
		delta.answer(&discoveryv3.DeltaDiscoveryResponse{TypeUrl: resource.ClusterType, Nonce: nonce}, "no")
	}, 2)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(p.conn).StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discoveryv3.DiscoveryRequest{Node: envoyNode("sotw"), TypeUrl: resource.ClusterType}); err != nil {
		t.Fatal(err)
	}
	refuse(t, func() (string, string) {
		got, err := stream.Recv()
		if err != nil {
			t.Error(err)
		}
		return got.GetNonce(), fmt.Sprint(len(got.GetResources()))
	}, func(nonce string) {
		if err := stream.Send(&discoveryv3.DiscoveryRequest{
			TypeUrl: resource.ClusterType, ResponseNonce: nonce, ErrorDetail: &rpcstatus.Status{Code: 13, Message: "no"},
		}); err != nil {
			t.Error(err)
		}
	}, standAfter)
	nacks := func() int { return strings.Count(p.events.String(), "nacked") }
	p.eventually("the last refusal is heard", func() error {
		if n := nacks(); n < 2+standAfter {
			return fmt.Errorf("%d NACKs", n)
		}
		return nil
	})
	time.Sleep(300 * time.Millisecond) // in which nothing is to come
	for _, status := range p.server.Status() {
		if status.InSync || status.LastError == "" {
			t.Errorf("status %+v", status)
		}
	}
	if n := nacks(); n != 2+standAfter {
		t.Errorf("%d NACKs: %v", n, p.events)
	}
}

// refuse answers so many responses with a refusal. The first of them is full, the others are not.
func refuse(t *testing.T, receive func() (nonce, size string), answer func(nonce string), times int) {
	t.Helper()
	for i := range times {
		nonce, size := receive()
		if full := size != "0"; full != (i == 0) {
			t.Errorf("response %d has %s resources", i, size)
		}
		answer(nonce)
	}
}

// An idle stream stays, although Envoy pings it; with grpc-go's own settings it does not.
func TestIdleStreamStays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		interval string
		watched  time.Duration
		serving  []grpc.ServerOption
		stays    bool
	}{
		"ours":      {"0.25s", 4 * time.Second, serverOptions(200*time.Millisecond, 20*time.Second), true},
		"grpc-go's": {"0.25s", 4 * time.Second, []grpc.ServerOption{grpc.ConnectionTimeout(5 * time.Second)}, false},
		"as shipped": {"30s", map[bool]time.Duration{false: time.Second, true: 150 * time.Second}[prove()],
			ServerOptions(), true},
		"often": {"10s", map[bool]time.Duration{false: time.Second, true: 150 * time.Second}[prove()],
			ServerOptions(), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, newAuthority(t), small(t), func(r *rig) {
				r.serving = c.serving
				r.bootstrap = func(text string) string {
					changed := strings.Replace(text, `interval: "30s"`, `interval: "`+c.interval+`"`, 1)
					if changed == text && c.interval != "30s" {
						t.Fatal("the bootstrap has no interval of 30s")
					}
					return strings.Replace(changed, `timeout: "5s"`, `timeout: "60s"`, 1) // the machine may be busy
				}
			})
			r.settled(r.build(r.in))
			if c.stays {
				time.Sleep(c.watched)
			} else {
				r.eventually("Envoy is told that it pings too often", func() error {
					if !r.events.has("disconnected envoy-1") {
						return errors.New("it stays")
					}
					return nil
				})
			}
			if stayed := !r.events.has("disconnected envoy-1"); stayed != c.stays {
				t.Errorf("the idle stream stayed for %v: %t, want %t", c.watched, stayed, c.stays)
			}
			t.Logf("watched for %v, pinged every %s: stayed %t", c.watched, c.interval, c.stays)
		})
	}
}
