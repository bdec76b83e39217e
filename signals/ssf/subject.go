package ssf

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The formats of subjects: RFC 9493 section 3, and SSF 1.0 section 3 for those from complex on.
const (
	FormatAccount = "account"      // {uri}
	FormatAliases = "aliases"      // {identifiers}
	FormatDID     = "did"          // {url}
	FormatEmail   = "email"        // {email}
	FormatIssSub  = "iss_sub"      // {iss, sub}
	FormatOpaque  = "opaque"       // {id}
	FormatPhone   = "phone_number" // {phone_number}
	FormatURI     = "uri"          // {uri}
	FormatComplex = "complex"      // {user, device, session, application, tenant, org_unit, group}
	FormatJWT     = "jwt_id"       // {iss, jti}
	FormatSAML    = "saml_assertion_id"
	FormatIPs     = "ip-addresses" // {ip-addresses}
)

// Subject is whom an event is about.
type Subject struct {
	Format string `json:"format"`
	// Issuer and ID are the members of a simple subject: iss and sub of iss_sub, iss and jti of jwt_id, issuer and assertion_id
	// of saml_assertion_id; ID alone of the others.
	Issuer  string             `json:"issuer,omitempty"`
	ID      string             `json:"id,omitempty"`
	Members map[string]Subject `json:"members,omitempty"` // of a complex subject
	Aliases []Subject          `json:"aliases,omitempty"` // of aliases: several names of one
	IPs     []string           `json:"ips,omitempty"`
}

// The limits of a subject.
const (
	maxMember  = 1024
	maxAliases = 16
)

// simple are the members of the simple formats, the issuer's first.
var simple = map[string][2]string{
	FormatAccount: {"", "uri"}, FormatDID: {"", "url"}, FormatEmail: {"", "email"}, FormatIssSub: {"iss", "sub"},
	FormatOpaque: {"", "id"}, FormatPhone: {"", "phone_number"}, FormatURI: {"", "uri"}, FormatJWT: {"iss", "jti"},
	FormatSAML: {"issuer", "assertion_id"},
}

// complexMembers are the members of a complex subject (SSF 1.0 section 3.2).
var complexMembers = []string{"user", "device", "session", "application", "tenant", "org_unit", "group"}

// older spells the formats of drafts and of senders that follow them (subject_type), as "iss-sub".
var older = map[string]string{"iss-sub": FormatIssSub, "id-token-claims": FormatIssSub, "id_token_claims": FormatIssSub,
	"phone": FormatPhone, "phone-number": FormatPhone, "jwt-id": FormatJWT, "saml-assertion-id": FormatSAML,
	"ip_addresses": FormatIPs, "acct": FormatAccount}

// ReadSubject reads a subject identifier as sub_id has it. With old the spellings of earlier drafts count too: subject_type
// for format, and complex subjects that do not say that they are.
func ReadSubject(raw json.RawMessage, old bool) (Subject, error) {
	m, err := members(raw)
	if err != nil {
		return Subject{}, fmt.Errorf("the subject: %w", err)
	}
	return readSubject(m, old, true)
}

func readSubject(m map[string]json.RawMessage, old, top bool) (Subject, error) {
	format, there, err := text(m, "format")
	if err != nil {
		return Subject{}, fmt.Errorf("the subject's %w", err)
	}
	if !there && old {
		if format, there, err = text(m, "subject_type"); err != nil {
			return Subject{}, fmt.Errorf("the subject's %w", err)
		}
		if now, found := older[format]; found {
			format = now
		}
		if !there && slices.ContainsFunc(complexMembers, func(name string) bool { return m[name] != nil }) {
			format = FormatComplex
		}
	}
	switch names, known := simple[format]; {
	case known:
		return readSimple(format, names, m)
	case (format == FormatComplex || format == FormatAliases) && !top:
		return Subject{}, fmt.Errorf("the subject has %s within another", format)
	case format == FormatComplex:
		return readComplex(m, old)
	case format == FormatAliases:
		return readAliases(m, old)
	case format == FormatIPs:
		s := Subject{Format: format}
		if err := json.Unmarshal(m[FormatIPs], &s.IPs); err != nil || len(s.IPs) == 0 {
			return Subject{}, errors.New("the subject names no IP address")
		}
		return s, nil
	case format == "":
		return Subject{}, errors.New("the subject has no format")
	}
	return Subject{}, fmt.Errorf("the subject's format %.40q is not known", format)
}

func readSimple(format string, names [2]string, m map[string]json.RawMessage) (Subject, error) {
	s := Subject{Format: format}
	for i, into := range []*string{&s.Issuer, &s.ID} {
		if names[i] == "" {
			continue
		}
		value, _, err := text(m, names[i])
		if err != nil {
			return Subject{}, fmt.Errorf("the %s subject's %w", format, err)
		}
		if value == "" || len(value) > maxMember || control(value) {
			return Subject{}, fmt.Errorf("the %s subject has no %s of 1 to %d bytes", format, names[i], maxMember)
		}
		*into = value
	}
	if format == FormatEmail {
		local, domain, found := strings.Cut(s.ID, "@")
		if !found || local == "" || domain == "" || strings.ContainsAny(s.ID, " <>,") {
			return Subject{}, errors.New("the email subject is no address")
		}
	}
	return s, nil
}

func readComplex(m map[string]json.RawMessage, old bool) (Subject, error) {
	s := Subject{Format: FormatComplex, Members: map[string]Subject{}}
	for _, name := range complexMembers {
		raw, there := m[name]
		if !there {
			continue
		}
		inner, err := members(raw)
		if err != nil {
			return Subject{}, fmt.Errorf("the subject's %s: %w", name, err)
		}
		// A complex member may have several names; complex in complex it may not be.
		member, err := readMember(inner, old)
		if err != nil {
			return Subject{}, fmt.Errorf("%s: %w", name, err)
		}
		s.Members[name] = member
	}
	if len(s.Members) == 0 {
		return Subject{}, errors.New("the complex subject has no member that is known")
	}
	return s, nil
}

func readMember(m map[string]json.RawMessage, old bool) (Subject, error) {
	if format, _, err := text(m, "format"); err == nil && format == FormatAliases {
		return readAliases(m, old)
	}
	return readSubject(m, old, false)
}

func readAliases(m map[string]json.RawMessage, old bool) (Subject, error) {
	var entries []json.RawMessage
	if err := json.Unmarshal(m["identifiers"], &entries); err != nil || len(entries) == 0 || len(entries) > maxAliases {
		return Subject{}, fmt.Errorf("the aliases subject has no array of 1 to %d identifiers", maxAliases)
	}
	s := Subject{Format: FormatAliases}
	for _, entry := range entries {
		inner, err := members(entry)
		if err != nil {
			return Subject{}, fmt.Errorf("the aliases subject: %w", err)
		}
		one, err := readSubject(inner, old, false)
		if err != nil {
			return Subject{}, err
		}
		s.Aliases = append(s.Aliases, one)
	}
	return s, nil
}

// names are the simple subjects of one: itself, or its aliases.
func (s Subject) names() []Subject {
	if s.Format == FormatAliases {
		return s.Aliases
	}
	return []Subject{s}
}

// control reports bytes that no id has.
func control(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}
