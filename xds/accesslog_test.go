package xds

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	logv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
)

// logService is a receiver of access logs that remembers what it was told.
type logService struct {
	logv3.UnimplementedAccessLogServiceServer
	mu      sync.Mutex
	entries []*datav3.TCPAccessLogEntry
	other   int // entries of another kind, which would hold queries
}

func (s *logService) StreamAccessLogs(stream logv3.AccessLogService_StreamAccessLogsServer) error {
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&logv3.StreamAccessLogsResponse{})
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.entries = append(s.entries, message.GetTcpLogs().GetLogEntry()...)
		s.other += len(message.GetHttpLogs().GetLogEntry())
		s.mu.Unlock()
	}
}

// of is the entry of the request with this path.
func (s *logService) of(path string) (*datav3.TCPAccessLogEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if e.GetCommonProperties().GetCustomTags()["path"] == path {
			return e, nil
		}
	}
	return nil, fmt.Errorf("%d entries, none of %s, %d of another kind", len(s.entries), path, s.other)
}

func (s *logService) serve(t *testing.T, l net.Listener, options ...grpc.ServerOption) (stop func()) {
	t.Helper()
	g := grpc.NewServer(options...)
	logv3.RegisterAccessLogServiceServer(g, s)
	done := make(chan struct{})
	go func() { defer close(done); g.Serve(l) }()
	return onceCleanup(t, func() { g.Stop(); <-done })
}

func listenUnix(t *testing.T, path string) net.Listener {
	t.Helper()
	os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// decided answers as authz does: with what the log is to say, and a code that admits or refuses.
func decided(code int32, id, outcome string) func(*authv3.CheckRequest) *authv3.CheckResponse {
	return func(*authv3.CheckRequest) *authv3.CheckResponse {
		response := allowWith("x-tiergate-decision-id", id)
		if code != 0 {
			response = &authv3.CheckResponse{HttpResponse: &authv3.CheckResponse_DeniedResponse{
				DeniedResponse: &authv3.DeniedHttpResponse{},
			}}
		}
		response.Status = &status.Status{Code: code}
		response.DynamicMetadata = &structpb.Struct{Fields: map[string]*structpb.Value{}}
		for name, value := range map[string]string{
			"decision_id": id, "outcome": outcome, "tier": "privileged", "subject": "corp/ana", "policy": "sha256:p", "reason": "r",
			"until": "2026-11-22T11:05:00.001Z",
		} {
			response.DynamicMetadata.Fields[name] = structpb.NewStringValue(value)
		}
		return response
	}
}

// TestEnvoyAccessLog: the file and the service say the same of what was admitted, refused and not decided; no secret of a
// request is in either; and a service that is away keeps nobody waiting.
func TestEnvoyAccessLog(t *testing.T) { //nolint:tparallel // its subtests share one Envoy and take turns
	t.Parallel()
	pki := newAuthority(t)
	in := acme(t, pki)
	dir := shortDir(t)
	in.Settings.AccessLogService = &AccessLogService{Socket: filepath.Join(dir, "als.sock")}
	in.Settings.Health = freeport.For(t)
	service := &logService{}
	stop := service.serve(t, listenUnix(t, in.Settings.AccessLogService.Socket))
	r := newRig(t, pki, in)
	r.settled(r.build(r.in))
	t.Run("says the same of every request", func(t *testing.T) {
		r.t = t
		testAccessLogSays(t, r, service)
	})
	t.Run("holds nobody up while the service is away", func(t *testing.T) {
		r.t = t
		testAccessLogAway(t, r, service, stop)
	})
	t.Run("goes over TLS to one identity", func(t *testing.T) {
		r.t = t
		testAccessLogTLS(t, r)
	})
	r.t = t
	if n := r.stat("server.envoy_bug_failures"); n != 0 {
		t.Errorf("Envoy counted %d bugs of its own", n)
	}
}

func testAccessLogSays(t *testing.T, r *rig, service *logService) {
	client := r.client("ingress", ana, true)
	secrets := map[string][]string{
		"Authorization": {"Bearer secret-token"}, "Cookie": {"session=secret-cookie"}, "Dpop": {"secret-proof"},
		"Referer": {"https://app.acme.example/?code=secret-code"}, "User-Agent": {"secret-agent"},
	}
	r.authz.set(decided(0, "d-1", "allow"))
	client.do("GET", "app.acme.example", "/one?token=secret-query", secrets)
	r.authz.set(decided(7, "d-2", "deny"))
	client.do("GET", "app.acme.example", "/two?token=secret-query", secrets)
	r.authz.set(func(*authv3.CheckRequest) *authv3.CheckResponse {
		time.Sleep(MaxCheckTimeout + 50*time.Millisecond)
		return nil
	})
	client.do("GET", "app.acme.example", "/three?token=secret-query", secrets)
	r.authz.set(nil)
	client.do("GET", "unknown.example", "/four?token=secret-query", secrets)
	r.eventually("a probe", func() error {
		if code, _ := probe(t, r.in.Settings.Health, "GET", healthPath); code != 200 {
			return fmt.Errorf("%d", code)
		}
		return nil
	})
	for path, want := range map[string]map[string]string{
		"/one": {"status": "200", "decision": "d-1", "outcome": "allow", "tier": "privileged", "subject": "corp/ana",
			"policy": "sha256:p", "until": "2026-11-22T11:05:00.001Z", "listener": "ingress", "route": "app", "peer": ana, "method": "GET", "cluster": "ingress/app"},
		"/two":   {"status": "403", "decision": "d-2", "outcome": "deny", "subject": "corp/ana", "details": "ext_authz_denied"},
		"/three": {"status": "503", "decision": "", "details": "ext_authz_error", "flags": "UAEX"},
		"/four":  {"status": "404", "decision": "", "route": ""},
	} {
		r.eventually("entry of "+path, func() error { _, err := service.of(path); return err })
		entry, _ := service.of(path)
		for name, value := range want {
			if got := strings.TrimPrefix(entry.GetCommonProperties().GetCustomTags()[name], "-"); got != value {
				t.Errorf("%s: the service was told %s %q, want %q", path, name, got, value)
			}
		}
		line := r.logLine(path)
		for name, value := range want {
			text := `"` + name + `":` + map[bool]string{true: "null", false: `"` + value + `"`}[value == ""]
			if name == "status" {
				text = `"status":` + value
			}
			if !strings.Contains(line, text) {
				t.Errorf("%s: the file lacks %s: %s", path, text, line)
			}
		}
		if all := line + entry.String(); strings.Contains(all, "secret") || strings.Contains(all, healthPath) {
			t.Errorf("%s: %s", path, all)
		}
	}
	service.mu.Lock()
	defer service.mu.Unlock()
	if len(service.entries) != 4 || service.other != 0 {
		t.Errorf("%d entries and %d of another kind for 4 requests and a probe", len(service.entries), service.other)
	}
}

// logLine waits for the line of the file that is about the path.
func (r *rig) logLine(path string) (found string) {
	r.t.Helper()
	r.eventually("line of "+path, func() error {
		text, err := os.ReadFile(filepath.Join(r.dir, "access.log"))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, `"path":"`+path+`"`) {
				found = line
				return nil
			}
		}
		return errors.New("no line")
	})
	return found
}

func testAccessLogAway(t *testing.T, r *rig, service *logService, stop func()) {
	stop()
	client, slowest := r.client("ingress", ana, true), time.Duration(0)
	for range 300 {
		start := time.Now()
		if got := client.do("GET", "app.acme.example", "/away", nil); got.status != 200 {
			t.Fatalf("got %d", got.status)
		}
		slowest = max(slowest, time.Since(start))
	}
	if slowest > 10*time.Second {
		t.Errorf("a request took %v", slowest)
	}
	service.serve(t, listenUnix(t, r.in.Settings.AccessLogService.Socket))
	r.eventually("entries come again", func() error {
		client.do("GET", "app.acme.example", "/back", nil)
		_, err := service.of("/back")
		return err
	})
}
