package stage

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
)

// writeSeal makes the key with which the receiver signs what it writes, as `openssl genpkey -algorithm ed25519` does, and its
// public half.
func (s *Stage) writeSeal() error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	publicDER, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return err
	}
	write := func(kind string, der []byte, elements ...string) error {
		return os.WriteFile(s.Path(elements...), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	}
	return errors.Join(write("PRIVATE KEY", privateDER, "secrets", "seal.key"), write("PUBLIC KEY", publicDER, "pki", "seal.pub"))
}
