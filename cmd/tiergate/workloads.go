package main

import (
	"crypto/tls"
	"errors"

	"github.com/tiergate/tiergate/authz/svid"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/config"
)

// followWorkloads makes what judges peers and, if the settings need one, the client of the Workload API that it
// follows; the client is returned to be run. An agent that is away does not keep the process from starting: what needs it is
// refused meanwhile, and readiness says so.
func followWorkloads(s *config.Settings, held *fileSet, o *observer) (*trust, []part, error) {
	if !needsWorkloadAPI(s) {
		t, err := newTrust(s, held, nil, trustEvents{})
		return t, nil, err
	}
	if s.Identity.WorkloadAPI == nil {
		return nil, nil, errors.New("identity.workloadAPI is missing, and the settings name what comes from there")
	}
	counts := newSVIDCounts(o)
	var t *trust
	source, err := svid.New(svid.Options{
		Socket: s.Identity.WorkloadAPI.Socket, JWT: s.Identity.JWTSVIDs != nil,
		Changed: func() { t.update() }, Events: o.svid(counts),
	})
	if err != nil {
		return nil, nil, err
	}
	if t, err = newTrust(s, held, source, o.trust(counts)); err != nil {
		return nil, nil, err
	}
	counts.missing.Set(float64(len(t.live)))
	return t, []part{{"workload API", source.Run}}, nil
}

// needsWorkloadAPI reports whether this process itself needs the Workload API. Where only Envoy's own certificates come
// from there, it does not.
func needsWorkloadAPI(s *config.Settings) bool {
	return len(liveDomains(s)) > 0 || s.Authz.Listen != nil || s.Identity.JWTSVIDs != nil
}

// followsClients reports whether some listener admits clients by bundles that rotate.
func followsClients(s *config.Settings) bool {
	for _, l := range s.Envoy.Listeners {
		if len(l.ClientTrustDomains) > 0 {
			return true
		}
	}
	return false
}

// svids are the JWT-SVIDs that count: of the trust domains that the settings name, with the keys that the Workload API
// delivers of each. nil: none count.
func (t *trust) svids(s *config.Settings) *token.SVIDs {
	j := s.Identity.JWTSVIDs
	if j == nil {
		return nil
	}
	counted := &token.SVIDs{Audiences: j.Audiences, Leeway: j.Leeway, Domains: map[string]token.KeySource{}}
	for _, d := range s.Identity.TrustDomains {
		counted.Domains[d.Name] = t.source.Keys(d.Name)
	}
	return counted
}

// own is this process's own SVID.
func (t *trust) own() (*tls.Certificate, error) { return t.source.Certificate() }
