package prove

import (
	"fmt"
	"slices"
	"strings"
)

// pattern is an identity.SPIFFEPattern taken apart: "*" is any one segment, below says that at least one more follows.
type pattern struct {
	domain   string
	segments []string
	below    bool
}

// parsePattern reads a pattern that the policy has accepted.
func parsePattern(text string) pattern {
	domain, path, _ := strings.Cut(strings.TrimPrefix(text, "spiffe://"), "/")
	fixed, below := strings.CutSuffix("/"+path, "/**")
	p := pattern{domain: domain, below: below}
	if fixed != "" {
		p.segments = strings.Split(fixed[1:], "/")
	}
	return p
}

func (p pattern) matches(id string) bool {
	domain, path, _ := strings.Cut(strings.TrimPrefix(id, "spiffe://"), "/")
	segments := strings.Split(path, "/")
	if domain != p.domain || len(segments) < len(p.segments) || p.below == (len(segments) == len(p.segments)) {
		return false
	}
	for i, s := range p.segments {
		if s != "*" && s != segments[i] {
			return false
		}
	}
	return true
}

// fits: does some ID of a number of segments match?
func (p pattern) fits(length int) bool {
	return length == len(p.segments) && !p.below || length > len(p.segments) && p.below
}

// covers reports that every ID of q is one of p.
func (p pattern) covers(q pattern) bool {
	if p.domain != q.domain || len(p.segments) > len(q.segments) || q.below && !p.below ||
		!q.below && !p.fits(len(q.segments)) {
		return false
	}
	for i, s := range p.segments {
		if s != "*" && s != q.segments[i] {
			return false
		}
	}
	return true
}

// cells are IDs, one of each number of segments, that all of the patterns match and of others as few as possible: a segment
// that is not spelled out is one that no pattern spells out. Any further ID of that length and those patterns matches no
// fewer patterns of others. Beyond longest every pattern that matches one length matches all.
func cells(domain string, all []pattern, longest int) []string {
	var ids []string
	for length := 1; length <= longest+1; length++ {
		segments := make([]string, length)
		for i := range segments {
			segments[i] = fmt.Sprintf("prove-%d", i+1)
		}
		if slices.ContainsFunc(all, func(p pattern) bool { return p.domain != domain || !p.lay(segments) }) {
			continue
		}
		id := "spiffe://" + domain + "/" + strings.Join(segments, "/")
		if !slices.ContainsFunc(all, func(p pattern) bool { return !p.matches(id) }) {
			ids = append(ids, id)
		}
	}
	return ids
}

// lay writes what the pattern spells out into the segments of an ID.
func (p pattern) lay(segments []string) bool {
	if !p.fits(len(segments)) {
		return false
	}
	for i, s := range p.segments {
		if s != "*" {
			segments[i] = s
		}
	}
	return true
}

// longestOf is the number of segments of the longest pattern.
func longestOf(all []pattern) int {
	longest := 1
	for _, p := range all {
		longest = max(longest, len(p.segments))
	}
	return longest
}
