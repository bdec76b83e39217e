package stage

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// lifetime of certificates and tokens: long enough for an afternoon by hand.
const lifetime = 24 * time.Hour

// The names of examples/ingress.
const (
	TrustDomain       = "acme.example"
	EnvoyID           = "spiffe://acme.example/ns/edge/sa/envoy"
	PortalHost        = "app.acme.example"
	PayrollHost       = "payroll.acme.example"
	ContractorHost    = "contractor.acme.example"
	IssuerURL         = "https://login.acme.example"
	IssuerAudience    = "https://apps.acme.example"
	SourceName        = "acme-mdm"
	ListenerIngress   = "ingress"
	ListenerContracts = "contractors"
)

// Caller is one who calls through Envoy: the certificate that is shown and the token that is sent.
type Caller struct {
	Name        string
	Certificate string // a name in Cast.Pairs; empty: none
	Token       string // a name in Cast.Tokens; empty: none
}

var callers = []Caller{
	{Name: "ana", Certificate: "ana-laptop", Token: "ana"},
	// Ana after a login with a security key, just now and an hour ago.
	{Name: "ana-key", Certificate: "ana-laptop", Token: "ana-key"},
	{Name: "ana-key-old", Certificate: "ana-laptop", Token: "ana-key-old"},
	{Name: "ben", Certificate: "ben-laptop", Token: "ben"},
	{Name: "cleo", Certificate: "cleo-laptop", Token: "cleo"},
	{Name: "dora", Certificate: "dora-laptop", Token: "dora"},
	{Name: "eli", Certificate: "eli-laptop", Token: "eli"},
	// A contractor who is also in the employees' group and borrowed an employee's laptop.
	{Name: "cleo-borrowing", Certificate: "ana-laptop", Token: "cleo-staff"},
	{Name: "cho", Token: "cho"}, // who approves for team iam
	{Name: "deployer", Certificate: "deployer"},
	{Name: "reporter", Certificate: "reporter"},
}

// Device is a laptop as the MDM knows it.
type Device struct {
	Name        string `json:"name"`
	Serial      string `json:"serial"`
	Certificate string `json:"certificate,omitempty"` // SHA-256 of its certificate, hex; empty: the sender does not know it
	ID          string `json:"id,omitempty"`          // the sender's own name for it; empty: none
	User        string `json:"user,omitempty"`        // for whom it is enrolled, by the name in their token; empty: not said
	contractor  bool
}

var devices = []Device{
	{Name: "ana-laptop", Serial: "C02ANA0001", User: "ana@acme.example"},
	{Name: "ben-laptop", Serial: "C02BEN0002", User: "ben@acme.example"},
	{Name: "cleo-laptop", Serial: "PF3CLEO003", User: "cleo@partner.example", contractor: true},
	{Name: "dora-laptop", Serial: "C02DORA004", User: "dora@acme.example"},
	{Name: "eli-laptop", Serial: "C02ELI0005", User: "eli@acme.example"},
}

var workloads = map[string]string{
	"envoy":             EnvoyID,
	"portal":            "spiffe://acme.example/ns/apps/sa/portal",
	"payroll":           "spiffe://acme.example/ns/payroll/sa/api",
	"contractor-portal": "spiffe://acme.example/ns/contractors/sa/portal",
	"deployer":          "spiffe://acme.example/ns/ci/sa/deployer",
	"reporter":          "spiffe://acme.example/ns/batch/sa/reporter",
}

// strong is the acr of a login that resists phishing, as policies of the example name it.
const strong = "phr"

// people by their tokens. A token without acr says nothing of the login; else login is its age.
var people = map[string]struct {
	subject string
	groups  []string
	acr     string
	login   time.Duration
}{
	"ana":         {subject: "ana@acme.example", groups: []string{"staff"}},
	"ana-key":     {subject: "ana@acme.example", groups: []string{"staff"}, acr: strong, login: time.Second},
	"ana-key-old": {subject: "ana@acme.example", groups: []string{"staff"}, acr: strong, login: time.Hour},
	"ben":         {subject: "ben@acme.example", groups: []string{"staff"}},
	"cho":         {subject: "cho@acme.example", groups: []string{"staff"}},
	"cleo":        {subject: "cleo@partner.example", groups: []string{"contractors"}},
	"cleo-staff":  {subject: "cleo@partner.example", groups: []string{"contractors", "staff"}},
	"dora":        {subject: "dora@acme.example", groups: []string{"staff"}},
	"eli":         {subject: "eli@acme.example", groups: []string{"staff"}},
}

// Cast is who and what there is: authorities, certificates and keys, tokens.
type Cast struct {
	// One authority per purpose: SVIDs, laptops of employees, laptops of contractors, server certificates.
	Workloads, Devices, ContractorDevices, Servers *devca.CA
	Issuer                                         *devca.Issuer
	Pairs                                          map[string]*devca.Pair
	Tokens                                         map[string]string
}

func (c *Cast) make() error {
	for name, ca := range map[string]**devca.CA{
		"Acme workloads": &c.Workloads, "Acme devices": &c.Devices, "Acme contractor devices": &c.ContractorDevices,
		"Acme servers": &c.Servers,
	} {
		made, err := devca.New(name)
		if err != nil {
			return err
		}
		*ca = made
	}
	if err := c.makePairs(); err != nil {
		return err
	}
	issuer, err := devca.NewIssuer(IssuerURL, IssuerAudience)
	if err != nil {
		return err
	}
	c.Issuer, c.Tokens = issuer, map[string]string{}
	for name, person := range people {
		claims := map[string]any{}
		if person.acr != "" {
			claims["acr"], claims["auth_time"] = person.acr, time.Now().Add(-person.login).Unix()
		}
		if c.Tokens[name], err = issuer.Token(person.subject, person.groups, lifetime, claims); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cast) makePairs() (err error) {
	c.Pairs = map[string]*devca.Pair{}
	for name, id := range workloads {
		if c.Pairs[name], err = c.Workloads.SVID(id, lifetime); err != nil {
			return err
		}
	}
	for _, device := range devices {
		ca := c.Devices
		if device.contractor {
			ca = c.ContractorDevices
		}
		if c.Pairs[device.Name], err = ca.Device(device.Name, device.Serial, lifetime); err != nil {
			return err
		}
	}
	if c.Pairs["ingress"], err = c.Servers.Server(lifetime, PortalHost, PayrollHost); err != nil {
		return err
	}
	if c.Pairs["approvals"], err = c.Servers.Server(lifetime, "127.0.0.1"); err != nil {
		return err
	}
	// The contractors' listener also answers for the employees' host name, so that what it refuses is the request.
	c.Pairs["contractors"], err = c.Servers.Server(lifetime, ContractorHost, PortalHost)
	return err
}

// write puts everything where settings.yaml says that it is. The authorities' keys stay in memory.
func (c *Cast) write(dir string) error {
	pki := filepath.Join(dir, "pki")
	for name, pair := range c.Pairs {
		if err := pair.WriteFiles(filepath.Join(pki, name+".pem"), filepath.Join(pki, name+".key")); err != nil {
			return err
		}
	}
	for name, bundle := range map[string][]byte{
		"workloads-ca.pem":          c.Workloads.PEM(),
		"contractor-devices-ca.pem": c.ContractorDevices.PEM(),
		"all-devices-ca.pem":        devca.Bundle(c.Devices, c.ContractorDevices),
		"ingress-clients-ca.pem":    devca.Bundle(c.Devices, c.Workloads),
		"servers-ca.pem":            c.Servers.PEM(),
	} {
		if err := os.WriteFile(filepath.Join(pki, name), bundle, 0o644); err != nil {
			return err
		}
	}
	// The key that is shared with the login application.
	key := base64.StdEncoding.EncodeToString([]byte(rand.Text() + rand.Text())[:32])
	if err := os.WriteFile(filepath.Join(dir, "secrets", "return.key"), []byte(key+"\n"), 0o600); err != nil {
		return err
	}
	for name, token := range c.Tokens {
		if err := os.WriteFile(filepath.Join(dir, "tokens", name+".jwt"), []byte(token), 0o600); err != nil {
			return err
		}
	}
	return c.Issuer.WriteJWKS(filepath.Join(pki, "corp-jwks.json"))
}

// Device returns a laptop of the cast by name, with the fingerprint of the certificate that this stage issued for it.
func (c *Cast) Device(name string) (Device, error) {
	for _, device := range devices {
		if device.Name == name {
			device.Certificate = c.Pairs[name].Fingerprint()
			return device, nil
		}
	}
	return Device{}, fmt.Errorf("no laptop of the cast is called %q", name)
}
