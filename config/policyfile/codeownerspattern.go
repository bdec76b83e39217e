package policyfile

import "strings"

// ownerPattern is a pattern of CODEOWNERS, cut at its slashes. "**" stands for any number of segments.
//
// It is a pattern of .gitignore but for what GitHub documents: no negation, no ranges, and a final /* covers the files
// of a directory and not those of its subdirectories.
type ownerPattern []string

const anySegments = "**"

func parseOwnerPattern(text string) (pattern ownerPattern, message, help string) {
	switch {
	case strings.HasPrefix(text, "!"):
		return nil, "a pattern cannot be negated with !", "give the files to others in a later line"
	case strings.HasPrefix(text, `\#`):
		return nil, `a pattern cannot begin with \#`, "write ? for the #"
	case strings.ContainsAny(text, "[]"):
		return nil, "a pattern cannot hold a range in [ ]", "write one line for each"
	case strings.Contains(text, "***"):
		return nil, "a pattern cannot hold three * in a row", "write ** for any number of directories"
	case text == "/":
		return nil, "/ alone covers nothing", "write * to cover everything"
	}
	segments := strings.Split(text, "/")
	directory := segments[len(segments)-1] == ""
	if directory {
		segments = segments[:len(segments)-1]
	}
	switch {
	case segments[0] == "":
		segments = segments[1:]
	case len(segments) == 1 && segments[0] != anySegments:
		segments = append([]string{anySegments}, segments...) // without a slash in it: at any depth
	}
	for _, segment := range segments {
		switch {
		case segment == "":
			return nil, "a pattern with // covers nothing", "write one /"
		case (len(segment)-len(strings.TrimRight(segment, `\`)))%2 == 1:
			return nil, `a \ has nothing to take as it is`, "remove it"
		}
	}
	// What a pattern covers, it covers with everything below: a directory and a file are written alike. A directory
	// must have something below it.
	switch last := segments[len(segments)-1]; {
	case directory && last == anySegments:
		segments = append(segments, "*", "*", anySegments)
	case directory:
		segments = append(segments, "*", anySegments)
	case last != "*" && last != anySegments:
		segments = append(segments, anySegments)
	case last == anySegments && len(segments) > 1:
		segments = append(segments, "*") // a/** is what lies in a, not a itself
	}
	return segments, "", ""
}

// covers reports whether the pattern covers a path. It takes time in proportion to both lengths, whatever the pattern:
// reached[i] says that the first i parts of the pattern may end where the path was read to.
func (p ownerPattern) covers(path []string) bool {
	reached := make([]bool, len(p)+1)
	reached[0] = true
	skip := func() {
		for i, part := range p {
			reached[i+1] = reached[i+1] || reached[i] && part == anySegments
		}
	}
	skip()
	for _, segment := range path {
		for i := len(p); i > 0; i-- {
			if p[i-1] == anySegments {
				continue // it stays reached, having taken this segment too
			}
			reached[i] = reached[i-1] && segmentMatches(p[i-1], segment)
		}
		reached[0] = false
		skip()
	}
	return reached[len(p)]
}

// segmentMatches compares one segment: * is any text, ? one character, and \ takes the next character as it is.
func segmentMatches(pattern, text string) bool {
	want, have := segmentParts(pattern), []rune(text)
	// One star at a time: going back to the last one is enough.
	at, star, mark := 0, -1, 0
	for i := 0; i < len(have); {
		switch {
		case at < len(want) && want[at].star:
			star, mark = at, i
			at++
		case at < len(want) && (want[at].one || want[at].char == have[i]):
			at++
			i++
		case star >= 0:
			mark++
			at, i = star+1, mark
		default:
			return false
		}
	}
	for at < len(want) && want[at].star {
		at++
	}
	return at == len(want)
}

type segmentPart struct {
	star, one bool
	char      rune
}

func segmentParts(pattern string) []segmentPart {
	var parts []segmentPart
	escaped := false
	for _, r := range pattern {
		switch {
		case !escaped && r == '\\':
			escaped = true
			continue
		case !escaped && r == '*':
			parts = append(parts, segmentPart{star: true})
		case !escaped && r == '?':
			parts = append(parts, segmentPart{one: true})
		default:
			parts = append(parts, segmentPart{char: r})
		}
		escaped = false
	}
	return parts
}
