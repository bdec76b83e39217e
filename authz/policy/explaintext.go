package policy

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text is the explanation in whole sentences: first the answer and what to do about it, to be read aloud to the person
// who asked; then the grounds, for the operator; last the verdict as it is on record. It is of plain characters, in lines
// of at most about 100, and ends with a newline.
func (e *Explanation) Text() string {
	p := &page{}
	p.heading("ANSWER")
	p.paragraph(strings.Join(e.answer(), " "))
	if advice := e.advice(); len(advice) > 0 {
		p.heading("WHAT TO DO")
		p.paragraph(strings.Join(advice, " "))
	}
	p.heading("GROUNDS")
	e.groundsOfRequest(p)
	e.groundsOfSubject(p)
	e.groundsOfAudiences(p)
	e.groundsOfDevice(p)
	e.groundsOfSignals(p)
	e.groundsOfLogins(p)
	e.groundsOfGrace(p)
	e.groundsOfExceptions(p)
	p.heading("ON RECORD")
	e.record(p)
	return p.String()
}

// page breaks texts into lines.
type page struct{ strings.Builder }

const pageWidth = 100

func (p *page) heading(text string) {
	if p.Len() > 0 {
		p.WriteByte('\n')
	}
	p.WriteString(text + "\n")
}

func (p *page) paragraph(text string) { p.lines("  ", "  ", text) }

// part is a heading among the grounds.
func (p *page) part(text string) { p.lines("  ", "  ", text) }

func (p *page) item(format string, args ...any) {
	p.lines("  - ", "    ", fmt.Sprintf(format, args...))
}

func (p *page) subItem(format string, args ...any) {
	p.lines("      - ", "        ", fmt.Sprintf(format, args...))
}

// lines writes words, the first line behind one prefix and the others behind another.
func (p *page) lines(first, next, text string) {
	line, width := first, utf8.RuneCountInString(first)
	empty := true
	for _, word := range strings.Fields(text) {
		word = shown(word)
		n := utf8.RuneCountInString(word)
		if !empty && width+1+n > pageWidth {
			p.WriteString(line + "\n")
			line, width, empty = next, utf8.RuneCountInString(next), true
		}
		if !empty {
			line, width = line+" ", width+1
		}
		line, width, empty = line+word, width+n, false
	}
	p.WriteString(line + "\n")
}

// shown writes what a terminal would act on, or show as something else, as its number.
func shown(word string) string {
	if !strings.ContainsFunc(word, hidden) {
		return word
	}
	var b strings.Builder
	for _, r := range word {
		if hidden(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool { return r == utf8.RuneError || !unicode.IsGraphic(r) }
