package world

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
)

func newWorld(t *testing.T) *World {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestTheRequestIsWhatTheBenchClaims: 15 headers as raw bytes, an 800-byte token, the laptop's certificate, the route.
func TestTheRequestIsWhatTheBenchClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, err := w.Site(t.Context(), "c", 60, 30)
	if err != nil {
		t.Fatal(err)
	}
	message := &authv3.CheckRequest{}
	if err := proto.Unmarshal(s.Request, message); err != nil {
		t.Fatal(err)
	}
	a := message.GetAttributes()
	if n := len(a.GetRequest().GetHttp().GetHeaderMap().GetHeaders()); n != 15 || len(w.Token) != tokenBytes {
		t.Errorf("%d headers, a token of %d bytes", n, len(w.Token))
	}
	if size := len(s.Request); size < 1_900 || size > 2_500 {
		t.Errorf("the request has %d bytes", size)
	}
	pem, err := url.PathUnescape(a.GetSource().GetCertificate())
	if err != nil || pem != string(w.Laptop.CertificatePEM()) {
		t.Errorf("the certificate does not survive its encoding: %v", err)
	}
	match := s.Policy.Table().Match(Host, AskedPath, "GET")
	if match.Route == "" || match.Route != a.GetContextExtensions()["tiergate.route"] ||
		a.GetContextExtensions()["tiergate.table"] != s.Policy.Table().Digest() {
		t.Errorf("route %q of extensions %v", match.Route, a.GetContextExtensions())
	}
	if spec := s.Policy.Spec(); len(spec.Routes) != 60 || len(spec.Tiers) != 10 || len(spec.Baselines[0].Signals) != 8 {
		t.Errorf("%d routes, %d tiers, %d signals", len(spec.Routes), len(spec.Tiers), len(spec.Baselines[0].Signals))
	}
	web := w.WebRequest()
	if !bytes.HasPrefix(web, []byte("GET "+AskedPath+" HTTP/1.1\r\nhost: "+Host+"\r\n")) || !bytes.HasSuffix(web, []byte("\r\n\r\n")) ||
		!bytes.Contains(web, []byte(w.Token)) {
		t.Errorf("the request for Envoy is\n%s", web)
	}
}

// TestTheStoreHoldsHealthyLaptops: as many as were wanted, each of its own, the asking one among them.
func TestTheStoreHoldsHealthyLaptops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, err := w.Site(t.Context(), "c", 20, 700)
	if err != nil {
		t.Fatal(err)
	}
	store, err := boltstore.Open(filepath.Join(s.Dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	names := map[signals.Alias]int{}
	if _, err := store.EachPosture(t.Context(), func(p signals.Posture) error {
		for _, alias := range p.Aliases {
			names[alias]++
		}
		if len(p.Facts) != len(good)+1 { // and its user
			t.Errorf("%s has %d facts", p.Device, len(p.Facts))
		}
		return nil
	}, nil); err != nil {
		t.Fatal(err)
	}
	asking := signals.Alias{Kind: signals.AliasCertificate, Value: w.Laptop.Fingerprint()}
	if len(names) != 1400 || names[asking] != 1 {
		t.Errorf("%d names, the asking laptop %d times", len(names), names[asking])
	}
}

func TestFaultsOfTheWorld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := os.WriteFile(filepath.Join(w.Dir, "taken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Site(t.Context(), "taken", 20, 1); err == nil {
		t.Error("a site was laid out in a file")
	}
	if _, err := w.Site(t.Context(), "unused-tier", 3, 1); err == nil || !strings.Contains(err.Error(), "tier") {
		t.Errorf("three routes use ten tiers: %v", err)
	}
	if _, err := New(filepath.Join(w.Dir, "taken")); err == nil {
		t.Error("a world was made in a file")
	}
	if err := w.writeStore(t.Context(), filepath.Join(w.Dir, "none", "store.db"), 1); err == nil {
		t.Error("a store was made in no directory")
	}
	if err := w.writeStore(t.Context(), filepath.Join(w.Dir, "twice.db"), 3); err != nil {
		t.Error(err)
	}
	if err := w.writeStore(t.Context(), filepath.Join(w.Dir, "twice.db"), 3); err == nil || !strings.Contains(err.Error(), "laptop") {
		t.Errorf("laptops were written twice: %v", err)
	}
	if _, err := PostureOf(1, "", time.Now()); err == nil {
		t.Error("a laptop without a certificate")
	}
}
