package policy

import "strings"

// SplitRequestPath cuts a request's path into segments, or refuses it as every decision does; "/a/" yields "a" and "".
func SplitRequestPath(raw string) ([]string, error) {
	path, err := checkPath(raw)
	if err != nil || path == "/" {
		return nil, err
	}
	return strings.Split(path[1:], "/"), nil
}

// Match is the rule in its plain form: does this pattern alone cover these segments? Tables answer the same faster, and
// what Envoy is given is compared with it.
func (p Pattern) Match(segments []string) bool {
	for i, s := range p {
		if s.Kind == SegmentRest {
			return true
		}
		if i >= len(segments) || segments[i] == "" || s.Kind == SegmentExact && s.Text != segments[i] {
			return false
		}
	}
	// One trailing slash is covered by the pattern without it.
	return len(segments) == len(p) || len(segments) == len(p)+1 && segments[len(p)] == "" && len(p) > 0
}
