package policy

import (
	"fmt"
	"strings"
	"time"
)

// spoken is a duration as a person says it, by its two largest units: 1 hour 30 minutes.
func spoken(d time.Duration) string {
	if d < 0 {
		d = -d
	}
	if d > 0 && d < time.Second {
		return "less than a second"
	}
	var words []string
	for _, unit := range [...]struct {
		name string
		of   time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		n := d / unit.of
		d %= unit.of
		if n > 0 {
			words = append(words, plural(int(n), unit.name))
		}
		if len(words) == 2 || len(words) == 1 && n == 0 {
			break
		}
	}
	if len(words) == 0 {
		return "0 seconds"
	}
	return strings.Join(words, " ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// clock is an instant by itself.
func clock(t time.Time) string {
	if t.Second() == 0 && t.Nanosecond() == 0 {
		return t.UTC().Format("2006-01-02 15:04 UTC")
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// when is an instant and how far it is from the request.
func (e *Explanation) when(t time.Time) string {
	switch {
	case t.IsZero():
		return "never"
	case t.Equal(e.At):
		return clock(t) + " (the same moment)"
	case t.Before(e.At):
		return clock(t) + " (" + spoken(e.At.Sub(t)) + " earlier)"
	}
	return clock(t) + " (" + spoken(t.Sub(e.At)) + " later)"
}

// quoted is a name of the policy, marked as one.
func quoted(name string) string { return `"` + name + `"` }

func quotedAll(names []string) []string {
	all := make([]string, 0, len(names))
	for _, name := range names {
		all = append(all, quoted(name))
	}
	return all
}

// series writes a, b and c.
func series(words []string) string { return seriesWith(words, "and") }

func anyOf(words []string) string { return seriesWith(words, "or") }

func seriesWith(words []string, last string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}

// sentence gives a text an end. It gives it no capital: it may begin with a name.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" || strings.ContainsAny(text[len(text)-1:], ".!?") {
		return text
	}
	return text + "."
}

// short keeps what a stranger sent from filling the page.
func short(s string) string {
	const most = 200
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

// wantedLogin says which login is asked for.
func wantedLogin(c *Challenge) string {
	text := "a login"
	if c.SVID != nil {
		text = "a JWT-SVID (a token of the program itself) for " + verb(c.SVID.Audiences, "audience ", "audiences ") +
			series(quotedAll(c.SVID.Audiences)) + " no older than " + spoken(c.SVID.MaxAge) + ", beside its certificate"
		if len(c.ACR)+len(c.AMR) == 0 && c.MaxAge == 0 {
			return text
		}
		text += ", and a login"
	}
	if len(c.ACR) > 0 {
		text += " of strength " + anyOf(quotedAll(c.ACR))
	}
	if len(c.AMR) > 0 {
		text += " by method " + anyOf(quotedAll(c.AMR))
	}
	if c.MaxAge > 0 {
		text += " no older than " + spoken(c.MaxAge)
	}
	return text
}
