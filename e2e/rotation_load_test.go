package e2e_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// rotationEvery is the pause between two requests of one client.
const rotationEvery = 20 * time.Millisecond

// rotationLoad is every kind of client at once, each with its own way to the agent: HTTP/1.1 and HTTP/2 through Envoy, and
// Check to tiergate itself over mTLS, as an Envoy elsewhere does; on connections of one request and on kept ones.
type rotationLoad struct {
	stage *stage.Stage

	end     context.CancelFunc
	running sync.WaitGroup
	sent    atomic.Int64
	kept    []*stage.Workload
	anew    []*stage.Workload

	mu     sync.Mutex
	faults []string
	shown  map[string]bool // tiergate's own certificates, by serial number
}

func (l *rotationLoad) start(t *testing.T) {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	l.end, l.shown = end, map[string]bool{}
	t.Cleanup(end)
	for _, http1 := range []bool{true, false} {
		for _, anew := range []bool{true, false} {
			client, err := l.stage.Workload(soon(t, 20*time.Second), "deployer")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Close() })
			if anew {
				l.anew = append(l.anew, client)
			} else {
				l.kept = append(l.kept, client)
			}
			l.repeat(ctx, func() string { return askOnce(client, http1, anew) })
		}
	}
	for _, anew := range []bool{true, false} {
		source, err := l.stage.Source(soon(t, 20*time.Second), stage.SecondEnvoyID)
		if err != nil {
			t.Fatal(err)
		}
		checks := &checkClient{load: l, source: source, anew: anew}
		t.Cleanup(func() {
			checks.drop()
			_ = source.Close()
		})
		l.repeat(ctx, checks.check)
	}
}

// repeat asks steadily, one after the other; what has begun is waited for.
func (l *rotationLoad) repeat(ctx context.Context, ask func() string) {
	l.running.Go(func() {
		for ctx.Err() == nil {
			fault := ask()
			l.sent.Add(1)
			if fault != "" {
				l.mu.Lock()
				l.faults = append(l.faults, time.Now().Format("15:04:05.000 ")+fault)
				l.mu.Unlock()
			}
			time.Sleep(rotationEvery)
		}
	})
}

func (l *rotationLoad) stop() {
	l.end()
	l.running.Wait()
}

// check holds that everybody showed another certificate at each renewal; the first and the last may be cut off.
func (l *rotationLoad) check(t *testing.T, issued *issuedCount, renewals int) {
	t.Helper()
	for i := range l.kept { // one that is kept may be opened just before Envoy renews, and so miss one of Envoy's
		if shown, seen := l.kept[i].Certificates(), l.anew[i].Envoys(); shown < renewals || seen < renewals {
			t.Errorf("a client showed %d certificates, and one saw %d of Envoy, in %d renewals", shown, seen, renewals)
		}
	}
	if len(l.shown) < renewals {
		t.Errorf("tiergate showed %d certificates in %d renewals", len(l.shown), renewals)
	}
	for _, id := range []string{stage.EnvoyID, stage.TiergateID, "spiffe://acme.example/ns/payroll/sa/api"} {
		if n := issued.of(id); n < renewals {
			t.Errorf("%s got %d certificates in %d renewals", id, n, renewals)
		}
	}
	if least := int64(renewals) * 50; l.sent.Load() < least {
		t.Errorf("only %d requests were sent, want %d to prove anything", l.sent.Load(), least)
	}
}

// askOnce tells what was wrong with the answer.
func askOnce(client *stage.Workload, http1, anew bool) string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ask := client.Ask
	if anew {
		ask = client.AskAnew
	}
	answer := ask(ctx, stage.Request{Host: stage.PayrollHost, Path: "/admin/runs", HTTP1: http1})
	if answer.Err == nil && answer.Status == http.StatusOK && answer.Echo != nil && answer.Echo.Peer == stage.EnvoyID {
		return ""
	}
	return fmt.Sprintf("HTTP/1.1 %v, new connection %v: status %d %s %s %v", http1, anew, answer.Status, answer.Reason(),
		answer.Body, answer.Err)
}

// checkClient asks tiergate for decisions over TCP.
type checkClient struct {
	load   *rotationLoad
	source *workloadapi.X509Source
	anew   bool // over a connection of its own each time

	connection *grpc.ClientConn
	serial     string // of the certificate that was in force when it was opened
}

func (c *checkClient) check() string {
	svid, err := c.source.GetX509SVID()
	if err != nil {
		return err.Error()
	}
	if serial := svid.Certificates[0].SerialNumber.String(); c.anew || serial != c.serial {
		c.drop()
		c.serial = serial
	}
	if c.connection == nil {
		config := tlsconfig.MTLSClientConfig(c.source, c.source, tlsconfig.AuthorizeID(spiffeid.RequireFromString(stage.TiergateID)))
		config.VerifyConnection = func(state tls.ConnectionState) error { // after the library's own judgement
			c.load.mu.Lock()
			defer c.load.mu.Unlock()
			c.load.shown[state.PeerCertificates[0].SerialNumber.String()] = true
			return nil
		}
		if c.connection, err = grpc.NewClient(c.load.stage.Ports.Authz, grpc.WithTransportCredentials(credentials.NewTLS(config))); err != nil {
			return err.Error()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	response, err := authv3.NewAuthorizationClient(c.connection).Check(ctx, &authv3.CheckRequest{
		Attributes: &authv3.AttributeContext{Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{}},
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
				Method: http.MethodGet, Host: stage.PayrollHost, Path: "/admin/runs", Scheme: "https"}}},
	})
	switch {
	case err != nil:
		return fmt.Sprintf("tiergate over TCP, new connection %v: %v", c.anew, err)
	case response.GetDeniedResponse().GetStatus().GetCode() != 401:
		return fmt.Sprintf("tiergate over TCP decided on nobody: %v", response)
	}
	return ""
}

func (c *checkClient) drop() {
	if c.connection != nil {
		_ = c.connection.Close()
		c.connection = nil
	}
}
