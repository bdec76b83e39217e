package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/identity"
)

// The limits of an issuer's settings.
const (
	maxLeeway = 5 * time.Minute
	maxName   = 64
)

// algorithms are those that a token may be signed with: asymmetric all, since whoever verifies an HMAC can forge it.
var algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.RS256, jose.RS384, jose.RS512,
	jose.PS256, jose.PS384, jose.PS512, jose.EdDSA}

// Issuer is whom we believe, about whom, and under which conditions.
type Issuer struct {
	Name       string   // how policies name it: letters, digits, '.', '-', '_'
	Issuer     string   // the iss claim, byte for byte
	Audiences  []string // one of them must stand in aud
	Algorithms []string // the alg values that are accepted, of RFC 7518 and RFC 8037; no default
	Keys       jose.JSONWebKeySet
	Type       string // the typ that tokens must have, for instance at+jwt (RFC 9068); "": none, JWT or at+jwt
	// Leeway is granted to exp, nbf, iat and auth_time for clocks that differ: 0 to 5 minutes.
	Leeway      time.Duration
	UserClaim   string // what names the user; "": sub
	GroupsClaim string // "": groups
}

// issuer is an Issuer that was checked.
type issuer struct {
	Issuer
	algorithms []jose.SignatureAlgorithm
}

// Verifier verifies tokens of the issuers that it was made with. But for a bounded memory of what it believed it is
// immutable, and it is safe for concurrent use.
type Verifier struct {
	byURL map[string]*issuer
	// believed are tokens whose every check passed, byte for byte: comparing them costs a tenth of a digest and cannot
	// collide, and a token has one spelling only. A user's window is judged on every call.
	believed *identity.Memory[string, *identity.User]
}

// The tokens that need not be verified again: at most so many, of at most so many bytes.
const (
	maxBelieved      = 8192
	maxBelievedBytes = 4 << 10
)

// New checks the issuers. It refuses what could never verify a token, and what could verify one that the issuer did not
// sign: no or unknown algorithms, none and HMAC among them, symmetric, private or weak keys, an algorithm that no key
// fits, two issuers of one name or URL. No issuers: every token is refused.
func New(issuers []Issuer) (*Verifier, error) {
	v := &Verifier{byURL: make(map[string]*issuer, len(issuers)),
		believed: identity.NewMemory[string, *identity.User](maxBelieved, strings.Clone)}
	names := map[string]bool{}
	for _, settings := range issuers {
		checked, err := checkIssuer(settings)
		if err != nil {
			return nil, fmt.Errorf("issuer %q: %w", settings.Name, err)
		}
		if names[checked.Name] {
			return nil, fmt.Errorf("there are two issuers named %q; users and groups are told apart by that name", checked.Name)
		}
		if other, taken := v.byURL[checked.Issuer.Issuer]; taken {
			return nil, fmt.Errorf("issuers %q and %q have one URL, %s; a token could be either's", other.Name, checked.Name,
				checked.Issuer.Issuer)
		}
		names[checked.Name] = true
		v.byURL[checked.Issuer.Issuer] = checked
	}
	return v, nil
}

func checkIssuer(settings Issuer) (*issuer, error) {
	checked := &issuer{Issuer: settings}
	checked.Audiences = slices.Clone(settings.Audiences)
	checked.Keys = jose.JSONWebKeySet{Keys: slices.Clone(settings.Keys.Keys)}
	if checked.UserClaim == "" {
		checked.UserClaim = "sub"
	}
	if checked.GroupsClaim == "" {
		checked.GroupsClaim = "groups"
	}
	switch {
	case !isIssuerName(settings.Name):
		return nil, errors.New("its name is 1 to 64 letters, digits, '.', '-' or '_'")
	case settings.Issuer == "":
		return nil, errors.New("its URL, the iss claim of its tokens, is empty")
	case len(settings.Audiences) == 0 || slices.Contains(settings.Audiences, ""):
		return nil, errors.New("it has no audience, or an empty one; without one, tokens meant for any service would pass")
	case settings.Leeway < 0 || settings.Leeway > maxLeeway:
		return nil, fmt.Errorf("its leeway is %s; it lies between 0 and %s", settings.Leeway, maxLeeway)
	}
	for i, key := range settings.Keys.Keys {
		if err := checkKey(key); err != nil {
			return nil, fmt.Errorf("key %d of its key set: %w", i+1, err)
		}
	}
	return checked, checked.allow(settings.Algorithms)
}

// allow takes the algorithms over if each is one that we accept and has a key.
func (i *issuer) allow(names []string) error {
	if len(names) == 0 {
		return fmt.Errorf("it lists no algorithm; write the ones it signs with, of %s", join(algorithms))
	}
	for _, name := range names {
		algorithm := jose.SignatureAlgorithm(name)
		if !slices.Contains(algorithms, algorithm) {
			return fmt.Errorf("algorithm %q is not accepted; write one of %s", name, join(algorithms))
		}
		if !slices.ContainsFunc(i.Keys.Keys, func(key jose.JSONWebKey) bool { return fits(key, algorithm) }) {
			return fmt.Errorf("its key set has no key for %s; remove the algorithm or correct the key set", name)
		}
		i.algorithms = append(i.algorithms, algorithm)
	}
	return nil
}

func isIssuerName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune("-._", r)
	})
}

func join(names []jose.SignatureAlgorithm) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ", ")
}
