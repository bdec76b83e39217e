package token

import (
	"errors"
	"strings"
)

// Bearer finds the access token in the values of the Authorization header (RFC 6750, section 2.1), each value as it
// came. No header, or another scheme: ok is false, no token was offered. More than one header, two credentials joined
// in one, or a bearer token of wrong shape: an error, because two readers could take two different tokens. The
// scheme's case does not matter; the token is what RFC 9110 calls token68.
func Bearer(values []string) (token string, ok bool, err error) {
	switch {
	case len(values) == 0:
		return "", false, nil
	case len(values) > 1:
		return "", false, errors.New("there is more than one Authorization header")
	}
	value := values[0]
	scheme := strings.IndexFunc(value, func(r rune) bool { return !isSchemeRune(r) })
	if scheme < 0 {
		scheme = len(value)
	}
	if !strings.EqualFold(value[:scheme], "bearer") {
		if joinsBearer(value) {
			return "", false, errors.New("the Authorization header holds more than one credential")
		}
		return "", false, nil
	}
	token = strings.TrimLeft(value[scheme:], " ")
	switch {
	case token == "":
		return "", false, errors.New("the Authorization header says Bearer and holds no token")
	case value[scheme] != ' ' || !isToken68(token):
		return "", false, errors.New("the Authorization header does not hold exactly one bearer token")
	}
	return token, true, nil
}

// joinsBearer finds a bearer token anywhere but where one may stand: behind a comma, as proxies join headers, or behind
// blanks, which some readers trim.
func joinsBearer(value string) bool {
	for part := range strings.SplitSeq(value, ",") {
		part = strings.TrimSpace(part)
		if len(part) >= 6 && strings.EqualFold(part[:6], "bearer") && (len(part) == 6 || !isSchemeRune(rune(part[6]))) {
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
