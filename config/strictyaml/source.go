package strictyaml

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxFileBytes is the largest file that is read.
const MaxFileBytes = 1 << 20

// excerptRunes bounds the source line that a problem shows.
const excerptRunes = 120

// source is the text of one file, cut into lines without their ends.
type source struct {
	name  string
	lines []string
}

// newSource checks the bytes before anything interprets them. What two readers may cut into different lines is refused,
// because every position would be doubtful.
func newSource(name string, data []byte) (*source, Problems) {
	if len(data) > MaxFileBytes {
		return nil, Problems{{
			Position: Position{File: name},
			Message:  fmt.Sprintf("the file is larger than %d bytes", MaxFileBytes),
			Help:     "split it into several files",
		}}
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	src := &source{name: name, lines: strings.Split(text, "\n")}
	for i, line := range src.lines {
		if problem, bad := src.checkLine(i+1, line); bad {
			return src, Problems{problem}
		}
	}
	return src, nil
}

// checkLine finds the first character of a line that no file of ours may hold.
func (s *source) checkLine(number int, line string) (Problem, bool) {
	col := 0
	for i, r := range line {
		col++
		var message string
		help := "remove it"
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(line[i:], "\uFFFD"):
			message, help = fmt.Sprintf("byte 0x%02x is not UTF-8", line[i]), "save the file as UTF-8"
		case r == '\r', r == '\u0085', r == '\u2028', r == '\u2029':
			message, help = fmt.Sprintf("%U ends a line for some readers only", r), "end lines with LF or CRLF"
		case r == '\uFEFF':
			message = "a byte order mark inside the text"
		case r != '\t' && unicode.IsControl(r):
			message = fmt.Sprintf("control character %U", r)
		default:
			continue
		}
		return s.problem(number, col, "", message, help), true
	}
	return Problem{}, false
}

// problem is a fault at a line and column, clamped to what exists, with its excerpt.
func (s *source) problem(line, col int, path, message, help string) Problem {
	p := Problem{Position: Position{File: s.name, Line: line, Col: col}, Path: path, Message: message, Help: help}
	if line < 1 || line > len(s.lines) {
		p.Line, p.Col = 0, 0
		return p
	}
	p.Col = max(col, 1)
	p.Source, p.caret = excerpt(s.lines[line-1], p.Col-1)
	return p
}

// excerpt cuts a long line around the place and replaces what a terminal would not print.
func excerpt(line string, at int) (string, int) {
	runes := []rune(strings.ToValidUTF8(line, "\uFFFD"))
	at = min(at, len(runes))
	from, to := 0, len(runes)
	if len(runes) > excerptRunes {
		from = max(0, min(at-excerptRunes/2, len(runes)-excerptRunes))
		to = from + excerptRunes
	}
	var shown []rune
	if from > 0 {
		shown = append(shown, '…')
	}
	caret := at - from + len(shown)
	for _, r := range runes[from:to] {
		if r != '\t' && !unicode.IsPrint(r) {
			r = '\uFFFD'
		}
		shown = append(shown, r)
	}
	if to < len(runes) {
		shown = append(shown, '…')
	}
	return strings.TrimRight(string(shown), " \t"), caret
}
