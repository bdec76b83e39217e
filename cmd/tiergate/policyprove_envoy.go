package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/xds"
)

// snapshotToProve is what serve would give to Envoy. Keys and certificates say nothing about who reaches what, so those of
// Envoy are made up and no key is read. Who may connect does matter: CA files are read, and a trust domain whose bundle comes
// from the Workload API stands for a CA of its own, which is said.
func snapshotToProve(s *config.Settings, p *policy.Policy) (*xds.Snapshot, []string, error) {
	sockets, err := s.Sockets()
	if err != nil {
		return nil, nil, err
	}
	own, err := standIn("envoy")
	if err != nil {
		return nil, nil, err
	}
	r := &proofReader{made: map[string]xds.KeyPair{}}
	out := xds.Settings{AuthzSocket: sockets.Authz, CheckTimeout: s.Envoy.CheckTimeout, Forwarders: len(s.Identity.Forwarders) > 0}
	if api := s.Identity.WorkloadAPI; api != nil {
		out.WorkloadAPI = api.Socket
	}
	for i := range s.Envoy.Listeners {
		l := &s.Envoy.Listeners[i]
		listener := xds.Listener{Name: l.Name, Address: l.Address, Audience: l.Audience, Certificate: own}
		envoyClients(&listener, l, s.Identity.TrustDomains, r.read, r.live)
		out.Listeners = append(out.Listeners, listener)
	}
	envoyOutlets(&out, &s.Envoy)
	if s.Envoy.Client != nil {
		out.Client, out.UpstreamCA = &own, own.CertPEM
	}
	if r.fault != nil {
		return nil, nil, r.fault
	}
	spec := p.Spec()
	snapshot, err := xds.Build(xds.Input{Routes: spec.Routes, Audiences: spec.Audiences, Upstreams: spec.Upstreams, Tiers: spec.Tiers,
		TableDigest: p.Table().Digest(), Settings: out})
	if err != nil {
		return nil, nil, err
	}
	said := []string(nil)
	if len(r.absent) > 0 {
		said = append(said, "bundles of these trust domains rotate, and each is taken for a CA of its own: "+strings.Join(r.absent, ", "))
	}
	return snapshot, said, snapshot.Consistent()
}

// proofReader reads CA certificates, and makes some up for bundles that rotate.
type proofReader struct {
	made   map[string]xds.KeyPair // by trust domain
	absent []string
	fault  error
}

func (r *proofReader) read(setting, file string) []byte {
	if file == "" {
		return nil
	}
	raw, err := (*fileSet)(nil).content(setting, file)
	r.fault = errors.Join(r.fault, err)
	return raw
}

func (r *proofReader) live(domain string) []byte {
	if _, known := r.made[domain]; !known {
		pair, err := standIn(domain)
		r.fault = errors.Join(r.fault, err)
		r.made[domain], r.absent = pair, append(r.absent, domain)
	}
	return r.made[domain].CertPEM
}

// standIn is a certificate that nobody trusts, for an hour.
func standIn(name string) (xds.KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return xds.KeyPair{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return xds.KeyPair{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return xds.KeyPair{}, err
	}
	return xds.KeyPair{CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}),
		KeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})}, nil
}
