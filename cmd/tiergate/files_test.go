package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/config"
)

// held is a fileSet that runs on one listener's pair and client CA, with what it told.
type held struct {
	t   *testing.T
	dir string
	set *fileSet

	mu   sync.Mutex
	told []string
}

// follows lays out a certificate, its key and a client CA, and follows them until the test ends.
func follows(t *testing.T, ca *devca.CA) *held {
	t.Helper()
	h := &held{t: t, dir: t.TempDir()}
	h.putPair("cert.pem", "key.pem", h.pair(ca))
	h.put("ca.pem", ca.PEM())
	return h
}

func (h *held) settings() *config.Settings {
	return &config.Settings{Envoy: config.Envoy{Listeners: []config.Listener{{Name: "in",
		TLS: config.KeyPair{CertFile: h.path("cert.pem"), KeyFile: h.path("key.pem")}, ClientCAFile: h.path("ca.pem")}}}}
}

func (h *held) run() {
	h.t.Helper()
	set, err := followedFiles(h.settings())
	if err != nil {
		h.t.Fatal(err)
	}
	h.runSet(set)
}

func (h *held) runSet(set *fileSet) {
	h.t.Helper()
	h.set = set
	h.observe(set)
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan error)
	go func() { done <- set.run(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Error(err)
		}
	})
	h.await("the start", func() bool { return h.count("first true") == len(set.groups) })
}

func (h *held) observe(set *fileSet) {
	set.changed = func() { h.note("Envoy's configuration changes") }
	set.told = fileEvents{
		Loaded:    func(setting string, _ time.Time, first bool) { h.note("%s is in force, first %v", setting, first) },
		Refused:   func(setting string, err error) { h.note("%s refused: %v", setting, err) },
		Ends:      func(setting string, _ time.Time, ended bool) { h.note("%s ends, ended %v", setting, ended) },
		Unwatched: func(err error) { h.t.Error(err) },
	}
}

func (h *held) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, fmt.Sprintf(format, args...))
}

// count is how often something was told.
func (h *held) count(part string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, line := range h.told {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// twice is what was refused more than once for the same reason; "": nothing.
func (h *held) twice() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[string]bool{}
	for _, line := range h.told {
		if strings.Contains(line, " refused: ") && seen[line] {
			return line
		}
		seen[line] = true
	}
	return ""
}

func (h *held) await(what string, is func() bool) {
	h.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	h.t.Fatalf("%s: told %q", what, h.told)
}

func (h *held) path(name string) string { return filepath.Join(h.dir, name) }

func (h *held) pair(ca *devca.CA) *devca.Pair {
	h.t.Helper()
	pair, err := ca.Server(time.Hour, "app.acme.example")
	if err != nil {
		h.t.Fatal(err)
	}
	return pair
}

// put writes in place, as an editor does that knows no better.
func (h *held) put(name string, raw []byte) {
	h.t.Helper()
	if err := os.WriteFile(h.path(name), raw, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *held) putPair(cert, key string, pair *devca.Pair) {
	h.t.Helper()
	if err := pair.WriteFiles(h.path(cert), h.path(key)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *held) holds(setting string, raw []byte) bool {
	got, err := h.set.content("envoy.listeners[in]."+setting, "")
	if err != nil {
		h.t.Error(err)
	}
	return slices.Equal(got, raw)
}

func newCA(t *testing.T) *devca.CA {
	t.Helper()
	ca, err := devca.New("a CA")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// TestFilesFollow every way in which files are replaced.
func TestFilesFollow(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	for name, replace := range map[string]func(h *held, pair *devca.Pair){
		"in place": func(h *held, pair *devca.Pair) { h.putPair("cert.pem", "key.pem", pair) },
		"by rename": func(h *held, pair *devca.Pair) {
			h.putPair("cert.new", "key.new", pair)
			for _, name := range []string{"key", "cert"} {
				if err := os.Rename(h.path(name+".new"), h.path(name+".pem")); err != nil {
					h.t.Error(err)
				}
				time.Sleep(80 * time.Millisecond) // long enough for half of it to be seen
			}
		},
		"by Kubernetes": func(h *held, pair *devca.Pair) { h.mount(pair) },
		"removed and written anew": func(h *held, pair *devca.Pair) {
			for _, name := range []string{"key.pem", "cert.pem"} {
				if err := os.Remove(h.path(name)); err != nil {
					h.t.Error(err)
				}
			}
			h.await("word that they are gone", func() bool { return h.count("no such file") > 0 }) // one by one, if it is looked between
			h.putPair("cert.pem", "key.pem", pair)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := follows(t, ca)
			if name == "by Kubernetes" {
				h.mount(h.pair(ca))
			}
			h.run()
			next := h.pair(ca)
			replace(h, next)
			h.await("the new certificate", func() bool { return h.holds("tls.certFile", next.CertificatePEM()) })
			key, err := next.KeyPEM()
			if err != nil {
				t.Fatal(err)
			}
			if !h.holds("tls.keyFile", key) {
				t.Error("the key is another's")
			}
			h.await("word to Envoy", func() bool { return h.count("Envoy's configuration changes") == 1 })
		})
	}
}

// mount has the files as Kubernetes does: links through ..data, which is replaced at once.
func (h *held) mount(pair *devca.Pair) {
	h.t.Helper()
	version, err := os.MkdirTemp(h.dir, "..v")
	if err != nil {
		h.t.Fatal(err)
	}
	if err := pair.WriteFiles(filepath.Join(version, "cert.pem"), filepath.Join(version, "key.pem")); err != nil {
		h.t.Fatal(err)
	}
	fresh := h.path("..data_tmp")
	if err := os.Symlink(filepath.Base(version), fresh); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(fresh, h.path("..data")); err != nil {
		h.t.Fatal(err)
	}
	for _, name := range []string{"cert.pem", "key.pem"} {
		if info, err := os.Lstat(h.path(name)); err == nil && info.Mode()&os.ModeSymlink != 0 {
			continue
		}
		_ = os.Remove(h.path(name)) // the file that stood there first
		if err := os.Symlink(filepath.Join("..data", name), h.path(name)); err != nil {
			h.t.Fatal(err)
		}
	}
}
