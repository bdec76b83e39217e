package e2e_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// authority signs certificates that have a DNS name, for both ends.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.certificate, a.key = a.sign(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a *authority) sign(t *testing.T, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func (a *authority) issue(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	return a.sign(t, &x509.Certificate{DNSNames: []string{name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}})
}

func pemOf(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// theBridge runs the container `bridge` of contour/bridge.yaml before a running tiergate.
func theBridge(t *testing.T, s *stage.Stage, ca *authority) (address string) {
	t.Helper()
	address = freeport.For(t)
	k := newKubelet(t, objects(t, "contour/bridge.yaml"), "tiergate")
	for _, o := range objects(t, "kubernetes/config.yaml") {
		k.configMaps[o.Metadata.Name] = o.Data
	}
	paper(t, s, k)
	certificate, key := ca.issue(t, "tiergate.tiergate.svc")
	der, err := x509.MarshalPKCS8PrivateKey(key)
	k.secrets["tiergate-bridge-tls"] = map[string]string{
		"tls.crt": pemOf(t, "CERTIFICATE", certificate.Raw, nil), "tls.key": pemOf(t, "PRIVATE KEY", der, err),
		"ca.crt": pemOf(t, "CERTIFICATE", ca.certificate.Raw, nil),
	}
	k.moved = map[string]string{
		"address: 0.0.0.0, port_value: 9443":       "address: 127.0.0.1, port_value: " + portOf(address),
		"/run/sockets/pod/tiergate/authz.sock":     s.Path("run", "authz.sock"),
		"/run/sockets/pod/tiergate/envoy-admin.so": filepath.Join(k.root, "admin.so"),
		"cluster: tiergate, timeout: 0.25s":        "cluster: tiergate, timeout: 2s", // the machine may be busy
	}
	k.layOut(t)
	process := k.process(t, "bridge")
	process.Ready = func(ctx context.Context) error { return reachable(ctx, "tcp", address) }
	processes := stage.NewSupervisor(stage.Events{})
	t.Cleanup(func() {
		if err := processes.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := processes.Start(soon(t, time.Minute), process); err != nil {
		t.Fatal(err)
	}
	return address
}

func portOf(address string) string { return address[len("127.0.0.1:"):] }

// TestContourBridge: over TCP, Contour's Envoys get the answers that the socket gives; nobody else gets any, and nobody gets
// another method than Check.
func TestContourBridge(t *testing.T) {
	t.Parallel()
	s, ca := theCompany(t), newAuthority(t)
	address := theBridge(t, s, ca)
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	dial := func(signer *authority, name string) *grpc.ClientConn {
		config := &tls.Config{RootCAs: roots, ServerName: "tiergate.tiergate.svc", MinVersion: tls.VersionTLS13}
		if signer != nil {
			certificate, key := signer.issue(t, name)
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}, nil
			}
		}
		connection, err := grpc.NewClient("dns:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		return connection
	}
	contour := dial(ca, "envoy.projectcontour")
	for name, want := range map[string]string{"everything": "200 allowed", "a principal, no certificate": "401 identity-doubted"} {
		response, err := authv3.NewAuthorizationClient(contour).Check(soon(t, 20*time.Second), notSent[name](s))
		if err != nil || answered(response) != want {
			t.Errorf("%s: %v %v", name, response, err)
		}
	}
	if _, err := healthpb.NewHealthClient(contour).Check(soon(t, 20*time.Second), &healthpb.HealthCheckRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("another method than Check: %v", err)
	}
	for who, connection := range map[string]*grpc.ClientConn{
		"nobody": dial(nil, ""), "another of that CA": dial(ca, "payroll.payroll"), "the name, of another CA": dial(newAuthority(t), "envoy.projectcontour"),
	} {
		response, err := authv3.NewAuthorizationClient(connection).Check(soon(t, 20*time.Second), notSent["everything"](s))
		if status.Code(err) != codes.Unavailable || response != nil {
			t.Errorf("%s: %v %v", who, response, err)
		}
	}
}
