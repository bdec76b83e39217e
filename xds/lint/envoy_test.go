package lint

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// tool finds a pinned tool; that it is missing is a failure, never a skip.
func tool(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("TIERGATE_TOOLS")
	if dir == "" {
		dir = filepath.Join("..", "..", ".tools", "bin")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make tools", err)
	}
	return path
}

// pki writes the files that the configurations of testdata name.
func pki(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.MkdirAll(filepath.Join(dir, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{"cert.pem": certificate, "ca.pem": certificate, "ecds.yaml": []byte("resources: []\n"),
		"key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(filepath.Join(dir, "pki", name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// refusedByEnvoy says why the real Envoy does not take a configuration; "" if it does.
func refusedByEnvoy(ctx context.Context, envoy, dir, name string, raw []byte) string {
	file := name + ".yaml"
	if err := os.WriteFile(filepath.Join(dir, file), raw, 0o600); err != nil {
		return err.Error()
	}
	c := exec.CommandContext(ctx, envoy, "--mode", "validate", "-c", file, "-l", "error")
	c.Dir, c.SysProcAttr = dir, &syscall.SysProcAttr{Setsid: true}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		return err.Error() + "\n" + out.String()
	}
	return ""
}

// TestEnvoyTakesThePlants: what is planted is a configuration that Envoy accepts; otherwise nobody would have it.
func TestEnvoyTakesThePlants(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	pki(t, dir)
	envoy := tool(t, "envoy")
	texts := map[string][]byte{"clean": readFile(t, "testdata/clean.yaml")}
	for _, p := range plants(t) {
		texts[p.name] = p.written(t)
	}
	slots, done := make(chan struct{}, 2), sync.WaitGroup{}
	for name, raw := range texts {
		done.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if why := refusedByEnvoy(t.Context(), envoy, dir, name, raw); why != "" {
				t.Errorf("%s: %s", name, strings.TrimSpace(why))
			}
		})
	}
	done.Wait()
	// The judge says no to what is none.
	if refusedByEnvoy(t.Context(), envoy, dir, "none", []byte("static_resources: {listeners: [{name: x, no_such_field: 1}]}")) == "" {
		t.Error("Envoy takes anything")
	}
}
