package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/jwks"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source/intune"
)

// graphSource is an Intune source whose validation tokens are judged, with the keys of Microsoft's login.
type graphSource struct {
	*intune.Adapter

	proof *graphProof
}

// graphProof judges validation tokens (learn.microsoft.com/graph/change-notifications-with-resource-data, "Validation tokens in
// the change notification") as tokens of a login are judged. The claim that names the user of those names the publisher here.
type graphProof struct {
	options  jwks.Options
	remote   *jwks.Remote // nil until somebody fetches
	verifier *token.Verifier
	asked    atomic.Uint64 // how often a key was missing
}

func newGraphProof(i *config.Intune) (*graphProof, error) {
	v := i.Validation
	authority := strings.TrimRight(v.Authority, "/")
	if authority == "" {
		authority = config.DefaultAuthority
	}
	tenant := strings.ToLower(i.Tenant)
	p := &graphProof{options: jwks.Options{URL: authority + "/" + tenant + "/discovery/v2.0/keys", Stale: config.DefaultJWKSStale}}
	if v.CAFile != "" {
		pem, err := os.ReadFile(v.CAFile)
		if err != nil {
			return nil, fmt.Errorf("intune.validation.caFile: %w", err)
		}
		p.options.Roots = x509.NewCertPool()
		if !p.options.Roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("intune.validation.caFile: %s holds no PEM certificate", v.CAFile)
		}
	}
	apps := make([]string, 0, len(v.AppIDs))
	for _, id := range v.AppIDs {
		apps = append(apps, strings.ToLower(id))
	}
	issuer := token.Issuer{Name: "graph-v2", Issuer: authority + "/" + tenant + "/v2.0", Audiences: apps, Algorithms: []string{"RS256"},
		Source: p, UserClaim: "azp"}
	issuers := []token.Issuer{issuer}
	if authority == config.DefaultAuthority { // what version 1.0 has for an issuer in a national cloud is not documented there
		issuer.Name, issuer.Issuer, issuer.UserClaim = "graph-v1", "https://sts.windows.net/"+tenant+"/", "appid"
		issuers = append(issuers, issuer)
	}
	var err error
	if p.verifier, err = token.New(issuers); err != nil {
		return nil, fmt.Errorf("intune.validation: %w", err)
	}
	return p, nil
}

// Keys implements token.KeySource.
func (p *graphProof) Keys(at time.Time) (*jose.JSONWebKeySet, error) {
	if p.remote == nil {
		return nil, errors.New("nobody fetches them")
	}
	return p.remote.Keys(at)
}

// Ask implements token.KeySource.
func (p *graphProof) Ask() {
	p.asked.Add(1)
	if p.remote != nil {
		p.remote.Ask()
	}
}

// judge is intune.Options.Token.
func (p *graphProof) judge(raw string, at time.Time) error {
	if _, err := p.Keys(at); err != nil {
		p.Ask()
		return fmt.Errorf("%w: %w", intune.ErrNotNow, err)
	}
	asked := p.asked.Load()
	proof, err := p.verifier.Judge(&token.Credential{Token: raw}, at)
	switch {
	case err != nil && p.asked.Load() != asked: // a key that Microsoft may have published since: Graph comes again
		return fmt.Errorf("%w: %w", intune.ErrNotNow, err)
	case err != nil:
		return err
	case proof.User == nil || !strings.EqualFold(proof.User.Name, intune.Publisher):
		return fmt.Errorf("it was given to another application than Microsoft Graph's change tracking (%s)", intune.Publisher)
	}
	return nil
}

// fetch makes what fetches the keys; it is called before any delivery is taken.
func (p *graphProof) fetch(events jwks.Events) (run func(context.Context) error, err error) {
	p.options.Events = events
	if p.remote, err = jwks.New(p.options); err != nil {
		return nil, err
	}
	return p.remote.Run, nil
}

// graphKeys are the parts that fetch the keys of validation tokens.
func graphKeys(sources []ingest.Source, o *observer) ([]part, error) {
	var parts []part
	for i := range sources {
		g, ok := sources[i].Adapter.(*graphSource)
		if !ok {
			continue
		}
		run, err := g.proof.fetch(o.keys(sources[i].Name, newKeyCounts(o)))
		if err != nil {
			return nil, fmt.Errorf("source %s: intune.validation: %w", sources[i].Name, err)
		}
		parts = append(parts, part{"keys of source " + sources[i].Name, run})
	}
	return parts, nil
}
