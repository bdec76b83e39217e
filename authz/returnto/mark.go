package returnto

import (
	"strings"
	"time"
)

// Returned is how a request came back from the login application, as its mark says.
type Returned uint8

// The ways. A request without a mark that counts at the instant was not there.
const (
	NotReturned Returned = iota
	// ReturnedFromAny was sent to log in, and nothing particular was asked of the login.
	ReturnedFromAny
	// ReturnedFromAsked was sent for acr_values or max_age.
	ReturnedFromAsked
)

// maxMarks bounds how many marks of one request are looked at.
const maxMarks = 4

// Marked tells from a path with its query how it came back. Whose word the mark is does not matter: a forged one costs who
// follows the link one more click, while one that a sidecar with another key has made must stop the circle all the same.
func Marked(path string, at time.Time) (came Returned) {
	_, query, _ := strings.Cut(path, "?")
	if !strings.Contains(query, Mark+"=") {
		return NotReturned
	}
	marks := 0
	for member := range strings.SplitSeq(query, "&") {
		value, ok := strings.CutPrefix(member, Mark+"=")
		if !ok {
			continue
		}
		if marks++; marks > maxMarks {
			return ReturnedFromAsked // no login application writes so many
		}
		expires, kind, _, ok := parts(value)
		switch {
		case !ok || !within(expires, at):
		case kind == kindAsked:
			came = ReturnedFromAsked
		default:
			came = max(came, ReturnedFromAny)
		}
	}
	return came
}

// Unmarked is a path with its query as a browser may be sent back to it: without marks, and with %XX in the place of the bytes
// of the query that IsPath does not take. A query with which it would be too long is left out. Empty: there is no such path.
func Unmarked(target string) string {
	path, query, asked := strings.Cut(target, "?")
	if !IsPath(path) {
		return ""
	}
	if !asked {
		return path
	}
	kept := make([]string, 0, 8)
	for member := range strings.SplitSeq(query, "&") {
		if member != Mark && !strings.HasPrefix(member, Mark+"=") {
			kept = append(kept, escaped(member))
		}
	}
	if whole := path + "?" + strings.Join(kept, "&"); len(kept) > 0 && len(whole) <= MaxPath {
		return whole
	}
	return path
}

// escaped writes what IsPath does not take as percent-encodings, which mean the same in a query.
func escaped(text string) string {
	if printable(text, `\#`) {
		return text
	}
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		if printable(text[i:i+1], `\#`) {
			b.WriteByte(text[i])
		} else {
			b.Write([]byte{'%', digits[text[i]>>4], digits[text[i]&15]})
		}
	}
	return b.String()
}
