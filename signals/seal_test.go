package signals_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// keyPair makes a receiver's key as openssl would write it.
func keyPair(t testing.TB) (*signals.Sealer, []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := signals.NewSealer(block(t, "PRIVATE KEY", private))
	if err != nil {
		t.Fatal(err)
	}
	return sealer, block(t, "PUBLIC KEY", public)
}

func block(t testing.TB, kind string, key any) []byte {
	t.Helper()
	marshal := x509.MarshalPKCS8PrivateKey
	if kind == "PUBLIC KEY" {
		marshal = x509.MarshalPKIXPublicKey
	}
	der, err := marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestKeys(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private := block(t, "PRIVATE KEY", other)
	public := block(t, "PUBLIC KEY", other.Public())
	_, good := keyPair(t)
	for text, want := range map[string]string{
		"": "no PEM block", string(good): "no PEM block of type PRIVATE KEY", string(private): "not Ed25519",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n": "cannot be read",
	} {
		if _, err := signals.NewSealer([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("private %.40q: %v; want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "no PEM block", string(private): "no PEM block of type PUBLIC KEY", string(public): "no Ed25519 public key",
		string(good) + string(good): "more than one key",
	} {
		if _, err := signals.NewChecker(good, []byte(text)); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "key 2 of 2") {
			t.Errorf("public %.40q: %v; want %q", text, err, want)
		}
	}
	if _, err := signals.NewChecker(); err == nil {
		t.Error("a checker without a key")
	}
}

// TestEveryPartIsSealed changes each part of a signed posture by itself.
func TestEveryPartIsSealed(t *testing.T) {
	sealer, public := keyPair(t)
	checker, err := signals.NewChecker(public)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 20, 8, 0, 0, 1, time.UTC)
	fresh := func() signals.Posture {
		return signals.Posture{Device: "d", Revision: 7, Aliases: []signals.Alias{{Kind: signals.AliasSerial, Value: "C02"}},
			Facts: []signals.Fact{
				{Attribute: "compromised", Value: signals.Bool(true), Source: "edr", Path: "a", Observed: at, Received: at},
				{Attribute: "edr_risk_score", Value: signals.Number(1), Source: "edr", Observed: at, Received: at},
			}, Clearances: []signals.Clearance{{Attribute: "compromised", Source: "mdm", Until: at, Name: "clearance-a"}}}
	}
	s := &shelf{}
	kept := signals.Sealed(s, sealer, checker)
	if err := kept.PutPosture(t.Context(), fresh(), 0); err != nil {
		t.Fatal(err)
	}
	signed := s.posture
	if got, err := kept.Posture(t.Context(), "d"); err != nil || got.Seal != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	stranger, _ := keyPair(t)
	for name, change := range map[string]func(p *signals.Posture){
		"device":     func(p *signals.Posture) { p.Device = "e" },
		"revision":   func(p *signals.Posture) { p.Revision = 8 },
		"alias":      func(p *signals.Posture) { p.Aliases = []signals.Alias{{Kind: signals.AliasSerial, Value: "C03"}} },
		"alias kind": func(p *signals.Posture) { p.Aliases = []signals.Alias{{Kind: signals.AliasUUID, Value: "C02"}} },
		"no alias":   func(p *signals.Posture) { p.Aliases = nil },
		"value":      func(p *signals.Posture) { p.Facts[0].Value = signals.Bool(false) },
		"kind":       func(p *signals.Posture) { p.Facts[0].Value = signals.Unknown },
		"number":     func(p *signals.Posture) { p.Facts[1].Value = signals.Number(2) },
		"attribute":  func(p *signals.Posture) { p.Facts[0].Attribute = "firewall" },
		"source":     func(p *signals.Posture) { p.Facts[0].Source = "mdm" },
		"path":       func(p *signals.Posture) { p.Facts[0].Path = "b" },
		"observed":   func(p *signals.Posture) { p.Facts[0].Observed = at.Add(1) },
		"received":   func(p *signals.Posture) { p.Facts[0].Received = at.Add(1) },
		"a fact less": func(p *signals.Posture) {
			p.Facts = p.Facts[:1]
		},
		"no clearance": func(p *signals.Posture) { p.Clearances = nil },
		"clears more": func(p *signals.Posture) {
			p.Clearances = append(slices.Clone(p.Clearances), signals.Clearance{Attribute: "compromised", Source: "edr", Until: at})
		},
		"clears later": func(p *signals.Posture) {
			p.Clearances = clearedAs(p, func(c *signals.Clearance) { c.Until = at.Add(1) })
		},
		"clears another": func(p *signals.Posture) { p.Clearances = clearedAs(p, func(c *signals.Clearance) { c.Source = "edr" }) },
		"clears else": func(p *signals.Posture) {
			p.Clearances = clearedAs(p, func(c *signals.Clearance) { c.Attribute = "firewall" })
		},
		"by another": func(p *signals.Posture) {
			p.Clearances = clearedAs(p, func(c *signals.Clearance) { c.Name = "clearance-b" })
		},
		"marked":        func(p *signals.Posture) { p.Checkpointed = true },
		"no seal":       func(p *signals.Posture) { p.Seal = nil },
		"another key":   func(p *signals.Posture) { p.Seal = &signals.Seal{Key: stranger.Key(), Signature: p.Seal.Signature} },
		"no signature":  func(p *signals.Posture) { p.Seal = &signals.Seal{Key: p.Seal.Key} },
		"signature cut": func(p *signals.Posture) { p.Seal = &signals.Seal{Key: p.Seal.Key, Signature: p.Seal.Signature[:63]} },
	} {
		forged := signed
		forged.Facts = append([]signals.Fact(nil), signed.Facts...)
		change(&forged)
		s.posture = forged
		if _, err := kept.Posture(t.Context(), forged.Device); !errors.Is(err, signals.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		told := 0
		_, err := signals.CheckedPostures(s, checker).EachPosture(t.Context(), func(signals.Posture) error { told += 10; return nil },
			func(signals.DeviceID, error) { told++ })
		if err != nil || told != 1 {
			t.Errorf("%s: EachPosture told %d, %v", name, told, err)
		}
	}
}

// clearedAs is the posture's clearances with the first one changed.
func clearedAs(p *signals.Posture, change func(*signals.Clearance)) []signals.Clearance {
	all := slices.Clone(p.Clearances)
	change(&all[0])
	return all
}

// TestSealsOfBeforeClearances: what was signed before there were clearances still verifies, and the very encoding of before
// is signed wherever there are none. The two signatures were made by the version before.
func TestSealsOfBeforeClearances(t *testing.T) {
	seed := []byte("a seed of 32 bytes, for tests ..")
	sealer, err := signals.NewSealer(block(t, "PRIVATE KEY", ed25519.NewKeyFromSeed(seed)))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 20, 8, 0, 0, 1, time.UTC)
	for checkpointed, want := range map[bool]string{
		false: sealOfBefore,
		true:  markedSealOfBefore,
	} {
		s := &shelf{}
		p := signals.Posture{Device: "d", Revision: 7, Checkpointed: checkpointed,
			Aliases: []signals.Alias{{Kind: signals.AliasSerial, Value: "C02"}},
			Facts:   []signals.Fact{{Attribute: "compromised", Value: signals.Bool(true), Source: "edr", Path: "a", Observed: at, Received: at}}}
		if err := signals.Sealed(s, sealer, sealer.Checker()).PutPosture(t.Context(), p, 0); err != nil {
			t.Fatal(err)
		}
		if got := base64.StdEncoding.EncodeToString(s.posture.Seal.Signature); got != want {
			t.Errorf("checkpointed %t: the signature is %s, and was %s", checkpointed, got, want)
		}
	}
}

// TestRecordsAreSealed: a record counts with its own kind, key, revision and expiry only.
func TestRecordsAreSealed(t *testing.T) {
	sealer, _ := keyPair(t)
	s := &shelf{}
	kept := signals.Sealed(s, sealer, sealer.Checker())
	r := signals.Record{Kind: "alias", Key: "serial:C02", Revision: 3, Value: []byte("d1")}
	if err := kept.PutRecord(t.Context(), r, 0); err != nil {
		t.Fatal(err)
	}
	signed := s.record
	if got, err := kept.Record(t.Context(), "alias", "serial:C02"); err != nil || string(got.Value) != "d1" {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, change := range map[string]func(r *signals.Record){
		"kind":     func(r *signals.Record) { r.Kind = "inbox" },
		"key":      func(r *signals.Record) { r.Key = "serial:C03" },
		"revision": func(r *signals.Record) { r.Revision = 4 },
		"expiry":   func(r *signals.Record) { r.Expires = time.Unix(1, 0) },
		"value":    func(r *signals.Record) { r.Value = append(r.Value[:len(r.Value)-1:len(r.Value)-1], '2') },
		"unsigned": func(r *signals.Record) { r.Value = []byte("d1") },
		"empty":    func(r *signals.Record) { r.Value = nil },
		"cut":      func(r *signals.Record) { r.Value = r.Value[:20] },
		"too long": func(r *signals.Record) { r.Value = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f} },
	} {
		s.record = signed
		change(&s.record)
		if got, err := kept.Record(t.Context(), s.record.Kind, s.record.Key); !errors.Is(err, signals.ErrCorrupt) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if _, err := kept.EachRecord(t.Context(), s.record.Kind, func(r signals.Record) error {
			if r.Value != nil {
				t.Errorf("%s: the walk shows %q", name, r.Value)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}

const (
	sealOfBefore       = "JJ1pFAbdQKXq5rP3J4zxKsA51It+IkuVhHlBH/VbO81tVTKpVoKL17F6yElN2uBMtwVXorMvzV16WVyxOQMEDA=="
	markedSealOfBefore = "B9b0xph0eSPd97v9EYTAEsJs1iO3p+CBQG8vSZctgAWfbR+EgYacCfCTZ0/4n0xs4sQ855L6k0AImF1sxHDRAQ=="
)
