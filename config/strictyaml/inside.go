package strictyaml

import (
	"strconv"

	"go.yaml.in/yaml/v4"
)

// inside maps a character of a scalar's value to its line and column.
//
// All styles of YAML change only blanks and line ends, except for ” and the escapes of double quotes. So the k-th visible
// character of the value is the k-th visible unit of the source; a blank is counted from the one before it.
func (s *source) inside(n *yaml.Node, offset int) (line, col int) {
	value := []rune(n.Value)
	offset = min(offset, len(value))
	before, gap := 0, 0
	for _, r := range value[:offset] {
		if gap++; !isBlank(r) {
			before, gap = before+1, 0
		}
	}
	visible := offset < len(value) && !isBlank(value[offset])
	at := s.startOf(n)
	if before == 0 && !visible {
		return at.line, at.col + gap
	}
	for seen := 0; ; {
		unitLine, unitCol := at.line, at.col
		blank, ok := at.next()
		switch {
		case !ok:
			return unitLine, unitCol
		case blank:
			continue
		case seen == before:
			return unitLine, unitCol
		}
		if seen++; seen == before && !visible {
			return at.line, at.col + gap
		}
	}
}

func isBlank(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' }

// cursor reads the source of one scalar, unit by unit: a character, an escape, a doubled quote or a line end.
type cursor struct {
	source    *source
	line, col int    // where the next unit begins, from 1
	text      []rune // of that line
	style     yaml.Style
}

// startOf skips what stands before the text: anchors, the opening quote, the header of a block.
func (s *source) startOf(n *yaml.Node) *cursor {
	c := &cursor{source: s, style: n.Style, col: n.Column}
	c.enter(n.Line)
	for c.peek(0) == '&' || c.peek(0) == '!' && n.Style&yaml.TaggedStyle != 0 {
		for c.peek(0) != 0 && !isBlank(c.peek(0)) {
			c.col++
		}
		for c.peek(0) != 0 && isBlank(c.peek(0)) {
			c.col++
		}
	}
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		c.col = 1
		c.enter(n.Line + 1)
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		c.col++
	}
	return c
}

func (c *cursor) enter(line int) {
	c.line, c.text = line, nil
	if line <= len(c.source.lines) {
		c.text = []rune(c.source.lines[line-1])
	}
}

// peek is the n-th character from the cursor on, 0 at the end of the line.
func (c *cursor) peek(n int) rune {
	if c.col-1+n < len(c.text) {
		return c.text[c.col-1+n]
	}
	return 0
}

// next moves over one unit and says whether its value is blank; ok is false at the end of the file.
func (c *cursor) next() (blank, ok bool) {
	switch r := c.peek(0); {
	case r == 0:
		c.col = 1
		c.enter(c.line + 1)
		return true, c.line <= len(c.source.lines)
	case r == '\'' && c.style&yaml.SingleQuotedStyle != 0 && c.peek(1) == '\'':
		c.col += 2
		return false, true
	case r == '\\' && c.style&yaml.DoubleQuotedStyle != 0:
		return c.nextEscape(), true
	default:
		c.col++
		return isBlank(r), true
	}
}

// nextEscape moves over an escape of a double-quoted scalar (YAML 1.2.2 section 5.7).
func (c *cursor) nextEscape() (blank bool) {
	letter := c.peek(1)
	digits := map[rune]int{'x': 2, 'u': 4, 'U': 8}[letter]
	if digits > 0 {
		from := min(c.col+1, len(c.text))
		code, _ := strconv.ParseUint(string(c.text[from:min(from+digits, len(c.text))]), 16, 32)
		c.col += 2 + digits
		return isBlank(rune(code))
	}
	if letter == 0 { // the line end is escaped and yields nothing
		c.col++
		return true
	}
	c.col += 2
	return letter == 'n' || letter == 'r' || letter == 't' || isBlank(letter)
}
