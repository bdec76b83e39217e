package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/config"
)

const envoyID = "spiffe://acme.example/ns/edge/envoy-1"

// byBothTransports runs a test with each of them.
func byBothTransports(t *testing.T, run func(t *testing.T, transport string)) {
	t.Parallel()
	for _, transport := range []string{config.TransportOwn, config.TransportGRPCGo} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			run(t, transport)
		})
	}
}

// tcpServer is a gRPC server that only Envoys reach.
type tcpServer struct {
	envoys  *envoys
	address string
	mu      sync.Mutex
	refused []string
}

func serveEnvoys(t *testing.T, transport string, m *mesh, patterns ...string) *tcpServer {
	t.Helper()
	s := &tcpServer{}
	admission, err := newEnvoys(m.trust.own, m.trust, patterns, func(_ string, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refused = append(s.refused, err.Error())
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sc := &sidecar{settings: &config.Settings{Authz: config.Authz{Transport: transport}}, authz: authz.New(authz.Options{}),
		health: health.NewServer(), observer: &observer{log: zap.NewNop(), registry: prometheus.NewRegistry()}}
	serve := sc.decisions(listener, admission)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		admission.mu.Lock()
		defer admission.mu.Unlock()
		if admission.used != 0 || len(admission.open) != 0 {
			t.Errorf("%d connections are counted after the end, %d of them open", admission.used, len(admission.open))
		}
	})
	s.envoys, s.address = admission, listener.Addr().String()
	return s
}

func (s *tcpServer) lastRefusal() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refused) == 0 {
		return ""
	}
	return s.refused[len(s.refused)-1]
}

// refusedWith waits for the server's word: in TLS 1.3 a client is done before it is judged.
func (s *tcpServer) refusedWith(t *testing.T, who, part string) {
	t.Helper()
	soon(t, who+": refused with "+part, func() bool { return strings.Contains(s.lastRefusal(), part) })
}

// dial makes a client with a certificate; nil: none. saw gets the serial number of what the server showed.
func (s *tcpServer) dial(t *testing.T, pair *devca.Pair, highest uint16, saw func(serial string)) healthpb.HealthClient {
	t.Helper()
	c := &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: highest, InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			saw(state.PeerCertificates[0].SerialNumber.String())
			return nil
		}}
	if pair != nil {
		c.Certificates = []tls.Certificate{pair.TLS()}
	}
	conn, err := grpc.NewClient("passthrough:///"+s.address, grpc.WithTransportCredentials(credentials.NewTLS(c)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the server has ended
	return healthpb.NewHealthClient(conn)
}

func ask(client healthpb.HealthClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := client.Check(ctx, &healthpb.HealthCheckRequest{})
	return err
}

// TestEnvoysAdmission is the truth table of who gets in.
func TestEnvoysAdmission(t *testing.T) { byBothTransports(t, envoysAdmission) }

func envoysAdmission(t *testing.T, transport string) {
	t.Helper()
	m := newMesh(t, time.Hour, map[string]*devca.CA{"acme.example": aCA(t), "partner.example": aCA(t), "stranger.example": aCA(t)},
		config.TrustDomain{Name: "acme.example"}, config.TrustDomain{Name: "partner.example"})
	s := serveEnvoys(t, transport, m, "spiffe://acme.example/ns/edge/*", "spiffe://partner.example/envoy")
	if err := ask(s.dial(t, m.svid(envoyID, time.Hour), 0, func(string) {})); err == nil {
		t.Error("served without an SVID of our own")
	}
	m.start()
	soon(t, "an SVID", func() bool { return m.trust.ready() == nil })
	device, err := m.cas["acme.example"].Device("laptop", "C02X", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	impostor, err := aCA(t).SVID(envoyID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		pair    *devca.Pair
		highest uint16
		refused string // "": admitted
	}{
		"named":                 {m.svid(envoyID, time.Hour), 0, ""},
		"named, federated":      {m.svid("spiffe://partner.example/envoy", time.Hour), 0, ""},
		"not named":             {m.svid("spiffe://acme.example/ns/apps/portal", time.Hour), 0, "is not named in authz.listen.envoys"},
		"below what is named":   {m.svid(envoyID+"/x", time.Hour), 0, "is not named in authz.listen.envoys"},
		"federated, not named":  {m.svid("spiffe://partner.example/other", time.Hour), 0, "is not named"},
		"of an unnamed domain":  {m.svid("spiffe://stranger.example/ns/edge/envoy-1", time.Hour), 0, "not trusted here"},
		"of an unknown CA":      {impostor, 0, "was signed by no CA"},
		"no certificate":        {nil, 0, "client didn't provide a certificate"},
		"expired":               {m.svid(envoyID, -5*time.Second), 0, "are valid from"},
		"a device":              {device, 0, "no CA of device certificates is set"},
		"TLS 1.2, though named": {m.svid(envoyID, time.Hour), tls.VersionTLS12, "unsupported versions"},
	} {
		err := ask(s.dial(t, c.pair, c.highest, func(string) {}))
		if (err == nil) != (c.refused == "") || err != nil && status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
		if c.refused != "" {
			s.refusedWith(t, name, c.refused)
		}
	}
}

// TestEnvoysRotation: our own SVID rotates under a running connection, and a connection ends with its own certificate.
func TestEnvoysRotation(t *testing.T) { byBothTransports(t, envoysRotation) }

func envoysRotation(t *testing.T, transport string) {
	t.Helper()
	m := newMesh(t, time.Hour, map[string]*devca.CA{"acme.example": aCA(t)}, config.TrustDomain{Name: "acme.example"})
	m.start()
	s := serveEnvoys(t, transport, m, envoyID)
	soon(t, "an SVID", func() bool { return m.trust.ready() == nil })
	var mu sync.Mutex
	seen := map[string][]string{}
	see := func(who string) func(string) {
		return func(serial string) {
			mu.Lock()
			defer mu.Unlock()
			seen[who] = append(seen[who], serial)
		}
	}
	long := s.dial(t, m.svid(envoyID, time.Hour), 0, see("long"))
	if err := ask(long); err != nil {
		t.Fatal(err)
	}
	short := s.dial(t, m.svid(envoyID, 6*time.Second), 0, see("short"))
	if err := ask(short); err != nil {
		t.Fatal(err)
	}
	if err := m.agent.SetTTL(30 * time.Minute); err != nil {
		t.Fatal(err)
	}
	soon(t, "a new SVID", func() bool {
		own, err := m.source.Certificate()
		mu.Lock()
		defer mu.Unlock()
		return err == nil && own.Leaf.SerialNumber.String() != seen["long"][0]
	})
	later := s.dial(t, m.svid(envoyID, time.Hour), 0, see("later"))
	if err := errors.Join(ask(long), ask(later)); err != nil {
		t.Fatal(err)
	}
	if len(seen["long"]) != 1 || seen["later"][0] == seen["long"][0] {
		t.Errorf("%v", seen)
	}
	soon(t, "the end of the short certificate", func() bool { return ask(short) != nil })
	if err := ask(long); err != nil || len(seen["long"]) != 1 {
		t.Errorf("the other's connection: %v, %v", err, seen)
	}
	soon(t, "the short one's next connection: refused", func() bool { // a client connects again only when it is used
		return ask(short) != nil && strings.Contains(s.lastRefusal(), "are valid from")
	})
}

// onePeer says the same of everybody.
type onePeer struct {
	mu   sync.Mutex
	peer identity.Peer
}

func (p *onePeer) Peer(string, string, time.Time) identity.Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.peer
}

// TestEnvoysRecheck: when other CA certificates count, whoever would not get in any more is put out.
func TestEnvoysRecheck(t *testing.T) { byBothTransports(t, envoysRecheck) }

func envoysRecheck(t *testing.T, transport string) {
	t.Helper()
	m := newMesh(t, time.Hour, map[string]*devca.CA{"acme.example": aCA(t)}, config.TrustDomain{Name: "acme.example"})
	m.start()
	s := serveEnvoys(t, transport, m, envoyID)
	soon(t, "an SVID", func() bool { return m.trust.ready() == nil })
	peers := &onePeer{peer: identity.Peer{Workload: envoyID, Certificate: identity.Validity{NotAfter: time.Now().Add(time.Hour)}}}
	s.envoys.peers = peers
	client := s.dial(t, m.svid(envoyID, time.Hour), 0, func(string) {})
	if err := ask(client); err != nil {
		t.Fatal(err)
	}
	s.envoys.recheck()
	if err := ask(client); err != nil || len(s.refused) > 0 {
		t.Fatalf("put out for nothing: %v, %v", err, s.refused)
	}
	peers.mu.Lock()
	peers.peer = identity.Peer{Doubts: []identity.Doubt{{Detail: "its CA is gone"}}}
	peers.mu.Unlock()
	s.envoys.recheck()
	soon(t, "the end, and the refusal of the next connection", func() bool {
		return ask(client) != nil && strings.Contains(s.lastRefusal(), "its CA is gone")
	})
}

// TestEnvoysBound: connections beyond the bound are refused before they cost a handshake.
func TestEnvoysBound(t *testing.T) { byBothTransports(t, envoysBound) }

func envoysBound(t *testing.T, transport string) {
	t.Helper()
	m := newMesh(t, time.Hour, map[string]*devca.CA{"acme.example": aCA(t)}, config.TrustDomain{Name: "acme.example"})
	m.start()
	s := serveEnvoys(t, transport, m, envoyID)
	soon(t, "an SVID", func() bool { return m.trust.ready() == nil })
	for range maxEnvoys {
		if !s.envoys.enter() {
			t.Fatal("full too soon")
		}
	}
	if err := ask(s.dial(t, m.svid(envoyID, time.Hour), 0, func(string) {})); err == nil {
		t.Error("served")
	}
	s.refusedWith(t, "one more", fmt.Sprintf("there are %d connections already", maxEnvoys))
	for range maxEnvoys {
		s.envoys.leave(nil)
	}
	if err := ask(s.dial(t, m.svid(envoyID, time.Hour), 0, func(string) {})); err != nil {
		t.Error(err)
	}
}
