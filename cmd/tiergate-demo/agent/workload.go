package agent

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// workloadAPI is the SPIFFE Workload API, section 5 (X.509-SVID profile) and section 6 (JWT-SVID profile). The experimental
// profiles answer Unimplemented.
type workloadAPI struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	agent *Agent
}

// FetchX509SVID streams the caller's X.509-SVIDs with the bundles of their and of all federated trust domains.
func (w *workloadAPI) FetchX509SVID(_ *workload.X509SVIDRequest, stream workload.SpiffeWorkloadAPI_FetchX509SVIDServer) error {
	return follow(stream.Context(), w.agent, x509Response, stream.Send)
}

func x509Response(v view) (*workload.X509SVIDResponse, error) {
	response := &workload.X509SVIDResponse{FederatedBundles: map[string][]byte{}}
	own := map[spiffeid.TrustDomain]bool{}
	for _, svid := range v.svids {
		key, err := x509.MarshalPKCS8PrivateKey(svid.pair.Key)
		if err != nil {
			return nil, err
		}
		domain := svid.id.TrustDomain()
		own[domain] = true
		response.Svids = append(response.Svids, &workload.X509SVID{SpiffeId: svid.id.String(),
			X509Svid: svid.pair.Certificate.Raw, X509SvidKey: key, Bundle: der(v.authorities(domain))})
	}
	for _, domain := range v.domainNames() {
		if !own[domain] {
			response.FederatedBundles[domain.IDString()] = der(v.authorities(domain))
		}
	}
	return response, nil
}

// FetchX509Bundles streams the CA certificates of all trust domains, the caller's own included.
func (w *workloadAPI) FetchX509Bundles(_ *workload.X509BundlesRequest, stream workload.SpiffeWorkloadAPI_FetchX509BundlesServer) error {
	build := func(v view) (*workload.X509BundlesResponse, error) {
		response := &workload.X509BundlesResponse{Bundles: map[string][]byte{}}
		for _, domain := range v.domainNames() {
			response.Bundles[domain.IDString()] = der(v.authorities(domain))
		}
		return response, nil
	}
	return follow(stream.Context(), w.agent, build, stream.Send)
}

// FetchJWTBundles streams the keys that sign the JWT-SVIDs of all trust domains, as JWK sets.
func (w *workloadAPI) FetchJWTBundles(_ *workload.JWTBundlesRequest, stream workload.SpiffeWorkloadAPI_FetchJWTBundlesServer) error {
	build := func(v view) (*workload.JWTBundlesResponse, error) {
		response := &workload.JWTBundlesResponse{Bundles: map[string][]byte{}}
		for _, domain := range v.domainNames() {
			set, err := json.Marshal(jose.JSONWebKeySet{Keys: v.tokenKeys(domain)})
			if err != nil {
				return nil, err
			}
			response.Bundles[domain.IDString()] = set
		}
		return response, nil
	}
	return follow(stream.Context(), w.agent, build, stream.Send)
}

func (v view) tokenKeys(domain spiffeid.TrustDomain) []jose.JSONWebKey {
	var keys []jose.JSONWebKey
	for _, a := range v.anchors[domain] {
		keys = append(keys, a.jwt.Key())
	}
	return keys
}

// der is a bundle as the Workload API writes it: certificates one after the other, without anything between.
func der(certificates []*x509.Certificate) []byte {
	return bytes.Join(slices.Collect(func(yield func([]byte) bool) {
		for _, c := range certificates {
			if !yield(c.Raw) {
				return
			}
		}
	}), nil)
}

// signToken makes a JWT-SVID with the keys that sign now.
func (s *state) signToken(id spiffeid.ID, audience []string, ttl time.Duration) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	signer := s.domains[id.TrustDomain()].signer // id is of a view, so its domain is known
	token, err := signer.jwt.Sign(id, audience, ttl)
	if err == nil {
		signer.vouchesUntil(time.Now().Add(ttl))
	}
	return token, err
}
