package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// The limits of claims.
const (
	maxTextBytes = 256
	maxGroups    = 500
	maxMethods   = 32
)

// user reads the claims of a token whose signature verified.
func (i *issuer) user(claims map[string]json.RawMessage, at time.Time) (*identity.User, error) {
	if err := checkSpelling("token's payload", claims, i.reads); err != nil {
		return nil, err
	}
	if err := i.checkKind(claims); err != nil {
		return nil, err
	}
	if err := checkAudience(claims, i.Audiences); err != nil {
		return nil, err
	}
	user := &identity.User{Issuer: i.Name}
	var err error
	if user.Token, user.AuthTime, err = checkTimes(claims, i.Leeway, i.AuthTimeClaim, at); err != nil {
		return nil, err
	}
	if user.Subject, err = name(claims, "sub"); err != nil {
		return nil, err
	}
	if user.Session, err = i.session(claims); err != nil {
		return nil, err
	}
	if user.Name, err = name(claims, i.UserClaim); err != nil {
		return nil, err
	}
	if err := i.checkElsewhere(claims); err != nil {
		return nil, err
	}
	if user.Groups, err = texts(claims, i.GroupsClaim, maxGroups); err != nil {
		return nil, err
	}
	if _, there := claims[i.ACRClaim]; there {
		if user.ACR, err = name(claims, i.ACRClaim); err != nil {
			return nil, err
		}
	}
	if user.AMR, err = texts(claims, i.AMRClaim, maxMethods); err != nil {
		return nil, err
	}
	if user.Email, err = i.email(claims); err != nil {
		return nil, err
	}
	if user.Device, err = i.device(claims); err != nil {
		return nil, err
	}
	user.Moves = i.moves()
	user.SeenAs = seenAs(user)
	user.Issued, _, err = instant(claims, "iat")
	return user, err
}

// email reads the claim that the settings map. One that the issuer itself calls not verified is none: somebody typed it
// in, and it would name whoever it belongs to.
func (i *issuer) email(claims map[string]json.RawMessage) (string, error) {
	if _, there := claims[i.EmailClaim]; i.EmailClaim == "" || !there {
		return "", nil
	}
	email, err := name(claims, i.EmailClaim)
	if err != nil || notVerified(claims) {
		return "", err
	}
	return email, nil
}

// notVerified reads email_verified (OpenID Connect Core, section 5.1), which some issuers write as a text.
func notVerified(claims map[string]json.RawMessage) bool {
	verified, there := claims["email_verified"]
	return there && string(verified) != "true" && string(verified) != `"true"`
}

// device reads what the token calls the user's device.
func (i *issuer) device(claims map[string]json.RawMessage) (signals.Alias, error) {
	if _, there := claims[i.DeviceClaim]; i.DeviceClaim == "" || !there {
		return signals.Alias{}, nil
	}
	text, err := name(claims, i.DeviceClaim)
	if err != nil {
		return signals.Alias{}, err
	}
	alias, err := signals.NewAlias(i.DeviceNames, text)
	if err != nil {
		return signals.Alias{}, fmt.Errorf("the token's device claim names no device (%s): %w", i.DeviceClaim, err)
	}
	return alias, nil
}

// checkKind refuses what is signed by the issuer and names nobody.
func (i *issuer) checkKind(claims map[string]json.RawMessage) error {
	if _, there := claims["events"]; there {
		return errors.New("the token is a security event (RFC 8417), no access token")
	}
	if (i.UserClaim == "email" || i.UserClaim == i.EmailClaim) && notVerified(claims) {
		return errors.New("the token says that its email is not verified; it names nobody")
	}
	return nil
}

func checkAudience(claims map[string]json.RawMessage, ours []string) error {
	raw, there := claims["aud"]
	if !there {
		return errors.New("the token names no audience (aud)")
	}
	audiences, err := oneOrMore(raw)
	if err != nil {
		return errors.New("the token's aud is no text and no array of texts")
	}
	for _, audience := range audiences {
		if slices.Contains(ours, audience) {
			return nil
		}
	}
	return fmt.Errorf("the token is meant for another audience than %s", strings.Join(ours, ", "))
}

// checkTimes returns the window in which the token counts, if at lies in it, and when its user logged in; no
// loginClaim: nobody does.
func checkTimes(claims map[string]json.RawMessage, leeway time.Duration, loginClaim string, at time.Time) (
	w identity.Validity, login time.Time, err error) {
	expires, there, err := instant(claims, "exp")
	switch {
	case err != nil:
		return w, login, err
	case !there:
		return w, login, errors.New("the token has no end (exp)")
	}
	w.NotAfter = expires.Add(leeway)
	if !at.Before(w.NotAfter) {
		return w, login, fmt.Errorf("the token expired at %s, leeway %s; now is %s", stamp(expires), leeway, stamp(at))
	}
	for _, claim := range []struct{ name, wrong string }{
		{"nbf", "is not valid before"}, {"iat", "claims to be issued at"}, {loginClaim, "claims a login at"},
	} {
		if claim.name == "" {
			continue
		}
		begins, there, err := instant(claims, claim.name)
		switch {
		case err != nil:
			return w, login, err
		case !there:
			continue
		}
		if from := begins.Add(-leeway); from.After(w.NotBefore) {
			w.NotBefore = from
		}
		if at.Before(w.NotBefore) {
			return w, login, fmt.Errorf("the token %s %s (%s), leeway %s; now is %s", claim.wrong, stamp(begins), claim.name,
				leeway, stamp(at))
		}
		if claim.name == loginClaim {
			login = begins
		}
	}
	return w, login, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// name reads a claim that names someone.
func name(claims map[string]json.RawMessage, claim string) (string, error) {
	text, there, err := textClaim(claims, claim)
	switch {
	case err != nil:
		return "", err
	case !there:
		return "", fmt.Errorf("the token has no %s", claim)
	case !isName(text):
		return "", fmt.Errorf("the token's %s is empty, longer than %d bytes or has control characters", claim, maxTextBytes)
	}
	return text, nil
}

// isName accepts 1 to 256 bytes without control characters. U+FFFD is what a JSON decoder makes of half a surrogate
// pair: two different spellings would become one name.
func isName(s string) bool {
	return s != "" && len(s) <= maxTextBytes && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == utf8.RuneError
	})
}

// textClaim reads a text; there is false where it is missing.
func textClaim(members map[string]json.RawMessage, name string) (text string, there bool, err error) {
	raw, there := members[name]
	if !there {
		return "", false, nil
	}
	if raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		return "", true, fmt.Errorf("the token's %s is no text", name)
	}
	return text, true, nil
}

// texts reads an array of names, or one name alone; none where the claim is missing.
func texts(claims map[string]json.RawMessage, claim string, limit int) ([]string, error) {
	raw, there := claims[claim]
	if !there {
		return nil, nil
	}
	values, err := oneOrMore(raw)
	if err != nil {
		return nil, fmt.Errorf("the token's %s is no text and no array of texts", claim)
	}
	if len(values) > limit {
		return nil, fmt.Errorf("the token's %s has %d entries; the limit is %d", claim, len(values), limit)
	}
	if i := slices.IndexFunc(values, func(s string) bool { return !isName(s) }); i >= 0 {
		return nil, fmt.Errorf("entry %d of the token's %s is empty, longer than %d bytes or has control characters", i+1,
			claim,
			maxTextBytes)
	}
	return values, nil
}

// oneOrMore reads a text or an array of texts. null is neither, and neither is an array that holds one.
func oneOrMore(raw json.RawMessage) ([]string, error) {
	if raw[0] == '"' {
		var one string
		err := json.Unmarshal(raw, &one)
		return []string{one}, err
	}
	var pointers []*string
	if raw[0] != '[' || json.Unmarshal(raw, &pointers) != nil || slices.Contains(pointers, nil) {
		return nil, errors.New("neither")
	}
	values := make([]string, len(pointers))
	for i, p := range pointers {
		values[i] = *p
	}
	return values, nil
}

// maxSeconds is the end of the year 9998: later instants cannot carry a leeway and still be written.
const maxSeconds = 253370764800

// instant reads a NumericDate (RFC 7519, section 2): seconds since 1970, a fraction allowed.
func instant(claims map[string]json.RawMessage, claim string) (at time.Time, there bool, err error) {
	raw, there := claims[claim]
	if !there {
		return at, false, nil
	}
	var seconds float64
	if c := raw[0]; c != '-' && (c < '0' || c > '9') || json.Unmarshal(raw, &seconds) != nil {
		return at, true, fmt.Errorf("the token's %s is no number of seconds", claim)
	}
	if seconds < 0 || seconds > maxSeconds {
		return at, true, fmt.Errorf("the token's %s lies before 1970 or after 9998", claim)
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)).UTC(), true, nil
}
