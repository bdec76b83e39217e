package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/config/strictyaml"
)

// enrolledUser is the attribute by which a source names the user that a device is enrolled for.
const enrolledUser = "enrolled_user"

// enrolled checks what a source's users are compared with: a claim that is read, of an issuer that is there.
func (c *check) enrolled(at string, source *Source, issuers []Issuer) {
	e := source.EnrolledUser
	if e == nil {
		return
	}
	c.oneOf(at+".is", e.Is, "name", "subject", "email")
	if !slices.Contains(source.Attests, enrolledUser) {
		c.fault(at, fmt.Sprintf("source %q says what its users are, and may not name any", source.Name),
			"add enrolled_user to its attests, or remove enrolledUser")
	}
	i := slices.IndexFunc(issuers, func(x Issuer) bool { return x.Name == e.Issuer })
	switch {
	case e.Issuer == "": // the decoder has said so
	case i < 0:
		c.fault(at+".issuer", fmt.Sprintf("there is no issuer %q", e.Issuer), anIssuer(e.Issuer, issuers))
	case e.Is == "email" && issuers[i].Claims.Email == "":
		c.fault(at+".is", fmt.Sprintf("no claim of issuer %q is an email address", e.Issuer),
			fmt.Sprintf("name the claim in identity.issuers[%d].claims.email, or compare with name or subject", i))
	}
}

// anIssuer says which issuer could be meant.
func anIssuer(wrong string, issuers []Issuer) string {
	names := make([]string, 0, len(issuers))
	for _, x := range issuers {
		names = append(names, x.Name)
	}
	if near, ok := strictyaml.Nearest(wrong, names); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(names) == 0 {
		return "issuers stand under identity.issuers, and there is none"
	}
	return "under identity.issuers are " + strings.Join(names, ", ")
}
