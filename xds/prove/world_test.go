package prove_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/policyfile"
	"github.com/tiergate/tiergate/xds"
	"github.com/tiergate/tiergate/xds/dump"
	"github.com/tiergate/tiergate/xds/prove"
)

// instant is when exceptions are looked at: before the one of the policies begins.
var instant = time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)

// aPair is a certificate that nothing asks for.
var aPair = sync.OnceValues(func() (xds.KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return xds.KeyPair{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return xds.KeyPair{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	return xds.KeyPair{CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}),
		KeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})}, err
})

// world is one file of testdata: a policy, the listeners ("name audience CA-file SPIFFE-ID…", "-": no audience), and what is found.
type world struct {
	policy *policy.Policy
	envoy  string // the static configuration that follows
	own    map[string][]string
	finds  string // "kind route", separated by commas
}

func worldOf(t *testing.T, file string) world {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{}
	for _, f := range archive.Files {
		parts[f.Name] = string(f.Data)
	}
	compiled, problems := policyfile.Compile(filesOf(t, parts["policy.yaml"]), policy.World{})
	if len(problems) > 0 {
		t.Fatalf("%s: %v", file, problems)
	}
	w := world{policy: compiled, own: map[string][]string{}, finds: strings.TrimSpace(parts["finds"])}
	pair, err := aPair()
	if err != nil {
		t.Fatal(err)
	}
	spec := compiled.Spec()
	in := xds.Input{Routes: spec.Routes, Audiences: spec.Audiences, Upstreams: spec.Upstreams, Tiers: spec.Tiers, TableDigest: "table",
		Settings: xds.Settings{AuthzSocket: "/run/authz.sock", CheckTimeout: time.Second}}
	options := xds.StaticOptions{NodeID: "envoy", AdminSocket: "/run/envoy.sock", Listeners: map[string]xds.StaticFiles{}}
	for i, line := range strings.Split(strings.TrimSpace(parts["listeners"]), "\n") {
		words := strings.Fields(line)
		l := xds.Listener{Name: words[0], Address: fmt.Sprintf("127.0.0.1:%d", 8443+i), Certificate: pair, ClientCA: pair.CertPEM}
		l.ClientSPIFFEIDs = words[3:]
		if words[1] != "-" {
			l.Audience = words[1]
			w.own[l.Audience] = append(w.own[l.Audience], l.Name)
		}
		in.Settings.Listeners = append(in.Settings.Listeners, l)
		options.Listeners[l.Name] = xds.StaticFiles{CertFile: "/pki/x.pem", KeyFile: "/pki/x.key", CAFile: "/pki/" + words[2]}
	}
	static, err := xds.Static(in, options)
	if err != nil {
		t.Fatal(err)
	}
	w.envoy = string(static)
	return w
}

func filesOf(t *testing.T, text string) *policyfile.Files {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := policyfile.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// check proves a policy with Envoy's configuration as text.
func (w *world) check(t *testing.T, configuration string) *prove.Report {
	t.Helper()
	config, err := dump.Read([]byte(configuration), "envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	report, err := prove.Check(prove.Input{Policy: w.policy, At: instant, Envoy: config, Own: w.own})
	if err != nil {
		t.Fatal(err)
	}
	return report
}
