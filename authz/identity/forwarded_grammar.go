package identity

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The limits of x-forwarded-client-cert. Envoy takes 60 KiB of request headers by default; an element with a certificate
// has 2 to 5 KiB.
const (
	maxForwardedBytes    = 64 << 10
	maxForwardedElements = 32
)

// The keys of an element (Envoy's documentation of x-forwarded-client-cert). Their case does not matter.
const (
	keyBy      = "By"      // a URI name of the certificate that the proxy showed; once for each
	keyHash    = "Hash"    // the SHA-256 of the certificate that it was shown, in hex
	keyCert    = "Cert"    // that certificate: percent-encoded PEM
	keyChain   = "Chain"   // the same with what came along
	keySubject = "Subject" // RFC 2253
	keyURI     = "URI"     // a URI name of that certificate; once for each, and once and empty if it has none
	keyDNS     = "DNS"     // a DNS name of it; once for each
)

var (
	forwardedKeys = []string{keyBy, keyHash, keyCert, keyChain, keySubject, keyURI, keyDNS}
	singleKeys    = []string{keyHash, keyCert, keyChain, keySubject}
)

// forwardedElement is what one proxy says of its peer, in the order in which it says it.
type forwardedElement []forwardedPair

// forwardedPair has a key as it is written in forwardedKeys, or as it came if it is none of those.
type forwardedPair struct{ key, value string }

// values are all values of a key, in order.
func (e forwardedElement) values(key string) []string {
	var values []string
	for _, p := range e {
		if p.key == key {
			values = append(values, p.value)
		}
	}
	return values
}

// one is the value of a key that stands at most once.
func (e forwardedElement) one(key string) (value string, given bool) {
	for _, p := range e {
		if p.key == key {
			return p.value, true
		}
	}
	return "", false
}

// parseForwarded reads the values of x-forwarded-client-cert, each by itself, into one list:
//
//	value   = element *( "," element )
//	element = pair *( ";" pair )
//	pair    = key "=" ( plain / DQUOTE *( any / "\" any ) DQUOTE )
//	key     = 1*( letter / digit / "-" / "_" )
//	plain   = *( any but DQUOTE, "\", "," and ";" )
//
// What two readers could read in two ways is an error, whoever wrote it: control bytes, white space around separators, a
// quote or a backslash outside of quotes, and a backslash that stands before the closing quote, which is a text's last
// byte for those who read RFC 2253 and an escaped quote for those who know no other escape. Within quotes \" is a quote
// and every other backslash stays where it is. Keys that nobody knows say nothing.
func parseForwarded(values []string) ([]forwardedElement, error) {
	size := 0
	for _, value := range values {
		size += len(value)
	}
	if size > maxForwardedBytes {
		return nil, fmt.Errorf("it has %d bytes; the limit is %d", size, maxForwardedBytes)
	}
	var elements []forwardedElement
	for _, rest := range values {
		for more := true; more; {
			if len(elements) == maxForwardedElements {
				return nil, fmt.Errorf("it has more than %d elements", maxForwardedElements)
			}
			var element forwardedElement
			var err error
			if element, rest, more, err = nextElement(rest); err != nil {
				return nil, fmt.Errorf("element %d: %w", len(elements)+1, err)
			}
			elements = append(elements, element)
		}
	}
	return elements, nil
}

// nextElement cuts the first element off. more: a comma followed it.
func nextElement(s string) (element forwardedElement, rest string, more bool, err error) {
	for {
		pair, after, end, err := nextPair(s)
		if err != nil {
			return nil, "", false, err
		}
		if _, given := element.one(pair.key); given && slices.Contains(singleKeys, pair.key) {
			return nil, "", false, fmt.Errorf("%s stands twice", pair.key)
		}
		element = append(element, pair)
		if end != ';' {
			return element, after, end == ',', nil
		}
		s = after
	}
}

// nextPair cuts the first pair off, and the separator behind it; end is 0 if nothing follows.
func nextPair(s string) (pair forwardedPair, rest string, end byte, err error) {
	n := 0
	for n < len(s) && isKeyByte(s[n]) {
		n++
	}
	if n == 0 || n == len(s) || s[n] != '=' {
		return pair, "", 0, errors.New("something that is no key=value; no element and no pair is empty, and a value with " +
			"a comma or semicolon stands in quotes")
	}
	pair.key = canonicalKey(s[:n])
	if s = s[n+1:]; strings.HasPrefix(s, `"`) {
		pair.value, rest, err = quotedValue(s[1:])
	} else {
		pair.value, rest, err = plainValue(s)
	}
	switch {
	case err != nil:
		return pair, "", 0, fmt.Errorf("%.20s: %w", pair.key, err)
	case rest == "":
		return pair, "", 0, nil
	case rest[0] != ',' && rest[0] != ';':
		return pair, "", 0, fmt.Errorf("%.20s: something follows the closing quote", pair.key)
	}
	return pair, rest[1:], rest[0], nil
}

// plainValue ends before the first separator.
func plainValue(s string) (value, rest string, err error) {
	for i := range len(s) {
		switch c := s[i]; {
		case c == ',' || c == ';':
			return s[:i], s[i:], nil
		case c == '"' || c == '\\':
			return "", "", errors.New("a quote or a backslash outside of quotes")
		case isControl(c):
			return "", "", errors.New("a control byte")
		}
	}
	return s, "", nil
}

// quotedValue reads up to the closing quote; the opening one is gone.
func quotedValue(s string) (value, rest string, err error) {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isControl(c):
			return "", "", errors.New("a control byte")
		case c == '"' && strings.HasSuffix(s[:i], `\`): // an escaped backslash: the others were skipped
			return "", "", errors.New("a backslash before the closing quote")
		case c == '"':
			return strings.ReplaceAll(s[:i], `\"`, `"`), s[i+1:], nil
		case c == '\\' && i+1 < len(s) && !isControl(s[i+1]):
			i++
		}
	}
	return "", "", errors.New("a quote that is never closed")
}

func canonicalKey(key string) string {
	for _, known := range forwardedKeys {
		if strings.EqualFold(known, key) {
			return known
		}
	}
	return key
}

func isKeyByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func isControl(c byte) bool { return c < ' ' || c == 0x7f }
