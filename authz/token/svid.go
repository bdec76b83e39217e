package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/identity"
)

const spiffePrefix = "spiffe://"

// SVIDs says which JWT-SVIDs count (SPIFFE JWT-SVID specification).
type SVIDs struct {
	Audiences []string      // one of them must stand in aud
	Leeway    time.Duration // for exp, nbf and iat: 0 to 5 minutes
	// Domains are the trust domains whose workloads count, by name, each with its keys. Which domains there are does not
	// change; the keys of each may.
	Domains map[string]KeySource
}

// svids is a SVIDs that was checked.
type svids struct {
	audiences []string
	leeway    time.Duration
	rings     map[string]*keyring // by the name of the trust domain
}

// svidAlgorithms are those of the specification, section 2.1; EdDSA is not among them.
var svidAlgorithms = slices.DeleteFunc(slices.Clone(algorithms), func(a jose.SignatureAlgorithm) bool {
	return a == jose.EdDSA
})

// svidHeaders are all that the header of a JWT-SVID may have (section 2).
var svidHeaders = []string{"alg", "kid", "typ"}

// WithSVIDs takes JWT-SVIDs: tokens whose sub begins with spiffe:// and whose iss, if there is one, is of no issuer
// of the settings. Without it they are refused.
func WithSVIDs(s SVIDs) Option {
	return func(v *Verifier) error {
		switch {
		case len(s.Audiences) == 0 || slices.Contains(s.Audiences, ""):
			return errors.New("JWT-SVIDs have no audience, or an empty one; without one, tokens meant for any service " +
				"would pass")
		case s.Leeway < 0 || s.Leeway > maxLeeway:
			return fmt.Errorf("the leeway of JWT-SVIDs is %s; it lies between 0 and %s", s.Leeway, maxLeeway)
		case len(s.Domains) == 0:
			return errors.New("JWT-SVIDs are taken of no trust domain; name one that has its keys from the Workload API")
		}
		v.svids = &svids{audiences: slices.Clone(s.Audiences), leeway: s.Leeway, rings: map[string]*keyring{}}
		for _, domain := range slices.Sorted(maps.Keys(s.Domains)) {
			if id, err := identity.ParseSPIFFEID(spiffePrefix + domain); err != nil || id.Path() != "" {
				return fmt.Errorf("%q is no trust domain", domain)
			}
			if s.Domains[domain] == nil {
				return fmt.Errorf("trust domain %s has no keys", domain)
			}
			v.svids.rings[domain] = &keyring{of: "trust domain " + domain, source: s.Domains[domain], fits: fitsSVID}
		}
		return nil
	}
}

// verifySVID believes a JWT-SVID. The subject tells the trust domain, and it names nobody of another one: the keys are
// that domain's own.
func (v *Verifier) verifySVID(t *jws, at time.Time) (*belief, error) {
	if v.svids == nil {
		return nil, errors.New("the token is a JWT-SVID by its sub, and the settings take none (identity.jwtSVIDs)")
	}
	subject, _, err := textClaim(t.claims, "sub")
	if err != nil {
		return nil, err
	}
	id, err := identity.ParseSPIFFEID(subject)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the token's sub: %w", err)
	case id.Path() == "":
		return nil, fmt.Errorf("the token's sub %.200q names a trust domain and no workload", subject)
	}
	ring, known := v.svids.rings[id.TrustDomain()]
	if !known {
		return nil, fmt.Errorf("the token is of trust domain %.100q, whose JWT-SVIDs the settings do not take",
			id.TrustDomain())
	}
	algorithm, keyID, err := checkSVIDHeader(t.header)
	if err != nil {
		return nil, err
	}
	keys, err := ring.at(at)
	if err != nil {
		return nil, err
	}
	if err := ring.verify(keys, t, algorithm, keyID); err != nil {
		return nil, err
	}
	window, err := v.svids.checkClaims(t.claims, at)
	if err != nil {
		return nil, err
	}
	shown, err := shownSVID(t.claims, window)
	if err != nil {
		return nil, err
	}
	return &belief{proven: identity.Proven{Workload: id, Window: window, SVID: shown}, window: window, ring: ring, keys: keys}, nil
}

// checkSVIDHeader follows the specification, section 2. A token without kid, which it leaves optional, is tried with
// the keys that fit.
func checkSVIDHeader(header map[string]json.RawMessage) (jose.SignatureAlgorithm, *string, error) {
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if !slices.Contains(svidHeaders, name) {
			return "", nil, fmt.Errorf("the JWT-SVID's header has %.40q; it may have %s (SPIFFE JWT-SVID, section 2)", name,
				strings.Join(svidHeaders, ", "))
		}
	}
	algorithm, _, err := textClaim(header, "alg")
	if err != nil {
		return "", nil, err
	}
	if !slices.Contains(svidAlgorithms, jose.SignatureAlgorithm(algorithm)) {
		return "", nil, fmt.Errorf("the JWT-SVID is signed with %.20q; it may be %s", algorithm, join(svidAlgorithms))
	}
	typ, there, err := textClaim(header, "typ")
	if err != nil {
		return "", nil, err
	}
	if there && typ != "JWT" && typ != "JOSE" {
		return "", nil, fmt.Errorf("the JWT-SVID's typ is %.40q; it may be JWT or JOSE", typ)
	}
	keyID, err := keyIDOf(header)
	return jose.SignatureAlgorithm(algorithm), keyID, err
}

func (s *svids) checkClaims(claims map[string]json.RawMessage, at time.Time) (window identity.Validity, err error) {
	if err := checkSpelling("token's payload", claims, fixedClaims); err != nil {
		return window, err
	}
	if _, bound := claims["cnf"]; bound {
		return window, errors.New("the JWT-SVID is bound (cnf), which is not verified here")
	}
	if err := checkAudience(claims, s.audiences); err != nil {
		return window, err
	}
	window, _, err = checkTimes(claims, s.leeway, "", at)
	return window, err
}
