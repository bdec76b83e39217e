package world

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

const (
	// Host is what the asked request is for; ServerName is in Envoy's certificate.
	Host = "app.acme.example"

	issuerURL  = "https://login.acme.example"
	audience   = "https://apps.acme.example"
	source     = "acme-mdm"
	lifetime   = 24 * time.Hour
	tokenBytes = 800
)

// World is who and what all sites of one run share. Files lie below Dir.
type World struct {
	Dir string

	// Token is the bearer token of the person who asks, 800 bytes, ES256.
	Token string
	// Laptop is the certificate that the person's laptop shows.
	Laptop *devca.Pair
}

// New makes the world in a directory that exists, whose name is short: sockets lie below it.
func New(dir string) (*World, error) {
	w := &World{Dir: dir}
	if err := os.MkdirAll(w.path("pki"), 0o700); err != nil {
		return nil, err
	}
	if err := w.certificates(); err != nil {
		return nil, err
	}
	issuer, err := devca.NewIssuer(issuerURL, audience)
	if err != nil {
		return nil, err
	}
	if err := issuer.WriteJWKS(w.path("pki", "jwks.json")); err != nil {
		return nil, err
	}
	w.Token, err = tokenOf(issuer)
	return w, err
}

func (w *World) path(elements ...string) string {
	return filepath.Join(append([]string{w.Dir}, elements...)...)
}

// Pair returns the certificate and key files of "laptop" or "envoy".
func (w *World) Pair(name string) (certFile, keyFile string) {
	return w.path("pki", name+".pem"), w.path("pki", name+".key")
}

// CA returns the file of the CA certificate of "devices" or "servers".
func (w *World) CA(name string) string { return w.path("pki", name+"-ca.pem") }

func (w *World) certificates() error {
	devices, err := devca.New("Acme devices")
	if err != nil {
		return err
	}
	servers, err := devca.New("Acme servers")
	if err != nil {
		return err
	}
	if w.Laptop, err = devices.Device("ana-laptop", "C02ANA0001", lifetime); err != nil {
		return err
	}
	envoy, err := servers.Server(lifetime, Host)
	if err != nil {
		return err
	}
	for name, pair := range map[string]*devca.Pair{"laptop": w.Laptop, "envoy": envoy} {
		if err := pair.WriteFiles(w.Pair(name)); err != nil {
			return err
		}
	}
	for name, ca := range map[string]*devca.CA{"devices": devices, "servers": servers} {
		if err := os.WriteFile(w.CA(name), ca.PEM(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// asker is the name of the person who asks.
const asker = "ana@acme.example"

// tokenOf signs a token of tokenBytes: what real ones carry beside the claims that count is padding here. Three bytes
// of JSON are four of base64url, so that one more character in the padding is one or two more in the token.
func tokenOf(issuer *devca.Issuer) (string, error) {
	for padding := tokenBytes / 2; padding > 0; padding-- {
		token, err := issuer.Token(asker, []string{"staff", "engineering"}, lifetime, map[string]any{
			"auth_time": time.Now().Add(-time.Minute).Unix(), "acr": "phr", "scope": strings.Repeat("x", padding),
		})
		if err != nil || len(token) == tokenBytes {
			return token, err
		}
		if over := len(token) - tokenBytes; over > 8 {
			padding -= over / 2
		} else if over < 0 {
			return token, nil // base64url leaves out one length of four
		}
	}
	return "", fmt.Errorf("the claims alone do not fit into a token of %d bytes", tokenBytes)
}
