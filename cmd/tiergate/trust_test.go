package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/svid"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/agent"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/config"
)

const ownID = "spiffe://acme.example/tiergate"

// mesh is a trust that follows an agent of the test's own.
type mesh struct {
	t      *testing.T
	agent  *agent.Agent
	source *svid.Source
	trust  *trust
	mu     sync.Mutex
	lines  []string
	cas    map[string]*devca.CA
}

func aCA(t *testing.T) *devca.CA {
	t.Helper()
	ca, err := devca.New("test")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// newMesh makes an agent that signs in these domains, and follows it for those that are named. It is started by the test.
func newMesh(t *testing.T, ttl time.Duration, cas map[string]*devca.CA, named ...config.TrustDomain) *mesh {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	m := &mesh{t: t, cas: cas}
	m.agent, err = agent.New(agent.Options{Socket: filepath.Join(dir, "agent.sock"), TrustDomains: cas, TTL: ttl,
		Identities: func(agent.Caller) []string { return []string{ownID} }})
	if err != nil {
		t.Fatal(err)
	}
	m.source, err = svid.New(svid.Options{Socket: m.agent.Socket(), Changed: func() { m.trust.update() }})
	if err != nil {
		t.Fatal(err)
	}
	m.trust, err = newTrust(&config.Settings{Identity: config.Identity{TrustDomains: named}}, nil, m.source, trustEvents{
		InForce: func(missing []string) { m.say("in force without %v", missing) },
		Refused: func(domain string, err error) { m.say("refused %s: %v", domain, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- m.source.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		if err := m.agent.Stop(); err != nil {
			t.Error(err)
		}
		_ = os.RemoveAll(dir) // it is in the temporary directory
	})
	return m
}

func (m *mesh) start() {
	m.t.Helper()
	if err := m.agent.Start(); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mesh) say(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines = append(m.lines, fmt.Sprintf(format, args...))
}

func (m *mesh) said(part string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Contains(strings.Join(m.lines, "\n"), part)
}

func (m *mesh) svid(id string, ttl time.Duration) *devca.Pair {
	m.t.Helper()
	parsed, err := identity.ParseSPIFFEID(id)
	if err != nil {
		m.t.Fatal(err)
	}
	pair, err := m.cas[parsed.TrustDomain()].SVID(id, ttl)
	if err != nil {
		m.t.Fatal(err)
	}
	return pair
}

// doubt is what is said against a certificate now; "": it is believed.
func (m *mesh) doubt(c *x509.Certificate) string {
	peer := m.trust.Peer(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})), "", time.Now())
	if len(peer.Doubts) > 0 {
		return peer.Doubts[0].Detail
	}
	return ""
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: it did not come", what)
}

// TestTrustFollows: only the named domains count, from their first bundle on, and a CA that is withdrawn counts no more.
func TestTrustFollows(t *testing.T) {
	t.Parallel()
	m := newMesh(t, 2*time.Second, map[string]*devca.CA{"acme.example": aCA(t), "partner.example": aCA(t), "stranger.example": aCA(t)},
		config.TrustDomain{Name: "partner.example"}, config.TrustDomain{Name: "acme.example"}, config.TrustDomain{Name: "absent.example"})
	acme, partner := m.svid("spiffe://acme.example/app", time.Hour), m.svid("spiffe://partner.example/app", time.Hour)
	stranger := m.svid("spiffe://stranger.example/app", time.Hour)
	if got := m.doubt(acme.Certificate); !strings.Contains(got, `of trust domain "acme.example" are awaited from the Workload API`) {
		t.Errorf("before the first bundle: %q", got)
	}
	if err := m.trust.ready(); err == nil || !strings.Contains(err.Error(), "partner.example, acme.example, absent.example yet") {
		t.Errorf("ready: %v", err)
	}
	m.start()
	soon(t, "the bundles", func() bool { return m.said("in force without [absent.example]") })
	if a, p := m.doubt(acme.Certificate), m.doubt(partner.Certificate); a+p != "" {
		t.Errorf("%q %q", a, p)
	}
	if got := m.doubt(stranger.Certificate); !strings.Contains(got, "not trusted here") {
		t.Errorf("a federated domain that nobody named: %q", got)
	}
	if m.trust.bundle("stranger.example") != nil || !slices.Equal(m.trust.bundle("partner.example"), m.cas["partner.example"].PEM()) {
		t.Error("the bundles in force are others")
	}
	if err := m.trust.ready(); err == nil || !strings.Contains(err.Error(), "absent.example yet: the Workload API at") {
		t.Errorf("ready: %v", err)
	}
	for _, step := range []func() error{
		func() error { return m.agent.PrepareCA("acme.example") }, func() error { return m.agent.ActivateCA("acme.example") },
		func() error { return m.agent.SetTTL(2 * time.Second) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	soon(t, "both CAs", func() bool { return strings.Count(string(m.trust.bundle("acme.example")), "BEGIN") == 2 })
	if got := m.doubt(acme.Certificate); got != "" {
		t.Errorf("while both CAs count: %q", got)
	}
	soon(t, "the end of the old CA", func() bool { return m.agent.RetireCA("acme.example") == nil })
	soon(t, "the doubt", func() bool { return strings.Contains(m.doubt(acme.Certificate), "was signed by no CA in the bundle") })
	soon(t, "what the new CA signed is believed", func() bool { // one of two seconds may have ended before the next is here
		own, err := m.source.Certificate()
		return err == nil && m.doubt(own.Leaf) == ""
	})
	if got := m.doubt(partner.Certificate); got != "" {
		t.Errorf("the other domain: %q", got)
	}
}

// TestTrustStaysApart: a federated domain that sends our CA is refused by itself, whatever the order of the settings.
func TestTrustStaysApart(t *testing.T) {
	t.Parallel()
	shared := aCA(t)
	m := newMesh(t, time.Hour, map[string]*devca.CA{"acme.example": shared, "partner.example": shared, "third.example": aCA(t)},
		config.TrustDomain{Name: "partner.example"}, config.TrustDomain{Name: "acme.example"}, config.TrustDomain{Name: "third.example"})
	m.start()
	soon(t, "the bundles", func() bool { return m.said("in force without [partner.example]") })
	if !m.said("refused partner.example: the CA ") {
		t.Errorf("%v", m.lines)
	}
	for id, doubted := range map[string]bool{"spiffe://acme.example/x": false, "spiffe://third.example/x": false,
		"spiffe://partner.example/x": true} {
		if got := m.doubt(m.svid(id, time.Hour).Certificate); (got != "") != doubted {
			t.Errorf("%s: %q", id, got)
		}
	}
}

// TestTrustOfFiles: a domain with a file is that of the file, whatever the Workload API says.
func TestTrustOfFiles(t *testing.T) {
	t.Parallel()
	ofFile, file := aCA(t), filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ofFile.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMesh(t, time.Hour, map[string]*devca.CA{"acme.example": aCA(t), "partner.example": aCA(t)},
		config.TrustDomain{Name: "acme.example"}, config.TrustDomain{Name: "partner.example", BundleFile: file})
	m.start()
	soon(t, "the bundles", func() bool { return m.trust.ready() == nil })
	pair, err := ofFile.SVID("spiffe://partner.example/app", time.Hour)
	if err != nil || m.doubt(pair.Certificate) != "" || m.trust.bundle("partner.example") != nil {
		t.Errorf("%v, %s", err, m.doubt(pair.Certificate))
	}
	if m.doubt(m.svid("spiffe://partner.example/app", time.Hour).Certificate) == "" {
		t.Error("the Workload API's bundle counts beside the file")
	}
}
