package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// schemes are those that carry an access token, in lower case.
var schemes = []Scheme{SchemeBearer, SchemeDPoP}

// FromHeader finds the access token in the values of the Authorization header, each value as it came, and how it was
// sent (RFC 6750, section 2.1; RFC 9449, section 7.1). No header, or another scheme: ok is false, no token was
// offered. More than one header, two credentials joined in one, or a token of wrong shape: an error, because two
// readers could take two different tokens. The scheme's case does not matter; the token is what RFC 9110 calls
// token68. Where there is an error about a credential, scheme is still how it was sent.
func FromHeader(values []string) (scheme Scheme, raw string, ok bool, err error) {
	switch {
	case len(values) == 0:
		return "", "", false, nil
	case len(values) > 1:
		return "", "", false, errors.New("there is more than one Authorization header")
	}
	value := values[0]
	end := strings.IndexFunc(value, func(r rune) bool { return !isSchemeRune(r) })
	if end < 0 {
		end = len(value)
	}
	scheme, known := schemeOf(value[:end])
	if !known {
		if slices.ContainsFunc(schemes, func(s Scheme) bool { return joins(value, string(s)) }) {
			return "", "", false, errors.New("the Authorization header holds more than one credential")
		}
		return "", "", false, nil
	}
	raw = strings.TrimLeft(value[end:], " ")
	switch {
	case raw == "":
		return scheme, "", false, fmt.Errorf("the Authorization header says %s and holds no token", value[:end])
	case value[end] != ' ' || !isToken68(raw):
		return scheme, "", false, fmt.Errorf("the Authorization header does not hold exactly one %s token", scheme)
	}
	return scheme, raw, true, nil
}

func schemeOf(text string) (Scheme, bool) {
	for _, scheme := range schemes {
		if strings.EqualFold(text, string(scheme)) {
			return scheme, true
		}
	}
	return "", false
}

// joins finds a credential of a scheme anywhere but where one may stand: behind a comma, as proxies join headers, or
// behind blanks, which some readers trim.
func joins(value, scheme string) bool {
	n := len(scheme)
	for part := range strings.SplitSeq(value, ",") {
		part = strings.TrimSpace(part)
		if len(part) >= n && strings.EqualFold(part[:n], scheme) && (len(part) == n || !isSchemeRune(rune(part[n]))) {
			return true
		}
	}
	return false
}

// isSchemeRune follows tchar of RFC 9110, section 5.6.2.
func isSchemeRune(r rune) bool {
	return isAlphanumeric(r) || r < 0x7f && strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// token68 are the bytes of RFC 9110, section 11.2, but for the = at the end.
var token68 = func() (table [256]bool) {
	for c := range table {
		table[c] = c < 0x80 && (isAlphanumeric(rune(c)) || strings.IndexByte("-._~+/", byte(c)) >= 0)
	}
	return table
}()

func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		if !token68[s[i]] {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
