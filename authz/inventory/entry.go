package inventory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
)

// EntryKind is the kind of the records in which imported identities are kept; the key is that of Entry.Key. Receivers write
// them, signed.
const EntryKind = "imported-identity"

// Entry is one non-human identity as another system records it. It holds no secret and no part of one.
type Entry struct {
	System string `json:"system"` // one of Systems
	// Part is which of several clouds, clusters or organisations of the System it is of: a name of ours, 1 to 63 of a-z, 0-9 and -.
	// What one import lists replaces what was imported of the same System and Part, and nothing else. Empty: there is one.
	Part     string    `json:"part,omitempty"`
	ID       string    `json:"id"`   // the system's own name of it
	Type     string    `json:"type"` // of policy.IdentityType
	SPIFFEID string    `json:"spiffeID,omitempty"`
	Owner    string    `json:"owner,omitempty"` // as the system says: a team's name, or anything
	Created  time.Time `json:"created,omitzero"`
	LastUsed time.Time `json:"lastUsed,omitzero"`
	// CredentialFrom is since when its oldest credential counts; NeverExpires that one of them has no end.
	CredentialFrom time.Time `json:"credentialFrom,omitzero"`
	NeverExpires   bool      `json:"neverExpires,omitempty"`
	Grants         []string  `json:"grants,omitempty"` // what it may do there, as the system says
	// ImportedAt is when an import last said something else of it than the one before.
	ImportedAt time.Time `json:"importedAt"`
	// Gone is since when its system no longer lists it: it is kept, so that what is still seen of it is known to be an orphan.
	Gone time.Time `json:"gone,omitzero"`
}

// Systems are those that identities are imported from, as Identity documents write recordedIn.
var Systems = []string{"ci-cd", "cloud-iam", "directory", "kubernetes", "secret-manager", "spire"}

// Types are the types of identities.
var Types = []string{string(policy.IdentityOfAgent), string(policy.IdentityOfKey), string(policy.IdentityOfPipeline),
	string(policy.IdentityOfServiceAccount), string(policy.IdentityOfWorkload)}

// Bounds of what is imported.
const (
	MaxEntries = 100_000 // of one system
	MaxGrants  = 100     // of one entry
	maxText    = 1024    // bytes of any text of an entry
)

// Key is the key of an entry's record. No system and no part has a blank.
func (e *Entry) Key() string { return Origin(e.System, e.Part) + " " + e.ID }

// Place says to people where the entry is recorded: SYSTEM/ID, or SYSTEM@PART/ID.
func (e *Entry) Place() string { return Origin(e.System, e.Part) + "/" + e.ID }

// Names are how a document may say that it is this entry, the nearer one first: with its part, and without.
func (e *Entry) Names() []string { return []string{e.Place(), e.System + "/" + e.ID} }

// Origin is what one import replaces: SYSTEM, or SYSTEM@PART.
func Origin(system, part string) string {
	if part == "" {
		return system
	}
	return system + "@" + part
}

// CheckPart says what is wrong with an Entry.Part.
func CheckPart(part string) error {
	if part != "" && !policy.IsPart(part) {
		return fmt.Errorf("%.80q: write 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit", part)
	}
	return nil
}

// Live tells whether the entry's system still lists it.
func (e *Entry) Live() bool { return e.Gone.IsZero() }

// Check says what is wrong with an entry: the field, as its JSON names it, and why. Nil: nothing.
func (e *Entry) Check() error {
	switch {
	case !slices.Contains(Systems, e.System):
		return fmt.Errorf("system: %q is none of %s", e.System, strings.Join(Systems, ", "))
	case e.ID == "":
		return errors.New("id: it is empty; it must name the identity")
	case !slices.Contains(Types, e.Type):
		return fmt.Errorf("type: %q is none of %s", e.Type, strings.Join(Types, ", "))
	case len(e.Grants) > MaxGrants:
		return fmt.Errorf("grants: %d; the limit is %d", len(e.Grants), MaxGrants)
	}
	if err := CheckPart(e.Part); err != nil {
		return fmt.Errorf("part: %w", err)
	}
	for _, t := range append([][2]string{{"id", e.ID}, {"spiffeID", e.SPIFFEID}, {"owner", e.Owner}}, named("grants", e.Grants)...) {
		if err := checkText(t[1]); err != nil {
			return fmt.Errorf("%s: %w", t[0], err)
		}
	}
	if e.SPIFFEID != "" {
		if _, err := identity.ParseSPIFFEID(e.SPIFFEID); err != nil {
			return fmt.Errorf("spiffeID: %w", err)
		}
	}
	for _, t := range []struct {
		field string
		at    time.Time
	}{{"created", e.Created}, {"lastUsed", e.LastUsed}, {"credentialFrom", e.CredentialFrom}} {
		if !t.at.IsZero() && (t.at.Year() < 1970 || t.at.Year() > 9999) {
			return fmt.Errorf("%s: %s is no instant of our time", t.field, t.at.Format(time.RFC3339))
		}
	}
	return nil
}

func named(field string, texts []string) [][2]string {
	all := make([][2]string, 0, len(texts))
	for _, t := range texts {
		all = append(all, [2]string{field, t})
	}
	return all
}

func checkText(s string) error {
	switch {
	case len(s) > maxText:
		return fmt.Errorf("it has %d bytes; the limit is %d", len(s), maxText)
	case !utf8.ValidString(s):
		return fmt.Errorf("%q is not UTF-8", s)
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) }):
		return fmt.Errorf("%q has a control character", s)
	}
	return nil
}

// Says tells whether two entries say the same of one identity, whenever they were imported.
func (e *Entry) Says(other *Entry) bool {
	a, b := *e, *other
	a.ImportedAt, b.ImportedAt = time.Time{}, time.Time{}
	return bytes.Equal(mustJSON(&a), mustJSON(&b))
}

// JSON is the value of the entry's record.
func (e *Entry) JSON() []byte { return mustJSON(e) }

// ParseEntry reads the value of a record of EntryKind. The error says why it is none.
func ParseEntry(key string, value []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(value, &e); err != nil {
		return Entry{}, fmt.Errorf("imported identity %q: %w", key, err)
	}
	if err := e.Check(); err != nil {
		return Entry{}, fmt.Errorf("imported identity %q: %w", key, err)
	}
	if e.Key() != key {
		return Entry{}, fmt.Errorf("imported identity %q: the record is of %q", key, e.Key())
	}
	return e, nil
}

// mustJSON writes what is made of texts, numbers and instants between the years 0 and 9999.
func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("inventory: %T has no JSON: %v", v, err))
	}
	return raw
}
