package answers

import (
	"strings"
	"time"
)

// SignIn is what a page says to a person whom another login would help: what was asked for, what came instead, and where to
// log in.
type SignIn struct {
	// URL is the login page, https or a path on the same host. It is followed only by a click.
	URL   string
	Asked Login
	Came  *Login // nil: nobody has logged in
}

// Login is what is wanted of a login, or what one shows.
type Login struct {
	Kinds, Methods []string // acr and amr
	MaxAge         time.Duration
	At             time.Time // when the person logged in; zero: the issuer does not say
}

// Any tells that nothing in particular is wanted.
func (l Login) Any() bool { return len(l.Kinds)+len(l.Methods) == 0 && l.MaxAge == 0 }

// KindList and MethodList are for people.
func (l Login) KindList() string { return strings.Join(l.Kinds, ", ") }

// MethodList are the names of RFC 8176, or what the issuer calls them.
func (l Login) MethodList() string { return strings.Join(l.Methods, ", ") }

// Age is the longest that the login may be ago, such as 15m or 1h30m; empty: any time.
func (l Login) Age() string {
	if l.MaxAge <= 0 {
		return ""
	}
	text := l.MaxAge.Truncate(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// When is the instant of the login, to the second in UTC.
func (l Login) When() string {
	if l.At.IsZero() {
		return ""
	}
	return l.At.UTC().Format("2006-01-02 15:04:05 UTC")
}

// maxLoginBytes bounds what a page shows of an acr or of amr: the latter is the issuer's.
const maxLoginBytes = 300

// bounded keeps a page small, whatever a token says.
func (s *SignIn) bounded() *SignIn {
	if s == nil {
		return nil
	}
	short := *s
	short.Asked = s.Asked.bounded()
	if s.Came != nil {
		came := s.Came.bounded()
		short.Came = &came
	}
	return &short
}

func (l Login) bounded() Login {
	cut := func(list []string) []string {
		left := maxLoginBytes
		for i, word := range list {
			if left -= len(word) + 2; left < 0 {
				return append(list[:i:i], "…")
			}
		}
		return list
	}
	l.Kinds, l.Methods = cut(l.Kinds), cut(l.Methods)
	return l
}
