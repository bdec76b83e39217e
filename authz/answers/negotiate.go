package answers

import "strings"

// What is read of a header that a client sends to say what it likes. What stands behind it is not looked at: nobody means
// so much, and an answer must cost the same whoever asks.
const (
	maxBytes  = 1 << 10
	maxRanges = 32
)

// Bounded is the part of a header's value that is looked at, in bytes.
func Bounded(value string) string { return value[:min(len(value), maxBytes)] }

// PrefersPage tells from an Accept header (RFC 9110, section 12.5.1) that a page is liked better than JSON. No header, and
// equal weights, prefer none: then the client is no browser.
func PrefersPage(accept string) bool {
	page := weightOf(accept, "text/html")
	return page > 0 && page > max(weightOf(accept, "application/json"), weightOf(accept, "application/problem+json"))
}

// weightOf is the weight of a media type in thousandths: that of the most precise range which holds it. Parameters but q
// are passed over.
func weightOf(accept, media string) int {
	weight, precise := 0, 0
	kind, _, _ := strings.Cut(media, "/")
	for name, q := range ranges(accept) {
		at := 0
		switch {
		case strings.EqualFold(name, media):
			at = 3
		case len(name) == len(kind)+2 && strings.EqualFold(name[:len(kind)], kind) && name[len(kind):] == "/*":
			at = 2
		case name == "*/*":
			at = 1
		}
		if at > precise || at == precise && at > 0 && q > weight {
			weight, precise = q, at
		}
	}
	return weight
}

// ranges yields the members of a list with their weights, q, in thousandths (RFC 9110, section 12.4.2); one whose weight
// is none has 0, as if it were refused.
func ranges(list string) func(yield func(string, int) bool) {
	return func(yield func(string, int) bool) {
		n := 0
		for member := range strings.SplitSeq(Bounded(list), ",") {
			if n++; n > maxRanges {
				return
			}
			name, parameters, _ := strings.Cut(member, ";")
			if name = strings.Trim(name, " \t"); name != "" && !yield(name, weight(parameters)) {
				return
			}
		}
	}
}

// weight reads q among the parameters of a range; without it, 1.
func weight(parameters string) int {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.Trim(p, " \t"), "=")
		if strings.EqualFold(name, "q") {
			return thousandths(value)
		}
	}
	return 1000
}

// thousandths reads a qvalue: 0 or 1, and up to three decimals, which are zeros after a 1.
func thousandths(q string) int {
	if q == "" || len(q) > 5 || len(q) > 1 && q[1] != '.' || q[0] != '0' && q[0] != '1' {
		return 0
	}
	n, unit := int(q[0]-'0')*1000, 100
	for i := 2; i < len(q); i++ {
		if q[i] < '0' || q[i] > '9' {
			return 0
		}
		n += int(q[i]-'0') * unit
		unit /= 10
	}
	if n > 1000 {
		return 0
	}
	return n
}
