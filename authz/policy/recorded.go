package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Recorded is an identity as another system lists it: SYSTEM/ID in whichever part of that system, or SYSTEM@PART/ID.
type Recorded struct {
	System string // one of those that Identity.RecordedIn may name
	Part   string // which cloud, cluster or organisation, as imports call it; empty: any
	ID     string // the system's own name of it, such as an ARN, or NAMESPACE/NAME
}

// maxRecordedID is the longest Recorded.ID, in bytes, as imports bound it.
const maxRecordedID = 1024

// ParseRecorded reads one. The error says what is wrong with it.
func ParseRecorded(text string) (Recorded, error) {
	origin, id, ok := strings.Cut(text, "/")
	system, part, parted := strings.Cut(origin, "@")
	switch {
	case !ok || id == "":
		return Recorded{}, errors.New("it is not SYSTEM/ID")
	case !slices.Contains(recordedIn, system):
		return Recorded{}, fmt.Errorf("%.80q is none of the systems %s", system, strings.Join(recordedIn, ", "))
	case parted && !IsPart(part):
		return Recorded{}, fmt.Errorf("%.80q is no part of a system: 1 to 63 of a-z, 0-9 and -", part)
	case len(id) > maxRecordedID || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl):
		return Recorded{}, fmt.Errorf("the id is longer than %d bytes, or no text of one line", maxRecordedID)
	}
	return Recorded{system, part, id}, nil
}

// IsPart tells whether a text is a Recorded.Part that says which: 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or
// digit.
func IsPart(s string) bool { return isDocumentName(s) && !strings.HasSuffix(s, "-") }

// Overlaps tells whether something can be both.
func (r Recorded) Overlaps(other Recorded) bool {
	return r.System == other.System && r.ID == other.ID && (r.Part == "" || other.Part == "" || r.Part == other.Part)
}
