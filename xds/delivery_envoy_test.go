package xds

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
)

// onTaken is a snapshot with a second listener on an address that somebody else has.
func (r *rig) onTaken(good *Snapshot) (bad *Snapshot, release func()) {
	r.t.Helper()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.root.Cleanup(func() { taken.Close() })
	bad = r.altered(good, func(res *resources) {
		l := proto.CloneOf(res.listeners[0])
		l.Name, l.EnableReusePort, l.BindToPort = "second", nil, nil
		l.Address = socketAddress(taken.Addr().(*net.TCPAddr).AddrPort())
		res.listeners = append(res.listeners, l)
	})
	return bad, func() { taken.Close() }
}

// broken is a snapshot whose only listener demands a filter that no Envoy has.
func (r *rig) broken(good *Snapshot) *Snapshot {
	return r.altered(good, func(res *resources) {
		filter := res.listeners[0].GetFilterChains()[0].GetFilters()[0]
		filter.Name = "nobody.has.it"
		filter.GetTypedConfig().TypeUrl = "type.googleapis.com/nobody.has.It"
	})
}

// triedOnce leaves what was refused alone for longer than any test takes.
func triedOnce(s *Server) { s.firstRetry = 10 * time.Minute }

func (r *recorder) nacked() []Nack {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.nacks)
}

// A refused resource is taken back and not sent again and again, whatever the protocol; the rest is in force.
func TestOneNackOneRollback(t *testing.T) {
	t.Parallel()
	for _, sotw := range []bool{false, true} {
		t.Run(fmt.Sprintf("sotw=%t", sotw), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, newAuthority(t), small(t), func(r *rig) { r.sotw, r.tune = sotw, triedOnce })
			good := r.build(r.in)
			r.settled(good)
			c := r.client("ingress", ana, true)
			bad, _ := r.onTaken(good)
			began := time.Now()
			r.publishSnapshot(bad)
			r.refused("listeners", "second", "cannot bind")
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("the NACK showed after %v", took)
			}
			t.Logf("NACK shown after %v", time.Since(began))
			time.Sleep(time.Second)
			if n := len(r.events.nacked()); n != 1 {
				t.Errorf("%d NACKs in a second, want 1", n)
			}
			routes := moved(r.in, "next", plainUpstream(t, "next")) // beside what is refused, a policy edit goes through
			next := r.build(routes)
			r.publishSnapshot(r.altered(next, func(res *resources) {
				res.listeners = bad.Listeners()
			}))
			r.eventually("the edited routes are in force", func() error {
				got, err := c.try("GET", "app.acme.example", "/", nil)
				if err == nil && got.status == 200 && strings.Contains(got.body, `"next"`) {
					return nil
				}
				return errors.Join(err, fmt.Errorf("%d %s", got.status, got.body))
			})
			r.publishSnapshot(good)
			r.settled(good)
			if status := r.server.Status()[0]; status.LastError != "" || status.Protocol != (&session{sotw: sotw}).protocol() {
				t.Errorf("status %+v", status)
			}
			if n := len(r.events.nacked()); n > 2 {
				t.Errorf("%d NACKs in all", n)
			}
		})
	}
}

// A restarted Envoy gets what was good before, not the listener that it refuses; and so does one that keeps running.
func TestRestartedEnvoyGetsLastGood(t *testing.T) {
	t.Parallel()
	for _, sotw := range []bool{false, true} {
		t.Run(fmt.Sprintf("sotw=%t", sotw), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, newAuthority(t), small(t), func(r *rig) { r.sotw, r.tune = sotw, triedOnce })
			good := r.build(r.in)
			r.settled(good)
			r.publishSnapshot(r.broken(good))
			r.refused("listeners", "ingress", "nobody.has")
			r.stopEnvoy()
			r.eventually("Envoy is gone", func() error {
				if n := len(r.server.Status()); n > 0 {
					return fmt.Errorf("%d are connected", n)
				}
				return nil
			})
			r.startEnvoy() // it waits for the listener
			if got := r.client("ingress", ana, true).do("GET", "app.acme.example", "/", nil); got.status != 200 {
				t.Errorf("got %d %s", got.status, got.body)
			}
			r.refused("listeners", "ingress", "nobody.has")
			r.eventually("both Envoys are told of", func() error {
				if n := len(r.events.nacked()); n != 2 {
					return fmt.Errorf("%d NACKs of two Envoys", n)
				}
				return nil
			})
		})
	}
}

// What a restarted control plane finds bad and never saw better, Envoy keeps as it has it.
func TestRefusedAfterRestartStands(t *testing.T) {
	t.Parallel()
	for _, sotw := range []bool{false, true} {
		t.Run(fmt.Sprintf("sotw=%t", sotw), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, newAuthority(t), small(t), func(r *rig) {
				r.sotw = sotw
				r.tune = func(s *Server) { s.firstRetry = time.Second }
			})
			good := r.build(r.in)
			r.settled(good)
			r.stopXDS()
			r.startXDS()
			r.publishSnapshot(r.broken(good))
			r.refused("listeners", "ingress", "nobody.has")
			c := r.client("ingress", ana, true)
			r.eventually("it is tried again, and rests in between", func() error {
				if n := len(r.events.nacked()); n < 2 || n > 4 {
					return fmt.Errorf("%d NACKs", n)
				}
				return nil
			})
			if got := c.do("GET", "app.acme.example", "/", nil); got.status != 200 {
				t.Errorf("got %d %s", got.status, got.body)
			}
			r.publishSnapshot(good)
			r.eventually("it is in sync", func() error {
				if s := r.server.Status(); len(s) == 1 && s[0].InSync {
					return nil
				}
				return fmt.Errorf("%+v", r.server.Status())
			})
			if n := r.stat("listener_manager.listener_removed"); n != 0 {
				t.Errorf("the listener was removed %d times", n)
			}
		})
	}
}

// What was refused for a passing reason comes into force by itself.
func TestRefusedIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, sotw := range []bool{false, true} {
		t.Run(fmt.Sprintf("sotw=%t", sotw), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, newAuthority(t), small(t), func(r *rig) {
				r.sotw = sotw
				r.tune = func(s *Server) { s.firstRetry = 200 * time.Millisecond }
			})
			good := r.build(r.in)
			r.settled(good)
			bad, release := r.onTaken(good)
			r.publishSnapshot(bad)
			r.eventually("it was tried twice", func() error {
				if n := len(r.events.nacked()); n < 2 {
					return fmt.Errorf("%d NACKs", n)
				}
				return nil
			})
			release()
			r.settled(bad)
			if n := len(r.events.nacked()); n > 5 {
				t.Errorf("%d NACKs", n)
			}
		})
	}
}

// A route table that Envoy refuses goes back to one whose cluster the policy no longer has: the cluster stays.
func TestRolledBackRoutesKeepTheirClusters(t *testing.T) {
	t.Parallel()
	r := newRig(t, newAuthority(t), small(t))
	r.settled(r.build(r.in))
	c := r.client("ingress", ana, true)
	next := r.build(moved(r.in, "next", plainUpstream(t, "next")))
	bad := r.altered(next, func(res *resources) {
		res.routes[0].GetVirtualHosts()[0].GetRoutes()[0].GetRoute().ClusterSpecifier = &routev3.RouteAction_Cluster{
			Cluster: "ingress/nowhere",
		}
	})
	r.publishSnapshot(bad)
	r.refused("routes", "ingress", "ingress/nowhere")
	time.Sleep(3 * r.server.linger)
	if got := c.do("GET", "app.acme.example", "/", nil); got.status != 200 || got.echo(t).Upstream != "app" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	r.publishSnapshot(next)
	r.settled(next)
	if got := c.do("GET", "app.acme.example", "/", nil); got.status != 200 || got.echo(t).Upstream != "next" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	r.eventually("the old cluster goes away", func() error {
		if text, err := r.adminGet("/clusters"); err != nil || strings.Contains(text, "ingress/app::") {
			return fmt.Errorf("it is still there: %w", err)
		}
		return nil
	})
}

// The control plane restarts and finds another policy, again and again, under load.
func TestRestartWithAnotherPolicyDropsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, newAuthority(t), small(t))
	r.settled(r.build(r.in))
	stop, done := make(chan struct{}), sync.WaitGroup{}
	var mu sync.Mutex
	requests, failures := 0, []string{}
	for range 2 {
		c := r.client("ingress", ana, true)
		done.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := c.try("GET", "app.acme.example", "/", nil)
				mu.Lock()
				requests++
				if err != nil || got.status != 200 {
					failures = append(failures, fmt.Sprintf("%d %s %v", got.status, got.body, err))
				}
				mu.Unlock()
			}
		})
	}
	const restarts, enough = 8, 5
	for i := range restarts {
		r.stopXDS()
		r.startXDS()
		to := fmt.Sprintf("app-%d", i)
		r.in = moved(r.in, to, plainUpstream(t, to))
		r.settled(r.publish(r.in))
		r.eventually("requests go on", func() error {
			mu.Lock()
			defer mu.Unlock()
			if requests < enough*(i+1) {
				return fmt.Errorf("%d after %d restarts", requests, i+1)
			}
			return nil
		})
		time.Sleep(100 * time.Millisecond)
	}
	close(stop)
	done.Wait()
	t.Logf("%d requests over %d restarts with another policy, %d failed", requests, restarts, len(failures))
	if len(failures) > 0 || requests < enough*restarts {
		t.Errorf("%d of %d requests failed: %.5v", len(failures), requests, failures)
	}
	r.eventually("what was before the restart is taken away", func() error {
		if text, err := r.adminGet("/clusters"); err != nil || strings.Contains(text, "ingress/app-6::") {
			return fmt.Errorf("it is still there: %w", err)
		}
		return nil
	})
}
