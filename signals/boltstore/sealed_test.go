package boltstore

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/storetest"
)

// TestSealedStore: signed or not, a store is a store.
func TestSealedStore(t *testing.T) {
	t.Parallel()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := signals.NewSealer(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	storetest.Run(t, func(t *testing.T) signals.Store { return signals.Sealed(fresh(t), sealer, sealer.Checker()) },
		storetest.Hooks{Seals: true})
}
