package e2e_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// fileRotation is a company whose certificates in files are replaced while clients ask.
type fileRotation struct {
	t     *testing.T
	stage *stage.Stage

	mu     sync.Mutex
	faults []string
	sent   atomic.Int64
}

func newFileRotation(t *testing.T) *fileRotation {
	t.Helper()
	s, err := stage.New(stage.Options{Store: stage.StoreEmbedded})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	f := &fileRotation{t: t, stage: s}
	// Upstreams keep their CA: it is not what changes here.
	f.put("upstreams-ca.pem", s.Cast.Workloads.PEM())
	raw, err := os.ReadFile(s.Settings())
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(raw), "upstreamCAFile: pki/workloads-ca.pem", "upstreamCAFile: pki/upstreams-ca.pem", 1)
	if err := os.WriteFile(s.Settings(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(soon(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	return f
}

// put replaces a file of pki at once, as a renewal should.
func (f *fileRotation) put(name string, raw []byte) {
	f.t.Helper()
	path := f.stage.Path("pki", name)
	if err := os.WriteFile(path+".new", raw, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fileRotation) clients(cas ...*devca.CA) {
	f.t.Helper()
	f.put("workloads-ca.pem", devca.Bundle(cas...))
	f.put("ingress-clients-ca.pem", devca.Bundle(append(cas, f.stage.Cast.Devices)...))
}

func (f *fileRotation) transport(pair *devca.Pair, fresh bool) *http.Transport {
	transport := &http.Transport{DisableKeepAlives: fresh, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", f.stage.Ports.Ingress)
		},
		TLSClientConfig: &tls.Config{RootCAs: devca.Pool(f.stage.Cast.Servers), ServerName: stage.PayrollHost,
			Certificates: []tls.Certificate{pair.TLS()}, MinVersion: tls.VersionTLS12}}
	f.t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func (f *fileRotation) once(ctx context.Context, transport *http.Transport, body io.Reader) error {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, "https://"+stage.PayrollHost+"/admin/runs", body)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", response.StatusCode, raw)
	}
	return err
}

// load asks steadily until the returned function is called, which waits for what has begun.
func (f *fileRotation) load(pair *devca.Pair) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	f.t.Cleanup(cancel)
	var running sync.WaitGroup
	for _, fresh := range []bool{true, true, false, false} {
		transport := f.transport(pair, fresh)
		running.Go(func() {
			for ctx.Err() == nil {
				bound, done := context.WithTimeout(context.Background(), 20*time.Second)
				err := f.once(bound, transport, nil)
				done()
				f.sent.Add(1)
				if err != nil {
					f.mu.Lock()
					f.faults = append(f.faults, fmt.Sprintf("%s new connection %v: %v", time.Now().Format("15:04:05.000"), fresh, err))
					f.mu.Unlock()
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return func() { cancel(); running.Wait() }
}

// shown is the serial number of the certificate that the listener shows on a new connection.
func (f *fileRotation) shown(pair *devca.Pair) string {
	f.t.Helper()
	connection, err := tls.Dial("tcp", f.stage.Ports.Ingress, f.transport(pair, true).TLSClientConfig)
	if err != nil {
		f.t.Fatal(err)
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// over asks over a Unix socket of the stage.
func (f *fileRotation) over(socket, path string) string {
	f.t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", f.stage.Path("run", socket))
	}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get("http://socket" + path)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(raw)
}

// fault is why a setting's files are not believed.
func (f *fileRotation) fault(setting string) string {
	f.t.Helper()
	var all []struct{ Setting, Fault string }
	if err := json.Unmarshal([]byte(f.over("admin.sock", "/v1/files")), &all); err != nil {
		f.t.Fatal(err)
	}
	for _, one := range all {
		if one.Setting == setting {
			return one.Fault
		}
	}
	f.t.Fatalf("no %s in %v", setting, all)
	return ""
}

func (f *fileRotation) until(what string, is func() bool) time.Duration {
	f.t.Helper()
	began := time.Now()
	for time.Since(began) < 30*time.Second {
		if is() {
			return time.Since(began)
		}
		time.Sleep(10 * time.Millisecond)
	}
	f.t.Fatalf("%s: it did not come", what)
	return 0
}

// TestFilesRotateUnderLoad: the listener's certificate and the CA of its clients are replaced in their files. No request is
// lost, no open stream is cut, no listener is touched; a certificate without its key is kept out; whoever shows what the
// old CA signed is refused afterwards.
func TestFilesRotateUnderLoad(t *testing.T) {
	t.Parallel()
	f := newFileRotation(t)
	renewed, err := devca.New("Acme workloads, renewed")
	if err != nil {
		t.Fatal(err)
	}
	old := f.stage.Cast.Pairs["deployer"]
	fresh, err := renewed.SVID("spiffe://acme.example/ns/ci/sa/deployer", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.once(soon(t, 20*time.Second), f.transport(fresh, true), nil); err == nil {
		t.Fatal("a CA that is in no file counts")
	}
	stopOld := f.load(old)
	f.clients(f.stage.Cast.Workloads, renewed)
	added := f.until("the added CA", func() bool { return f.once(soon(t, 20*time.Second), f.transport(fresh, true), nil) == nil })
	stopNew := f.load(fresh)
	time.Sleep(time.Second)
	body, feed := io.Pipe()
	stream := make(chan error, 1)
	go func() { stream <- f.once(soon(t, 3*time.Minute), f.transport(fresh, false), body) }()
	_, _ = feed.Write([]byte("it begins")) // a failure shows at its end

	server, err := f.stage.Cast.Servers.Server(time.Hour, stage.PortalHost, stage.PayrollHost)
	if err != nil {
		t.Fatal(err)
	}
	before := f.shown(old)
	f.put("ingress.pem", server.CertificatePEM())
	f.until("the certificate without its key", func() bool {
		return strings.Contains(f.fault("envoy.listeners[ingress].tls"), "cannot be used together")
	})
	if f.shown(old) != before {
		t.Error("a certificate without its key is shown")
	}
	key, err := server.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	f.put("ingress.key", key)
	replaced := f.until("the new certificate", func() bool { return f.shown(old) == server.Certificate.SerialNumber.String() })
	if fault := f.fault("envoy.listeners[ingress].tls"); fault != "" {
		t.Error(fault)
	}

	time.Sleep(time.Second)
	stopOld()
	f.clients(renewed)
	withdrawn := f.until("the end of the old CA", func() bool {
		err := f.once(soon(t, 20*time.Second), f.transport(old, true), nil)
		return err != nil && !strings.Contains(err.Error(), "status") // by Envoy itself, and not tiergate alone
	})
	time.Sleep(time.Second)
	f.until("enough requests to prove anything", func() bool { return f.sent.Load() >= 300 })
	stopNew()
	if err := feed.Close(); err != nil {
		t.Error(err)
	}
	if err := <-stream; err != nil {
		t.Errorf("the stream that was open all the time: %v", err)
	}
	t.Logf("%d requests, %d lost; the CA added in %s, the certificate replaced in %s, the old CA gone in %s", f.sent.Load(),
		len(f.faults), added.Round(time.Millisecond), replaced.Round(time.Millisecond), withdrawn.Round(time.Millisecond))
	for _, fault := range f.faults {
		t.Error(fault)
	}
	for _, none := range []string{"listener_manager.listener_modified: 0", "listener_manager.total_listeners_draining: 0"} {
		if stats := f.over("envoy-admin.sock", "/stats?filter=listener_manager"); !strings.Contains(stats, none) {
			t.Errorf("want %s in:\n%s", none, stats)
		}
	}
}
