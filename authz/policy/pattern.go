package policy

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// SegmentKind orders how exactly a segment of a path pattern matches; the more exact wins.
type SegmentKind uint8

// The kinds of segments, the most exact first.
const (
	SegmentExact    SegmentKind = iota // these bytes
	SegmentVariable                    // {name}: any one segment
	SegmentAny                         // *: any one segment
	SegmentRest                        // **: any number of segments, none included; only at the end
)

// Segment is one part of a path pattern between slashes.
type Segment struct {
	Kind SegmentKind
	Text string // the literal, or the variable's name
}

// Pattern is a parsed path pattern, without its leading slash. No segments is "/".
type Pattern []Segment

// ParsePattern reads a path pattern: /admin/{id}/*, /admin/**. "/admin/**" includes "/admin", and "/admin" also covers
// "/admin/".
func ParsePattern(text string) (Pattern, error) {
	if err := checkSegments(text); err != nil {
		return nil, err
	}
	if text == "/" {
		return nil, nil
	}
	segments := strings.Split(text[1:], "/")
	pattern := make(Pattern, 0, len(segments))
	for i, s := range segments {
		segment, err := parseSegment(s)
		if err != nil {
			return nil, err
		}
		if segment.Kind == SegmentRest && i != len(segments)-1 {
			return nil, fmt.Errorf("%q: ** stands only at the end", text)
		}
		pattern = append(pattern, segment)
	}
	return pattern, nil
}

func parseSegment(s string) (Segment, error) {
	switch {
	case s == "":
		return Segment{}, errors.New("a segment of the path is empty")
	case s == "*":
		return Segment{Kind: SegmentAny}, nil
	case s == "**":
		return Segment{Kind: SegmentRest}, nil
	case s[0] == '{' && s[len(s)-1] == '}' && isName(s[1:len(s)-1]):
		return Segment{Kind: SegmentVariable, Text: s[1 : len(s)-1]}, nil
	case strings.ContainsAny(s, "*{}"):
		return Segment{}, fmt.Errorf("segment %q: * and {name} stand for a whole segment", s)
	case strings.ContainsRune(s, '%'):
		return Segment{}, fmt.Errorf("segment %q: write the character itself; requests with an encoded one are refused", s)
	}
	return Segment{Kind: SegmentExact, Text: s}, nil
}

func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
}

func (p Pattern) String() string {
	var b strings.Builder
	for _, s := range p {
		b.WriteByte('/')
		switch s.Kind {
		case SegmentExact:
			b.WriteString(s.Text)
		case SegmentVariable:
			b.WriteString("{" + s.Text + "}")
		case SegmentAny:
			b.WriteByte('*')
		case SegmentRest:
			b.WriteString("**")
		}
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

// shape is the pattern without the names of its variables: patterns of one shape match the same paths.
func (p Pattern) shape() string {
	bare := slices.Clone(p)
	for i := range bare {
		if bare[i].Kind == SegmentVariable {
			bare[i].Text = ""
		}
	}
	return bare.String()
}

// Compare orders patterns by precedence, the most exact first: segment by segment exact > variable > * > end > **, and
// literals by text so that the order is total. Patterns that match the same paths compare 0.
func (p Pattern) Compare(q Pattern) int {
	for i := range min(len(p), len(q)) {
		if c := int(p[i].Kind) - int(q[i].Kind); c != 0 {
			return c
		}
		if p[i].Kind == SegmentExact {
			if c := strings.Compare(p[i].Text, q[i].Text); c != 0 {
				return c
			}
		}
	}
	switch {
	case len(p) == len(q):
		return 0
	case len(p) < len(q):
		return endAgainst(q[len(p)])
	default:
		return -endAgainst(p[len(q)])
	}
}

// endAgainst ranks the end of one pattern against the next segment of a longer one: /a before /a/**, after all others.
func endAgainst(next Segment) int {
	if next.Kind == SegmentRest {
		return -1
	}
	return 1
}

// maxPathBytes bounds what is looked at; Envoy's own limit on all headers together is 60 KiB.
const maxPathBytes = 8 << 10

// checkPath cuts the query off a request's path. A path that two readers may read differently is refused, not repaired
// (PITFALLS, Path and host): dot segments, doubled slashes, encoded slashes, backslashes, NUL, dots or percent signs in
// either case, ';', '#', backslashes, control bytes, bytes that are not UTF-8, no leading slash.
func checkPath(raw string) (string, error) {
	path, _, _ := strings.Cut(raw, "?")
	if len(path) > maxPathBytes {
		return "", fmt.Errorf("the path has %d bytes; the limit is %d", len(path), maxPathBytes)
	}
	if path == "" || path[0] != '/' {
		return "", errors.New("the path does not begin with a slash")
	}
	if isPlainPath(path) {
		return path, nil
	}
	if err := checkEscapes(path); err != nil {
		return "", err
	}
	return path, checkSegments(path)
}

// plain are the bytes that need no second look, the slash and the dot apart.
var plain = func() (table [256]bool) {
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_~!$&'()*+,=:@" {
		table[c] = true
	}
	return table
}()

// isPlainPath accepts most paths at one look: plain bytes, dots that begin no segment, single slashes.
func isPlainPath(path string) bool {
	previous := byte(0)
	for i := range len(path) {
		c := path[i]
		if !plain[c] && (c != '/' || previous == '/') && (c != '.' || previous == '/') {
			return false
		}
		previous = c
	}
	return true
}

func checkSegments(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return errors.New("the path does not begin with a slash")
	case !utf8.ValidString(path):
		return errors.New("the path is not UTF-8")
	case strings.ContainsFunc(path, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return errors.New("the path has a control byte")
	case strings.ContainsAny(path, `;#\`):
		return errors.New(`the path has one of ; # \, which servers read differently`)
	case strings.Contains(path, "//"):
		return errors.New("the path has an empty segment")
	}
	for s := range strings.SplitSeq(path[1:], "/") {
		if s == "." || s == ".." {
			return errors.New("the path has a dot segment")
		}
	}
	return nil
}

// checkEscapes refuses every percent-encoding that decodes to a byte with a meaning of its own, to a byte that needs no
// encoding, or to nothing: only one spelling of a path is left, so no rule can be dodged by another.
func checkEscapes(path string) error {
	decoded := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			decoded = append(decoded, path[i])
			continue
		}
		octet, err := hex.DecodeString(path[i+1 : min(i+3, len(path))])
		if err != nil || len(octet) != 1 {
			return errors.New("the path has a % that encodes nothing")
		}
		b := octet[0]
		switch {
		case b < 0x20 || b == 0x7f:
			return errors.New("the path has an encoded control byte")
		case strings.IndexByte(`/\.;#?%`, b) >= 0:
			return fmt.Errorf("the path has an encoded %q, which servers read differently", b)
		case isUnreserved(b):
			return fmt.Errorf("the path encodes %q, which needs no encoding", b)
		}
		decoded = append(decoded, b)
		i += 2
	}
	if !utf8.Valid(decoded) {
		return errors.New("the path has encoded bytes that are not UTF-8")
	}
	return nil
}

// isUnreserved follows RFC 3986, section 2.3.
func isUnreserved(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("-_~", b) >= 0
}

// NormalHost lower-cases a request's authority and strips its port and one trailing dot. It refuses what is no host name
// and no bracketed IPv6 address.
func NormalHost(authority string) (string, error) {
	host := strings.ToLower(authority)
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 || !isPort(host[end+1:]) {
			return "", errors.New("the host is no bracketed address")
		}
		return host[:end+1], nil
	}
	if i := strings.IndexByte(host, ':'); i >= 0 {
		if !isPort(host[i:]) {
			return "", errors.New("the host has a port that is no number")
		}
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > 253 || !isHostName(host) {
		return "", errors.New("the host is no host name")
	}
	return host, nil
}

// isHostName accepts labels of a-z, 0-9, - and _, none of them empty.
func isHostName(host string) bool {
	previous := byte('.')
	for i := range len(host) {
		c := host[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_':
		case c == '.' && previous != '.':
		default:
			return false
		}
		previous = c
	}
	return true
}

// isPort accepts nothing, or a colon and digits.
func isPort(s string) bool {
	return s == "" || s[0] == ':' && len(s) > 1 && len(s) < 7 && strings.Trim(s[1:], "0123456789") == ""
}
