package token

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/tiergate/tiergate/authz/identity"
)

// AuthTime says what an issuer's auth_time is worth.
type AuthTime string

// The words of the settings. The safe one is the default: what an issuer does is seldom written down.
const (
	AuthTimeLogin     AuthTime = "login"     // it moves with a login and with nothing else
	AuthTimeRefreshed AuthTime = "refreshed" // it also moves where nobody showed a factor
	AuthTimeNever     AuthTime = "never"     // it stays that of the session's first login, or is not written
)

func (i *issuer) checkAuthTime() error {
	switch i.AuthTime {
	case AuthTimeLogin, AuthTimeRefreshed, AuthTimeNever:
		return nil
	case "":
		i.AuthTime = AuthTimeRefreshed
		return nil
	}
	return fmt.Errorf("its authTime is %.40q; write login, refreshed or never", string(i.AuthTime))
}

func (i *issuer) moves() identity.AuthTimeMoves {
	switch i.AuthTime {
	case AuthTimeLogin:
		return identity.MovesWithLogin
	case AuthTimeNever:
		return identity.MovesNever
	case AuthTimeRefreshed:
	}
	return identity.MovesOnRefresh
}

// session reads the claim that names the session (sid of OpenID Connect Front-Channel Logout 1.0, section 3).
func (i *issuer) session(claims map[string]json.RawMessage) (string, error) {
	if _, there := claims[i.SessionClaim]; !there {
		return "", nil
	}
	return name(claims, i.SessionClaim)
}

// seenAs names a login whose age has to be remembered. A token that names no session is taken for one of the user's only
// session, which can only make a login older; but where auth_time never moves in a session, it tells sessions apart.
func seenAs(user *identity.User) (as identity.SeenAs) {
	if user.Moves == identity.MovesWithLogin {
		return as
	}
	session := []string{"session", user.Issuer, user.Subject, user.Session}
	if user.Session == "" {
		session[0] = "user"
		if user.Moves == identity.MovesNever && !user.AuthTime.IsZero() {
			session[0], session[3] = "auth_time", strconv.FormatInt(user.AuthTime.UnixNano(), 10)
		}
	}
	as.Session = digest(session...)
	as.Login = digest(append([]string{as.Session, user.ACR}, user.AMR...)...)
	return as
}

// digest tells lists of texts apart, also those that would read alike when joined.
func digest(texts ...string) string {
	h := sha256.New()
	for _, text := range texts {
		_, _ = h.Write(strconv.AppendInt(nil, int64(len(text)), 10))
		_, _ = h.Write([]byte(":" + text))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// shownSVID is what a JWT-SVID says of itself.
func shownSVID(claims map[string]json.RawMessage, window identity.Validity) (*identity.SVID, error) {
	audiences, err := oneOrMore(claims["aud"])
	if err != nil {
		return nil, err // checkAudience has read it
	}
	issued, _, err := instant(claims, "iat")
	return &identity.SVID{Audiences: slices.Clone(audiences), Issued: issued, Window: window}, err
}
