package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/jwks"
	"github.com/tiergate/tiergate/signals"
)

// The limits of an issuer's settings.
const (
	maxLeeway = 5 * time.Minute
	maxName   = 64
)

// algorithms are those that a token may be signed with: asymmetric all, since whoever verifies an HMAC can forge it.
var algorithms = jwks.Algorithms()

// deviceNames are the kinds of names that a token may call a device by. A vendor's own id is none that an issuer knows.
var deviceNames = []signals.AliasKind{signals.AliasSerial, signals.AliasUUID, signals.AliasDirectory,
	signals.AliasCertificate}

// Issuer is whom we believe, about whom, and under which conditions.
type Issuer struct {
	Name       string   // how policies name it: letters, digits, '.', '-', '_'
	Issuer     string   // the iss claim, byte for byte
	Audiences  []string // one of them must stand in aud
	Algorithms []string // the alg values that are accepted, of RFC 7518 and RFC 8037; no default
	Keys       jose.JSONWebKeySet
	Source     KeySource // where keys come from that change while we run; nil: Keys are all there will be
	// Vouched: Envoy verifies the signatures and there are neither Keys nor Source. A token counts only with the word on
	// its very claims that jwt_authn left under VouchedKey (payload_in_metadata) for this request (Credential.Vouched).
	Vouched    bool
	VouchedKey string
	Type       string // the typ that tokens must have, for instance at+jwt (RFC 9068); "": none, JWT or at+jwt
	// Leeway is granted to exp, nbf, iat and auth_time for clocks that differ: 0 to 5 minutes.
	Leeway time.Duration
	// SenderConstrained refuses tokens that are bound neither to a certificate (RFC 8705, section 3) nor to a key (RFC
	// 9449, section 6). Those that are bound count with what they are bound to only, whatever stands here.
	SenderConstrained bool
	// Claims by name, each a member of the payload itself: 1 to 256 letters, digits, '_', '-', ':' or a whole URL. There
	// are no paths into objects.
	UserClaim     string // a text that names the user; "": sub
	GroupsClaim   string // an array of texts or one text; "": groups
	ACRClaim      string // a text, how strong the login was; "": acr
	AMRClaim      string // an array of texts or one text, how the user logged in; "": amr
	AuthTimeClaim string // seconds since 1970, when the user logged in; "": auth_time
	SessionClaim  string // a text, the session in which the user logged in; "": sid
	EmailClaim    string // a text, not believed where email_verified says otherwise; "": none. It may be UserClaim too
	// AuthTime says what the issuer's auth_time is worth: AuthTimeLogin, AuthTimeRefreshed or AuthTimeNever; "": refreshed.
	AuthTime AuthTime
	// DeviceClaim is a text that names the user's device, as DeviceNames (serial, uuid, directory, certificate) says;
	// "": none. It binds the request to the device only where the token is sender-constrained, or DeviceBearer takes it
	// of any.
	DeviceClaim  string
	DeviceNames  signals.AliasKind
	DeviceBearer bool
}

// issuer is an Issuer that was checked.
type issuer struct {
	Issuer
	algorithms []jose.SignatureAlgorithm
	mapped     []string // the claims that the settings map, by name
	reads      []string // all claims that have a meaning here
	ring       keyring
}

// Verifier verifies tokens of the issuers that it was made with. But for a bounded memory of what it believed it is
// immutable, and it is safe for concurrent use.
type Verifier struct {
	byURL map[string]*issuer
	// believed are tokens whose every check passed, byte for byte: comparing them costs a tenth of a digest and cannot
	// collide, and a token has one spelling only. What it stands on is judged on every call.
	believed *identity.Memory[string, *belief]
	window   time.Duration // of DPoP proofs; 0: none are taken
	svids    *svids        // nil: no JWT-SVID is taken
}

// The tokens that need not be verified again: at most so many, of at most so many bytes.
const (
	maxBelieved      = 8192
	maxBelievedBytes = 4 << 10
)

// New checks the issuers. It refuses what could never verify a token, and what could verify one that the issuer did not
// sign: no or unknown algorithms, none and HMAC among them, symmetric, private or weak keys, an algorithm that no key
// fits, two issuers of one name or URL. No issuers: every token is refused.
func New(issuers []Issuer, options ...Option) (*Verifier, error) {
	v := &Verifier{byURL: make(map[string]*issuer, len(issuers)),
		believed: identity.NewMemory[string, *belief](maxBelieved, strings.Clone)}
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
	for _, option := range options {
		if err := option(v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func checkIssuer(settings Issuer) (*issuer, error) {
	checked := &issuer{Issuer: settings}
	checked.Audiences = slices.Clone(settings.Audiences)
	checked.Keys = jose.JSONWebKeySet{Keys: slices.Clone(settings.Keys.Keys)}
	checked.ring = keyring{of: "issuer " + settings.Name, fixed: checked.Keys, source: settings.Source, fits: jwks.Fits}
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
	switch fixed := len(settings.Keys.Keys) > 0; {
	case settings.Source != nil && fixed:
		return nil, errors.New("it has keys of its own and a source of keys; name one of the two")
	case settings.Vouched && (fixed || settings.Source != nil):
		return nil, errors.New("Envoy verifies its tokens, and it has keys here; name one of the two")
	case settings.Vouched == (settings.VouchedKey == ""):
		return nil, errors.New("where Envoy verifies its tokens, the key of Envoy's metadata is named, and only there")
	case settings.DeviceClaim != "" && !slices.Contains(deviceNames, settings.DeviceNames):
		return nil, fmt.Errorf("its device claim names a %.20q; write one of %v", settings.DeviceNames, deviceNames)
	}
	for i, key := range settings.Keys.Keys {
		if err := jwks.CheckKey(key); err != nil {
			return nil, fmt.Errorf("key %d of its key set: %w", i+1, err)
		}
	}
	if err := checked.checkAuthTime(); err != nil {
		return nil, err
	}
	if err := checked.nameClaims(); err != nil {
		return nil, err
	}
	return checked, checked.allow(settings.Algorithms)
}

// allow takes the algorithms over if each is one that we accept and has a key. Which keys a source will have is not
// known yet.
func (i *issuer) allow(names []string) error {
	if len(names) == 0 {
		return fmt.Errorf("it lists no algorithm; write the ones it signs with, of %s", join(algorithms))
	}
	for _, name := range names {
		algorithm := jose.SignatureAlgorithm(name)
		if !slices.Contains(algorithms, algorithm) {
			return fmt.Errorf("algorithm %q is not accepted; write one of %s", name, join(algorithms))
		}
		fits := func(key jose.JSONWebKey) bool { return jwks.Fits(key, algorithm) }
		if i.Source == nil && !i.Vouched && !slices.ContainsFunc(i.Keys.Keys, fits) {
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
