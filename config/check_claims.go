package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// claimPattern is the name of one claim. A dot is taken in URLs only, the names that RFC 7519 section 4.2 makes unique:
// in any other name it could mean a path into an object, which is not guessed.
var claimPattern = regexp.MustCompile(`^([A-Za-z0-9_:-]+|https?://[!-~]+)$`)

const maxClaimName = 256

// fixedClaims mean what RFC 7519, RFC 7800, RFC 8417 and OpenID Connect say. Only the user may be a fixed one: sub.
var fixedClaims = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "events", "hasgroups",
	"_claim_names", "_claim_sources", "email_verified"}

// claims wants names, each of one claim with no meaning but this; only the user may be named by the email. Names that
// differ in case only would be one claim to many readers of JSON.
func (c *check) claims(at string, issuer *Issuer) {
	claims := &issuer.Claims
	device := ""
	if issuer.Device != nil {
		device = issuer.Device.Claim
	}
	at += "."
	meanings := map[string]string{} // name in lower case -> the field that has it
	for _, claim := range []struct{ field, name string }{
		{"claims.user", claims.User}, {"claims.groups", claims.Groups}, {"claims.acr", claims.ACR}, {"claims.amr",
			claims.AMR},
		{"claims.authTime", claims.AuthTime}, {"claims.session", claims.Session}, {"claims.email", claims.Email}, {"device.claim", device},
	} {
		folded := strings.ToLower(claim.name)
		other, taken := meanings[folded]
		switch {
		case claim.name == "": // none, or the decoder has said so
		case len(claim.name) > maxClaimName:
			c.fault(at+claim.field, fmt.Sprintf("the claim's name has %d bytes", len(claim.name)),
				fmt.Sprintf("write at most %d", maxClaimName))
		case strings.ContainsRune(claim.name, '.') && !claimPattern.MatchString(claim.name):
			c.fault(at+claim.field, fmt.Sprintf("%q is no claim", claim.name),
				"paths into objects are not read: let the issuer put it into a claim of its own, and write that claim's name "+
					"(dots are taken in names that are https URLs)")
		case !claimPattern.MatchString(claim.name):
			c.fault(at+claim.field, fmt.Sprintf("%q is no claim", claim.name),
				"write the claim's name, of letters, digits, _, - and :, or a URL")
		case slices.Contains(fixedClaims, folded) && (claim.field != "claims.user" || claim.name != "sub"):
			c.fault(at+claim.field, fmt.Sprintf("%q has a meaning of its own", claim.name),
				"name the claim in which the issuer writes "+meaning(claim.field))
		case taken && claim.field == "claims.email" && claim.name == claims.User:
		case taken:
			mine := claim.field
			if !c.document.Has(at + mine) {
				mine, other = other, mine // the default cannot be corrected, what is written can
			}
			c.fault(at+mine, fmt.Sprintf("%q is already %s%s", claim.name, at, other), "name a claim that means this alone")
		default:
			meanings[folded] = claim.field
		}
	}
}

// meaning is what the field of a claim says in the words of the settings.
func meaning(field string) string {
	if field == "device.claim" {
		return "device"
	}
	return last(field)
}
