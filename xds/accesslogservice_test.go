package xds

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

const logger = "spiffe://acme.example/als"

// testAccessLogTLS moves the service to an address: only who has the one identity is told anything, and is shown Envoy's.
func testAccessLogTLS(t *testing.T, r *rig) {
	before := r.build(r.in)
	for _, c := range []struct {
		id   string
		told bool
	}{{"spiffe://acme.example/impostor", false}, {logger, true}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		service, peers := &logService{}, make(chan string, 100)
		stop := service.serve(t, l, grpc.Creds(credentials.NewTLS(serverOf(t, r.pki, c.id, peers))))
		in := r.in
		in.Settings.AccessLogService = &AccessLogService{Address: l.Addr().String(), SPIFFEID: logger}
		snapshot := r.publish(in)
		r.settled(snapshot)
		if got, want := listenerVersions(t, snapshot), listenerVersions(t, before); got != want {
			t.Error("the listeners changed with the service's address")
		}
		client, deadline := r.client("ingress", ana, true), time.Now().Add(30*time.Second)
		for told := false; !told && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			client.do("GET", "app.acme.example", "/over-tls", nil)
			_, err := service.of("/over-tls")
			told = err == nil
			if !c.told && r.stat("cluster.tiergate_accesslog.ssl.fail_verify_san") > 0 {
				break
			}
		}
		switch _, err := service.of("/over-tls"); {
		case c.told && err != nil:
			t.Errorf("%s was told nothing: %v", c.id, err)
		case !c.told && (err == nil || r.stat("cluster.tiergate_accesslog.ssl.fail_verify_san") == 0):
			t.Errorf("%s is somebody else and was told", c.id)
		case c.told && <-peers != "spiffe://acme.example/envoy":
			t.Error("Envoy did not show its own certificate")
		}
		stop()
	}
}

func serverOf(t *testing.T, a *authority, id string, peers chan<- string) *tls.Config {
	t.Helper()
	pair := a.issue(t, id)
	certificate, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.caPEM)
	return &tls.Config{Certificates: []tls.Certificate{certificate}, ClientCAs: pool, MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequireAndVerifyClientCert,
		VerifyConnection: func(state tls.ConnectionState) error {
			select {
			case peers <- state.PeerCertificates[0].URIs[0].String():
			default:
			}
			return nil
		}}
}

// listenerVersions is what Envoy would tell one listener from another by.
func listenerVersions(t *testing.T, s *Snapshot) string {
	t.Helper()
	var all []string
	for _, l := range s.Listeners() {
		all = append(all, l.String())
	}
	return strings.Join(all, "\n")
}

func TestAccessLogServiceFaults(t *testing.T) {
	for name, c := range map[string]struct {
		service AccessLogService
		client  bool
		want    string
	}{
		"nowhere":     {AccessLogService{}, true, "envoy.accessLog.grpc.address"},
		"relative":    {AccessLogService{Socket: "als.sock"}, true, "envoy.accessLog.grpc.socket"},
		"no identity": {AccessLogService{Address: "127.0.0.1:1"}, true, "envoy.accessLog.grpc.spiffeID"},
		"a pattern":   {AccessLogService{Address: "127.0.0.1:1", SPIFFEID: "spiffe://acme.example/*"}, true, "envoy.accessLog.grpc.spiffeID"},
		"nothing to show": {AccessLogService{Address: "127.0.0.1:1", SPIFFEID: logger}, false,
			"envoy.accessLog.grpc: mTLS needs a certificate"},
	} {
		in := written(t)
		in.Settings.AccessLogService = &c.service
		if !c.client {
			in.Settings.Client = nil
		}
		if _, err := Build(in); err == nil || !strings.Contains(err.Error(), "Settings: "+c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	in := written(t)
	in.Settings.AccessLogService = &AccessLogService{Address: "127.0.0.1:1", SPIFFEID: logger}
	snapshot := mustBuild(t, in)
	find(t, snapshot.resources.clusters, accessLogCluster).TransportSocket = nil
	if err := snapshot.Consistent(); err == nil || !strings.Contains(err.Error(), "sends access logs over plaintext TCP") {
		t.Errorf("a log over plaintext TCP: %v", err)
	}
}
