package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

// sealFiles writes a receiver's key and its public half, as openssl would.
func sealFiles(t *testing.T, dir, name string) (private, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	write := func(file, kind string, der []byte) string {
		file = filepath.Join(dir, file)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write(name+".key", "PRIVATE KEY", privateDER), write(name+".pub", "PUBLIC KEY", publicDER)
}

// TestSealKeys: each way in which the keys of the settings are of no use says which file, and what to do.
func TestSealKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, public := sealFiles(t, dir, "ours")
	_, other := sealFiles(t, dir, "other")
	open := filepath.Join(dir, "open.key")
	if err := os.WriteFile(open, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for want, seal := range map[string]config.Seal{
		"":                             {KeyFile: key, TrustFiles: []string{other, public}},
		"keyFile is not set":           {TrustFiles: []string{public}},
		"make a key with: openssl":     {KeyFile: filepath.Join(dir, "none"), TrustFiles: []string{public}},
		"can be read by others":        {KeyFile: open, TrustFiles: []string{public}},
		"no PEM block of type PRIVATE": {KeyFile: public, TrustFiles: []string{public}},
		"trustFiles[1]":                {KeyFile: key, TrustFiles: []string{public, filepath.Join(dir, "gone")}},
		"no PEM block of type PUBLIC":  {KeyFile: key, TrustFiles: []string{key}},
		"no file of trustFiles holds":  {KeyFile: key, TrustFiles: []string{other}},
	} {
		_, err := sealedStore(&config.Settings{Store: config.Store{Redis: &config.RedisStore{Seal: &seal}}}, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	o, err := newObserver(config.Log{Level: "error", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	bad := &config.Settings{Store: config.Store{Redis: &config.RedisStore{Seal: &config.Seal{TrustFiles: []string{key}}}}}
	if _, _, err := believedPostures(bad, o, nil); err == nil {
		t.Error("a sidecar believes a private key")
	}
}

// valkey starts a real one on a socket; it ends with the test.
func valkey(t *testing.T, dir string) (socket string) {
	t.Helper()
	socket = filepath.Join(dir, "v")
	program, err := filepath.Abs("../../.tools/bin/valkey-server")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), program, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatalf("%v; run make tools", err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
			return socket
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestStoreSeal switches an unsealed Valkey on: shown first, exit 1; vouched for; then all is signed, and a receiver and a
// sidecar read it with the keys of the settings.
func TestStoreSeal(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := valkey(t, dir)
	sealFiles(t, dir, "seal")
	file := filepath.Join(dir, "settings.yaml")
	text := "store: {redis: {address: " + socket + ", seal: {keyFile: seal.key, trustFiles: [seal.pub]}}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := loadSettings(file)
	if err != nil {
		t.Fatal(err)
	}
	store, err := openStore(settings)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.PutPosture(t.Context(), signals.Posture{Device: "d1", Revision: 5}, 0); err != nil {
		t.Fatal(err)
	}
	if err := store.PutRecord(t.Context(), signals.Record{Kind: "alias", Key: "serial:C02", Revision: 5, Value: []byte("d1")}, 0); err != nil {
		t.Fatal(err)
	}
	o, err := newObserver(config.Log{Level: "error", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	believed, _, err := believedPostures(settings, o, store)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := believed.Posture(t.Context(), "d1"); !errors.Is(err, signals.ErrCorrupt) {
		t.Errorf("before it is vouched for: %v", err)
	}
	for _, step := range []struct {
		args string
		exit int
		want []string
	}{
		{"", exitNo, []string{"NOT SIGNED", `not signed: posture "d1"`, `not signed: alias "serial:C02"`}},
		{"-o json", exitNo, []string{`"sealed": false`, `"unsealed": 1`}},
		{"--yes", exitFine, []string{"SIGNED NOW", "posture  0              1"}},
		{"-o yaml", exitFine, []string{"sealed: true", "signed: false"}},
	} {
		var out, errs bytes.Buffer
		args := append([]string{"store", "seal", "--config", file}, strings.Fields(step.args)...)
		if exit := run(t.Context(), args, &out, &errs); exit != step.exit {
			t.Fatalf("%s: exit %d\n%s%s", step.args, exit, &out, &errs)
		}
		for _, want := range step.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s does not say %q:\n%s", step.args, want, &out)
			}
		}
	}
	if p, err := believed.Posture(t.Context(), "d1"); err != nil || p.Revision <= 5 {
		t.Errorf("after: %+v, %v", p, err)
	}
	sealed, err := sealedStore(settings, store)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := sealed.Record(t.Context(), "alias", "serial:C02"); err != nil || string(r.Value) != "d1" {
		t.Errorf("after: %+v, %v", r, err)
	}
}
