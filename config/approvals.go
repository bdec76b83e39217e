package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Approvals is where the receiver's process lets people ask and approve over the network: exceptions, grace, clearances,
// findings. Everybody shows who they are by a client certificate, by a token, or by both if these name one person. TLS 1.3
// only. Without it people ask over the admin socket, and nobody can approve.
type Approvals struct {
	Listen string           `yaml:"listen"` // ip:port
	TLS    CertificateFiles `yaml:"tls"`    // what it shows; followed
	// ClientCAFile is who may sign the certificates of people (PEM); followed. Give people a CA of their own: whoever it signs
	// for can be an approver.
	ClientCAFile string `yaml:"clientCAFile,omitempty"`
	// Certificates says what names the person of a certificate: "email" (its one e-mail SAN; the default) or "spiffe" (its one
	// URI SAN, a SPIFFE ID; an e-mail SAN beside it says whom else the person may be known as). Others are refused.
	Certificates string `yaml:"certificates,omitempty"`
	// Issuers are names of identity.issuers whose tokens count here, if they are for one of Audiences. No audience of these
	// issuers may be among them: a token for an application approves nothing.
	Issuers   []string `yaml:"issuers,omitempty"`
	Audiences []string `yaml:"audiences,omitempty"`
	// MaxLogin is how old the login behind a token may be (auth_time, which must then be there and move with a login only:
	// authTime: login), 1m to 24h. Default: as old as the token lives.
	MaxLogin time.Duration `yaml:"maxLogin,omitempty"`
	// Rate is how many requests per second one address may send, 1 to 1000; three times as many may come at once. Default 10.
	Rate int `yaml:"rate,omitempty"`
}

// Takes tells whether tokens of an issuer count.
func (a *Approvals) Takes(issuer string) bool { return slices.Contains(a.Issuers, issuer) }

// What names the person of a certificate (Approvals.Certificates).
const (
	CertificatesByEmail  = "email"
	CertificatesBySPIFFE = "spiffe"
)

// DefaultApprovalsRate is the default of Approvals.Rate.
const DefaultApprovalsRate = 10

const (
	minMaxLogin      = time.Minute
	maxMaxLogin      = 24 * time.Hour
	maxApprovalsRate = 1000
)

func (c *check) approvals(s *Settings) {
	const at = "ingest.approvals."
	a := s.Ingest.Approvals
	if a == nil {
		return
	}
	c.file(at+"tls.certFile", &a.TLS.CertFile)
	c.file(at+"tls.keyFile", &a.TLS.KeyFile)
	c.file(at+"clientCAFile", &a.ClientCAFile)
	c.list(at+"issuers", a.Issuers)
	c.list(at+"audiences", a.Audiences)
	c.oneOf(at+"certificates", a.Certificates, CertificatesByEmail, CertificatesBySPIFFE)
	switch tokens := len(a.Issuers) > 0; {
	case a.ClientCAFile == "" && !tokens && !c.document.Has(at+"clientCAFile"):
		c.fault("ingest.approvals", "nobody could show who they are", "write clientCAFile, or issuers and audiences, or both")
	case tokens && len(a.Audiences) == 0:
		c.fault(at+"issuers", "issuers without audiences: tokens meant for any service would approve",
			"write audiences: [NAME], and have the issuer issue tokens for it to those who approve")
	case !tokens && len(a.Audiences) > 0:
		c.fault(at+"audiences", "audiences without issuers", "name the issuers whose tokens count here, or remove it")
	}
	if a.ClientCAFile == "" && c.document.Has(at+"certificates") && !c.document.Has(at+"clientCAFile") {
		c.fault(at+"certificates", "certificates without clientCAFile: nobody's certificate is taken", "write clientCAFile, or remove it")
	}
	if a.Rate < 1 || a.Rate > maxApprovalsRate {
		c.fault(at+"rate", fmt.Sprintf("rate is %d requests per second", a.Rate), "write a number from 1 to 1000")
	}
	c.approvalsLogin(a)
	for i, name := range a.Issuers {
		c.approvalsIssuer(fmt.Sprintf(at+"issuers[%d]", i), a, name, s.Identity.Issuers)
	}
}

func (c *check) approvalsLogin(a *Approvals) {
	const at = "ingest.approvals.maxLogin"
	switch {
	case !c.document.Has(at):
	case a.MaxLogin < minMaxLogin || a.MaxLogin > maxMaxLogin:
		c.fault(at, fmt.Sprintf("maxLogin is %s", a.MaxLogin), "write a duration from 1m to 24h")
	case len(a.Issuers) == 0:
		c.fault(at, "maxLogin without issuers: a certificate knows of no login", "name issuers, or remove it")
	}
}

// approvalsIssuer checks an issuer whose tokens count.
func (c *check) approvalsIssuer(path string, a *Approvals, name string, all []Issuer) {
	i := slices.IndexFunc(all, func(x Issuer) bool { return x.Name == name })
	if name == "" {
		return
	}
	if i < 0 {
		c.fault(path, fmt.Sprintf("there is no issuer %q", name), "name one of identity.issuers")
		return
	}
	issuer := &all[i]
	if issuer.VerifiedBy == VerifiedByEnvoy {
		c.fault(path, fmt.Sprintf("Envoy verifies the tokens of issuer %q, and no Envoy stands before this address", name),
			"name an issuer with verifiedBy: tiergate")
	}
	if shared := intersection(a.Audiences, issuer.Audiences); len(shared) > 0 {
		c.fault(path, fmt.Sprintf("tokens of issuer %q for applications have the audience %s too, and would approve", name,
			strings.Join(shared, ", ")), "choose an audience of its own for approvals")
	}
	if c.document.Has("ingest.approvals.maxLogin") && issuer.AuthTime != AuthTimeLogin {
		c.fault(path, fmt.Sprintf("maxLogin, and the auth_time of issuer %q may move without a login (authTime: %s)", name, issuer.AuthTime),
			"write authTime: login if that is so, name another issuer, or remove maxLogin")
	}
}

func intersection(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(x string) bool { return x == "" || !slices.Contains(b, x) })
}
