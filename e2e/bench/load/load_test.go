package load

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// check is a server of which each test says how it answers.
type check struct {
	authv3.UnimplementedAuthorizationServer
	answer func(*authv3.CheckRequest) (*authv3.CheckResponse, error)
	asked  atomic.Int64
}

func (c *check) Check(_ context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	c.asked.Add(1)
	return c.answer(r)
}

func ok(*authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return &authv3.CheckResponse{Status: &rpcstatus.Status{Message: "fine"}}, nil
}

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	path := socketPath(t)
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return listener, path
}

// serve runs a real grpc-go server.
func serve(t *testing.T, answer func(*authv3.CheckRequest) (*authv3.CheckResponse, error), o ...grpc.ServerOption) (*check, string) {
	t.Helper()
	listener, path := listen(t)
	server, c := grpc.NewServer(o...), &check{answer: answer}
	authv3.RegisterAuthorizationServer(server, c)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c, path
}

func message(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := proto.Marshal(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{Path: path}}}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func options(t *testing.T, socket string) Options {
	return Options{Socket: socket, Request: message(t, "/asked"), Connections: 2, InFlight: 8, WarmUp: 50 * time.Millisecond,
		Measure: 2 * time.Second} // in which somebody is asked on a busy machine, too
}

// untilItFails are options of a load that ends with its error.
func untilItFails(t *testing.T, socket string) Options {
	o := options(t, socket)
	o.Measure = time.Minute
	return o
}

// TestCheckAsksARealServer: every call carries the whole request, every answer is counted once, at most so many are
// under way, and what the client counts is what the server has seen.
func TestCheckAsksARealServer(t *testing.T) {
	t.Parallel()
	var underWay, most, wrong atomic.Int64
	padding := strings.Repeat("x", 3_000)
	c, socket := serve(t, func(r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		if n := underWay.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer underWay.Add(-1)
		time.Sleep(100 * time.Microsecond)
		if r.GetAttributes().GetRequest().GetHttp().GetPath() != "/asked"+padding {
			wrong.Add(1)
		}
		return ok(r)
	})
	o := options(t, socket)
	o.Request = message(t, "/asked"+padding)
	cpu := time.Duration(0)
	o.Pids = []int{os.Getpid()}
	o.CPU = func(int) (time.Duration, error) { cpu += time.Second; return cpu, nil }
	r, err := Check(o)
	if err != nil {
		t.Fatal(err)
	}
	if wrong.Load() > 0 || r.Requests < 100 || r.Requests > c.asked.Load() {
		t.Errorf("%d calls were wrong; counted %d of %d", wrong.Load(), r.Requests, c.asked.Load())
	}
	if m := most.Load(); m > 16 || m < 2 {
		t.Errorf("%d calls were under way at once; 2 × 8 were wanted", m)
	}
	if r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.P999 || r.P999 > r.Most || r.Took < o.Measure || r.CPU[0] != time.Second {
		t.Errorf("result %+v", r)
	}
}

// TestFlowControl: a server with the smallest windows and few streams gets no byte more than it allows.
func TestFlowControl(t *testing.T) {
	t.Parallel()
	_, socket := serve(t, ok, grpc.StaticConnWindowSize(65_535), grpc.StaticStreamWindowSize(65_535), grpc.MaxConcurrentStreams(3))
	o := options(t, socket)
	o.Request, o.InFlight = message(t, strings.Repeat("x", 14_000)), 8
	r, err := Check(o)
	if err != nil || r.Requests < 50 { // 8 × 14 KB do not fit into the window, nor 8 streams into 3
		t.Errorf("%d requests: %v", r.Requests, err)
	}
}

// TestOpenLoopCountsFromTheDueInstant: a server that stalls once shows it in every call that was due meanwhile.
func TestOpenLoopCountsFromTheDueInstant(t *testing.T) {
	t.Parallel()
	const stall = 150 * time.Millisecond
	var n atomic.Int64
	gate := make(chan struct{}, 1)
	gate <- struct{}{}
	_, socket := serve(t, func(r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		<-gate
		if n.Add(1) == 250 {
			time.Sleep(stall)
		}
		gate <- struct{}{}
		return ok(r)
	})
	o := options(t, socket)
	o.Rate, o.Measure = 1000, 3*time.Second
	r, err := Check(o)
	if err != nil {
		t.Fatal(err)
	}
	if due := 1000 * r.Took.Seconds(); float64(r.Requests) < 0.7*due || float64(r.Requests) > 1.3*due {
		t.Errorf("%d requests at 1,000/s in %v", r.Requests, r.Took)
	}
	if r.P99 < stall/2 || r.Most < stall { // about 150 of 3,000 calls were due during the stall
		t.Errorf("a stall of %v is not seen: p99 %v, most %v", stall, r.P99, r.Most)
	}
}

// TestEveryAnswerIsChecked: what is no OK ends the load.
func TestEveryAnswerIsChecked(t *testing.T) {
	t.Parallel()
	denied := &authv3.CheckResponse{Status: &rpcstatus.Status{Code: int32(codes.PermissionDenied)}}
	for name, c := range map[string]struct {
		answer *authv3.CheckResponse
		err    error
		want   string
	}{
		"denied":    {denied, nil, "PermissionDenied"},
		"no status": {&authv3.CheckResponse{}, nil, "no status"},
		"an error":  {nil, status.Error(codes.Unavailable, "gone"), `grpc-status "14"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			_, socket := serve(t, func(r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
				if n.Add(1) < 200 {
					return ok(r)
				}
				return c.answer, c.err
			})
			if _, err := Check(untilItFails(t, socket)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v; want one that says %s", err, c.want)
			}
		})
	}
}

func TestLoadFaults(t *testing.T) {
	t.Parallel()
	_, socket := serve(t, ok)
	for name, change := range map[string]func(*Options){
		"is no load":             func(o *Options) { o.InFlight = 0 },
		"one of 1 to":            func(o *Options) { o.Request = nil },
		"can be driven":          func(o *Options) { o.Request = make([]byte, 17<<10) },
		"fill the socket":        func(o *Options) { o.Request, o.InFlight = make([]byte, 8<<10), 64 },
		"cannot be negative":     func(o *Options) { o.Measure = 0 },
		"connect to the server":  func(o *Options) { o.Socket += "-not-there" },
		"CPU time of process 42": func(o *Options) { o.Pids, o.CPU = []int{42}, noClock },
	} {
		o := options(t, socket)
		change(&o)
		if _, err := Check(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v; want one that says %q", err, name)
		}
	}
}

func noClock(int) (time.Duration, error) { return 0, os.ErrNotExist }

// TestASlowServerEndsTheOpenLoop: what waits is bounded.
func TestASlowServerEndsTheOpenLoop(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	_, socket := serve(t, func(r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		<-stuck
		return ok(r)
	}, grpc.MaxConcurrentStreams(1))
	o := untilItFails(t, socket)
	o.Rate, o.Connections = 200_000, 1
	_, err := Check(o)
	close(stuck)
	if err == nil || !strings.Contains(err.Error(), "does not follow") {
		t.Errorf("error %v", err)
	}
}
