package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// fixedClaims have their meaning from RFC 7519, RFC 7800, RFC 8417 and OpenID Connect Core, section 5.6.2; none of them
// can be mapped to another.
var fixedClaims = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "events", "hasgroups",
	"_claim_names", "_claim_sources", "email_verified"}

// nameClaims fills in the claims that the settings do not name, and refuses names that no claim of a token may have.
func (i *issuer) nameClaims() error {
	mapped := []struct {
		meaning, otherwise string
		name               *string
	}{
		{"user", "sub", &i.UserClaim}, {"groups", "groups", &i.GroupsClaim}, {"acr", "acr", &i.ACRClaim},
		{"amr", "amr", &i.AMRClaim}, {"authTime", "auth_time", &i.AuthTimeClaim}, {"session", "sid", &i.SessionClaim},
		{"email", "", &i.EmailClaim}, {"device", "", &i.DeviceClaim},
	}
	i.reads = slices.Clone(fixedClaims)
	for _, m := range mapped {
		if *m.name == "" {
			*m.name = m.otherwise
		}
		if *m.name == "" || m.meaning == "email" && *m.name == i.UserClaim && *m.name != "sub" {
			continue // none, or the one claim that may mean two things: the user is named by their email
		}
		fixed := folded(fixedClaims, *m.name)
		switch {
		case !isClaimName(*m.name):
			return fmt.Errorf("%.100q cannot be the claim of its %s: write the name of one claim of the token itself, 1 to 256 "+
				"letters, digits, '_', '-' and ':' or a URL; a path into an object is not read", *m.name, m.meaning)
		case fixed != "" && (m.meaning != "user" || *m.name != "sub"):
			return fmt.Errorf("%q cannot be the claim of its %s: %s has a meaning of its own", *m.name, m.meaning, fixed)
		case slices.ContainsFunc(i.mapped, func(other string) bool { return strings.EqualFold(other, *m.name) }):
			return fmt.Errorf("%q is the claim of its %s and of something else; a claim has one meaning", *m.name, m.meaning)
		}
		i.mapped = append(i.mapped, *m.name)
		if fixed == "" {
			i.reads = append(i.reads, *m.name)
		}
	}
	return nil
}

// isClaimName accepts the name of one member of the payload, as it stands there. A dot is taken in URLs only (the
// collision-resistant names of RFC 7519, section 4.2): in any other name it could mean a path, which is not guessed.
func isClaimName(s string) bool {
	if s == "" || len(s) > maxTextBytes {
		return false
	}
	url := strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")
	return !strings.ContainsFunc(s, func(r rune) bool {
		if url {
			return r <= ' ' || r > '~'
		}
		return !isAlphanumeric(r) && !strings.ContainsRune("_-:", r)
	})
}

// folded returns the name that s is, or would be to a reader that overlooks case; "" for none.
func folded(names []string, s string) string {
	if i := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, s) }); i >= 0 {
		return names[i]
	}
	return ""
}

// checkSpelling refuses members whose names differ from one that is read in case only: half of all JSON readers, Go's
// own among them, would take them for it, and the same token would say two things.
func checkSpelling(of string, members map[string]json.RawMessage, reads []string) error {
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if read := folded(reads, name); read != "" && read != name {
			return fmt.Errorf("the %s has %.40q, which some readers take for %s", of, name, read)
		}
	}
	return nil
}

// checkElsewhere refuses a token that holds the place of a claim instead of the claim (aggregated and distributed
// claims, OpenID Connect Core, section 5.6.2). Groups that the issuer left out for their number are not "no groups":
// who is in an isolated audience by a group would otherwise leave it.
func (i *issuer) checkElsewhere(claims map[string]json.RawMessage) error {
	var elsewhere map[string]json.RawMessage
	if raw, there := claims["_claim_names"]; there && (raw[0] != '{' || json.Unmarshal(raw, &elsewhere) != nil) {
		return errors.New("the token's _claim_names is no object")
	}
	for _, name := range slices.Sorted(maps.Keys(elsewhere)) {
		if read := folded(i.mapped, name); read != "" && read != i.GroupsClaim {
			return fmt.Errorf("the token only says where to ask for its %s (_claim_names); let issuer %s put it into the token",
				read, i.Name)
		} else if read != "" {
			return i.tooManyGroups()
		}
	}
	if overflow, there := claims["hasgroups"]; there && string(overflow) != "false" {
		return i.tooManyGroups()
	}
	return nil
}

func (i *issuer) tooManyGroups() error {
	return fmt.Errorf("the token only says where to ask for its user's groups; let issuer %s emit fewer", i.Name)
}
