package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"time"

	"github.com/tiergate/tiergate/config/strictyaml"
)

// Assertion has every allowed request carry who calls, signed, in the header x-tiergate-assertion: a JWT for the upstream's
// name, which package authz/assertion/verify verifies. Without it none is made.
type Assertion struct {
	// Issuer is the iss of the assertions: what upstreams know this gateway by, for instance its URL. 1 to 200 bytes of
	// printable ASCII without blanks. Sidecars that share KeyFiles have one issuer.
	Issuer string `yaml:"issuer"`
	// Lifetime is how long an assertion counts, less where what it stands on ends before: 10s to 5m, default 1m. One is sent
	// with all requests of a caller to a route until half of it is over.
	Lifetime time.Duration `yaml:"lifetime,omitempty"`
	// RotateEvery is how long a key signs, 10m to 720h, default 24h. Keys are made at start and kept in memory only; the next
	// one is published for all that time before it signs.
	RotateEvery time.Duration `yaml:"rotateEvery,omitempty"`
	// KeyFiles are private keys (P-256, PEM, mode 0600) instead, which several sidecars can share: the first signs, all are
	// published. They are followed; a key that was not published at the start signs 5 minutes after it came. `openssl genpkey
	// -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out KEY` makes one.
	KeyFiles []string `yaml:"keyFiles,omitempty"`
	// Listen (ip:port) publishes the keys where upstreams reach them, at /.well-known/jwks.json, besides metrics.listen. Off
	// this machine it wants TLS: whoever could change keys on their way could be anybody.
	Listen string `yaml:"listen,omitempty"`
	// TLS is what Listen shows.
	TLS *CertificateFiles `yaml:"tls,omitempty"`
}

// CertificateFiles are a certificate chain and its key, PEM files that are followed.
type CertificateFiles struct {
	CertFile string `yaml:"certFile"`
	KeyFile  string `yaml:"keyFile"`
}

// The bounds of Assertion, as package authz/assertion has them.
const (
	DefaultAssertionLifetime = time.Minute
	minAssertionLifetime     = 10 * time.Second
	maxAssertionLifetime     = 5 * time.Minute
	DefaultRotateEvery       = 24 * time.Hour
	minRotateEvery           = 10 * time.Minute
	maxRotateEvery           = 720 * time.Hour
)

func (a *Assertion) setDefaults(written *strictyaml.Document) {
	if a == nil {
		return
	}
	if !written.Has("assertion.lifetime") {
		a.Lifetime = DefaultAssertionLifetime
	}
	if !written.Has("assertion.rotateEvery") {
		a.RotateEvery = DefaultRotateEvery
	}
}

var assertionIssuer = regexp.MustCompile(`^[!-~]{1,200}$`)

func (c *check) assertion(a *Assertion) {
	if a == nil {
		return
	}
	const at = "assertion."
	if c.document.Has(at+"issuer") && !assertionIssuer.MatchString(a.Issuer) {
		c.fault(at+"issuer", fmt.Sprintf("%.60q is no name that upstreams could compare", a.Issuer),
			"write 1 to 200 characters of printable ASCII without blanks, such as https://gateway.acme.example")
	}
	if a.Lifetime < minAssertionLifetime || a.Lifetime > maxAssertionLifetime {
		c.fault(at+"lifetime", fmt.Sprintf("lifetime is %s", a.Lifetime), "write a duration from 10s to 5m")
	}
	if a.RotateEvery < minRotateEvery || a.RotateEvery > maxRotateEvery {
		c.fault(at+"rotateEvery", fmt.Sprintf("rotateEvery is %s", a.RotateEvery), "write a duration from 10m to 720h")
	}
	if c.document.Has(at + "keyFiles") {
		c.list(at+"keyFiles", a.KeyFiles)
		if len(a.KeyFiles) == 0 {
			c.fault(at+"keyFiles", "keyFiles is empty", "name a key file, or remove it: keys are then made at start")
		}
		if c.document.Has(at + "rotateEvery") {
			c.fault(at+"rotateEvery", "rotateEvery beside keyFiles, whose keys change when their files do", "remove one of the two")
		}
	}
	for i := range a.KeyFiles {
		c.file(fmt.Sprintf(at+"keyFiles[%d]", i), &a.KeyFiles[i])
	}
	c.assertionListen(a)
}

// assertionListen wants TLS wherever somebody could stand between. That the address is one is said with the others.
func (c *check) assertionListen(a *Assertion) {
	const at = "assertion."
	address, err := netip.ParseAddrPort(a.Listen)
	switch {
	case a.TLS != nil && !c.document.Has(at+"listen"):
		c.fault(at+"tls", "tls without listen", "write listen: IP:PORT, or remove it")
	case a.TLS == nil && !c.document.Has(at+"tls") && err == nil && !address.Addr().IsLoopback():
		c.fault(at+"listen", fmt.Sprintf("%s is reached from other machines, and there is no tls: whoever is on the way could put in "+
			"keys of his own", a.Listen), "write tls: {certFile: FILE, keyFile: FILE}, or a loopback address")
	}
	if a.TLS != nil {
		c.file(at+"tls.certFile", &a.TLS.CertFile)
		c.file(at+"tls.keyFile", &a.TLS.KeyFile)
	}
}
