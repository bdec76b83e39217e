package main

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/config"
)

// caller tells who sent a request: whom its certificate names, or its token, or, if both name one person, that person as
// the token does.
func (p *people) caller(req *http.Request) (approvals.Caller, error) {
	var shown, said *approvals.Caller
	if req.TLS != nil && len(req.TLS.VerifiedChains) > 0 {
		person, err := p.certified(req.TLS.VerifiedChains[0][0])
		if err != nil {
			return approvals.Caller{}, err
		}
		shown = &approvals.Caller{Person: person}
	}
	if len(req.Header["Authorization"]) > 0 {
		who, err := p.vouched(req)
		if err != nil {
			return approvals.Caller{}, err
		}
		said = &who
	}
	switch {
	case shown == nil && said == nil:
		return approvals.Caller{}, errors.New("nobody says who asks: show " + p.ways())
	case said == nil:
		return *shown, nil
	case shown == nil:
		return *said, nil
	}
	if !approvals.MayBeSame(shown.Person, said.Person) {
		return approvals.Caller{}, fmt.Errorf("the certificate is of %s and the token of %s: show one of them, or two of one person",
			shown.Person, said.Person)
	}
	if said.Email == "" { // by any of their names it must be seen that they approve what they asked for
		said.Email = mailOf(shown.Person)
	}
	return *said, nil
}

// mailOf is the e-mail address of a certificate's person; empty: it has none.
func mailOf(p approvals.Person) string {
	if p.Email == "" && strings.Contains(p.Name, "@") {
		return p.Name
	}
	return p.Email
}

// ways says how a person can be known here.
func (p *people) ways() string {
	var ways []string
	if p.roots.Load() != nil {
		ways = append(ways, "a client certificate (--cert, --key)")
	}
	if p.tokens != nil {
		ways = append(ways, "an access token for "+strings.Join(p.settings.Audiences, " or ")+" (--token-file)")
	}
	return strings.Join(ways, " or ")
}

// certified is whom a certificate names. One with several names of a kind is nobody's: two readers could take two people.
func (p *people) certified(c *x509.Certificate) (approvals.Person, error) {
	if p.settings.Certificates == config.CertificatesBySPIFFE {
		if len(c.URIs) != 1 || len(c.EmailAddresses) > 1 {
			return approvals.Person{}, fmt.Errorf("the certificate has %d URI and %d e-mail names; it takes one SPIFFE ID, and at most one "+
				"e-mail address", len(c.URIs), len(c.EmailAddresses))
		}
		id, err := identity.ParseSPIFFEID(c.URIs[0].String())
		if err != nil {
			return approvals.Person{}, fmt.Errorf("the certificate names nobody: %w", err)
		}
		person := approvals.Person{Way: approvals.WayMTLS, Name: id.String()}
		if len(c.EmailAddresses) == 1 {
			person.Email = c.EmailAddresses[0]
			return person, checkAddress(person.Email)
		}
		return person, nil
	}
	if len(c.EmailAddresses) != 1 || len(c.URIs) > 0 {
		return approvals.Person{}, fmt.Errorf("the certificate has %d URI and %d e-mail names; it takes one e-mail address and no URI "+
			"(ingest.approvals.certificates)", len(c.URIs), len(c.EmailAddresses))
	}
	return approvals.Person{Way: approvals.WayMTLS, Name: c.EmailAddresses[0]}, checkAddress(c.EmailAddresses[0])
}

// checkAddress wants one address alone, as approvers are written: a certificate of a foreign CA may say anything.
func checkAddress(address string) error {
	local, domain, ok := strings.Cut(address, "@")
	odd := strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>,;"()`, r) })
	if !ok || local == "" || domain == "" || odd || strings.Contains(domain, "@") || len(address) > 254 {
		return fmt.Errorf("the certificate's e-mail name %.100q is no address", address)
	}
	return nil
}

// vouched is whom a token names.
func (p *people) vouched(req *http.Request) (approvals.Caller, error) {
	if p.tokens == nil {
		return approvals.Caller{}, errors.New("no token counts here: ingest.approvals names no issuers")
	}
	scheme, raw, ok, err := token.FromHeader(req.Header["Authorization"])
	switch {
	case err != nil:
		return approvals.Caller{}, err
	case !ok:
		return approvals.Caller{}, errors.New("the Authorization header holds no access token: send Bearer or DPoP")
	}
	c := token.Credential{Scheme: scheme, Token: raw, Proofs: req.Header["Dpop"],
		Target: token.Target{Method: req.Method, Scheme: "https", Host: req.Host, Path: req.URL.EscapedPath()}}
	if req.TLS != nil && len(req.TLS.VerifiedChains) > 0 {
		c.Certificate = identity.Thumbprint(sha256.Sum256(req.TLS.VerifiedChains[0][0].Raw))
	}
	at := p.now()
	proof, err := p.tokens.Judge(&c, at)
	if err != nil {
		return approvals.Caller{}, fmt.Errorf("the token is not believed: %w", err)
	}
	user := proof.User
	if user == nil {
		return approvals.Caller{}, errors.New("the token names no user")
	}
	if err := p.fresh(user, at); err != nil {
		return approvals.Caller{}, err
	}
	if proof.Once.Key != "" {
		if err := p.replays.Once(proof.Once); errors.Is(err, authz.ErrReplayed) {
			return approvals.Caller{}, errors.New("the DPoP proof was used before; make a new one for each request")
		} else if err != nil {
			return approvals.Caller{}, fmt.Errorf("whether the DPoP proof was used before cannot be found out: %w", err)
		}
	}
	return approvals.Caller{Person: approvals.Person{Way: approvals.WayOIDC, Issuer: user.Issuer, Name: user.Name, Email: user.Email},
		Groups: user.Groups}, nil
}

// fresh wants a login that is not too old.
func (p *people) fresh(user *identity.User, at time.Time) error {
	most := p.settings.MaxLogin
	switch {
	case most == 0:
		return nil
	case user.AuthTime.IsZero():
		return fmt.Errorf("the token does not say when its user logged in, and at most %s ago counts", most)
	case at.Sub(user.AuthTime) > most:
		return fmt.Errorf("the login behind the token is of %s; at most %s ago counts: log in again",
			user.AuthTime.UTC().Format(time.RFC3339), most)
	}
	return nil
}
