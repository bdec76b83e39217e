package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/tiergate/tiergate/authz/jwks"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/xds"
)

// newVerifier reads the key sets of the token issuers; those that are fetched are returned to be run. svids says which
// JWT-SVIDs count; nil: none.
func newVerifier(s *config.Settings, held *fileSet, o *observer, svids *token.SVIDs) (*token.Verifier, []part, error) {
	issuers := make([]token.Issuer, 0, len(s.Identity.Issuers))
	var fetched []part
	for i, x := range s.Identity.Issuers {
		issuer := tokenIssuer(x)
		if !issuer.Vouched {
			source, run, err := issuerKeys(x, keySetFile(i), held, o)
			if err != nil {
				return nil, nil, fmt.Errorf("identity.issuers[%d].%w", i, err)
			}
			issuer.Source = source
			if run != nil {
				fetched = append(fetched, part{"keys of issuer " + x.Name, run})
			}
		}
		issuers = append(issuers, issuer)
	}
	options := []token.Option{token.WithDPoP(s.Identity.DPoPWindow)}
	if svids != nil {
		options = append(options, token.WithSVIDs(*svids))
	}
	verifier, err := token.New(issuers, options...)
	return verifier, fetched, err
}

// tokenIssuer is what the settings say of an issuer, but for its keys.
func tokenIssuer(x config.Issuer) token.Issuer {
	issuer := token.Issuer{
		Name: x.Name, Issuer: x.Issuer, Audiences: x.Audiences, Algorithms: x.Algorithms, Type: x.Type,
		Leeway: x.Leeway, SenderConstrained: x.SenderConstrained == config.ConstrainedRequired,
		UserClaim: x.Claims.User, GroupsClaim: x.Claims.Groups, ACRClaim: x.Claims.ACR, AMRClaim: x.Claims.AMR,
		AuthTimeClaim: x.Claims.AuthTime, SessionClaim: x.Claims.Session, AuthTime: token.AuthTime(x.AuthTime),
		EmailClaim: x.Claims.Email,
	}
	if d := x.Device; d != nil {
		issuer.DeviceClaim, issuer.DeviceNames, issuer.DeviceBearer = d.Claim, signals.AliasKind(d.Names), d.Bearer
	}
	if x.VerifiedBy == config.VerifiedByEnvoy {
		issuer.Vouched, issuer.VouchedKey = true, xds.VouchedKey(x.Name)
	}
	return issuer
}

// envoyIssuers are the issuers whose tokens Envoy verifies, with the keys that it is given. What cannot be a key set is
// said here and not by Envoy.
func envoyIssuers(s *config.Settings, held *fileSet) ([]xds.TokenIssuer, error) {
	var issuers []xds.TokenIssuer
	for i, x := range s.Identity.Issuers {
		if x.VerifiedBy != config.VerifiedByEnvoy {
			continue
		}
		raw, err := held.content(keySetFile(i), x.JWKSFile)
		if err != nil {
			return nil, err
		}
		if _, err := jwks.Parse(raw); err != nil {
			return nil, fmt.Errorf("identity.issuers[%d].jwksFile: %s: %w", i, x.JWKSFile, err)
		}
		issuers = append(issuers, xds.TokenIssuer{Name: x.Name, Issuer: x.Issuer, Audiences: x.Audiences, JWKS: raw,
			Leeway: x.Leeway})
	}
	return issuers, nil
}

// issuerKeys are the keys of an issuer as they stand in its file, which is followed, or are fetched; what fetches them is
// returned to be run. Who asks a second time gets the same: an issuer is asked no more often because several doors of this
// process believe it. The error begins with the field.
func issuerKeys(x config.Issuer, setting string, held *fileSet, o *observer) (token.KeySource,
	func(context.Context) error, error) {
	if x.JWKSURL == "" {
		keys, err := newFileKeys(x, setting, held)
		return keys, nil, err
	}
	if keys, ok := held.fetched[x.Name]; ok {
		return keys, nil, nil
	}
	options := jwks.Options{URL: x.JWKSURL, Stale: x.JWKSStale, Events: o.keys(x.Name, newKeyCounts(o))}
	if x.JWKSCAFile != "" {
		pem, err := os.ReadFile(x.JWKSCAFile)
		if err != nil {
			return nil, nil, fmt.Errorf("jwksCAFile: %w", err)
		}
		options.Roots = x509.NewCertPool()
		if !options.Roots.AppendCertsFromPEM(pem) {
			return nil, nil, fmt.Errorf("jwksCAFile: %s holds no PEM certificate", x.JWKSCAFile)
		}
	}
	keys, err := jwks.New(options)
	if err != nil {
		return nil, nil, fmt.Errorf("jwksURL: %w", err)
	}
	if held.fetched == nil {
		held.fetched = map[string]token.KeySource{}
	}
	held.fetched[x.Name] = keys
	return keys, keys.Run, nil
}
