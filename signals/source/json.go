package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDepth is how deep objects and arrays may nest in a body.
const maxDepth = 32

// CheckJSON says why raw is not one JSON value (RFC 8259) that every reader understands alike, or nil. encoding/json
// takes the last of {"compliant":false,"Compliant":true} for a field "compliant", another reader the first, a third one
// the exact name; a signature covers all three. So keys that are equal, or that differ only in case as Unicode folds
// it, are refused, and with them bytes that are not UTF-8, half of a surrogate pair, nesting deeper than 32, anything
// behind the value, and numbers that no float64 holds. The error may quote a key, at most 40 bytes of it; it is for the
// operator.
func CheckJSON(raw []byte) error {
	if !utf8.Valid(raw) {
		return errors.New("the body is not UTF-8")
	}
	if !json.Valid(raw) {
		var whole json.RawMessage
		if err := json.Unmarshal(raw, &whole); err != nil {
			return fmt.Errorf("the body is not one JSON value: %w", err)
		}
		return errors.New("the body is not one JSON value")
	}
	scan := scanner{raw: raw}
	for scan.at < len(raw) {
		if err := scan.step(); err != nil {
			return fmt.Errorf("the body has more than one reading: %w (at byte %d)", err, scan.at)
		}
	}
	return nil
}

// scanner walks JSON that is known to be well-formed; it only has to find keys, strings and numbers.
type scanner struct {
	raw  []byte
	at   int
	open []level
}

// level is one open object or array.
type level struct {
	keys   map[string]bool // nil: an array
	expect bool            // the next string is a key
}

// step looks at the next token.
func (s *scanner) step() error {
	switch c := s.raw[s.at]; c {
	case '{', '[':
		if len(s.open) == maxDepth {
			return fmt.Errorf("it nests deeper than %d", maxDepth)
		}
		inner := level{expect: c == '{'}
		if c == '{' {
			inner.keys = map[string]bool{}
		}
		s.open = append(s.open, inner)
	case '}', ']':
		s.open = s.open[:len(s.open)-1]
	case ',':
		if top := &s.open[len(s.open)-1]; top.keys != nil {
			top.expect = true
		}
	case '"':
		return s.text()
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return s.number()
	}
	s.at++
	return nil
}

// text reads a string, and enters it as a key where one is due.
func (s *scanner) text() error {
	start := s.at
	for s.at++; s.raw[s.at] != '"'; s.at++ {
		if s.raw[s.at] == '\\' {
			s.at++ // the escaped byte is never the end of the string
		}
	}
	s.at++
	quoted := s.raw[start:s.at]
	if loneSurrogate(quoted) {
		return errors.New("a string holds half of a surrogate pair")
	}
	if len(s.open) == 0 || !s.open[len(s.open)-1].expect {
		return nil
	}
	top := &s.open[len(s.open)-1]
	top.expect = false
	var key string
	if err := json.Unmarshal(quoted, &key); err != nil {
		return err
	}
	folded := fold(key)
	if top.keys[folded] {
		return fmt.Errorf("the key %.40q stands twice in one object, or differs from another only in case", key)
	}
	top.keys[folded] = true
	return nil
}

// number refuses what strconv cannot hold in a float64: 1e999.
func (s *scanner) number() error {
	start := s.at
	for s.at < len(s.raw) && strings.IndexByte("+-.eE0123456789", s.raw[s.at]) >= 0 {
		s.at++
	}
	if _, err := strconv.ParseFloat(string(s.raw[start:s.at]), 64); err != nil {
		return fmt.Errorf("the number %.40s is out of the range of a float64", s.raw[start:s.at])
	}
	return nil
}

// loneSurrogate reports a \uD800-\uDFFF escape that is not half of a pair (RFC 8259 section 8.2); encoding/json would
// silently read it as U+FFFD. The string is quoted and well-formed.
func loneSurrogate(quoted []byte) bool {
	for i := 0; i < len(quoted); i++ {
		if quoted[i] != '\\' {
			continue
		}
		i++ // at the escaped byte
		if quoted[i] != 'u' {
			continue
		}
		switch unit := hexUnit(quoted[i+1:]); {
		case unit >= 0xdc00 && unit < 0xe000:
			return true
		case unit >= 0xd800 && unit < 0xdc00:
			rest := quoted[i+5:]
			if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' || hexUnit(rest[2:])&^0x3ff != 0xdc00 {
				return true
			}
			i += 6
		}
		i += 4
	}
	return false
}

func hexUnit(digits []byte) uint64 {
	unit, err := strconv.ParseUint(string(digits[:4]), 16, 32)
	if err != nil {
		return 0 // not possible in well-formed JSON
	}
	return unit
}

// fold maps texts that encoding/json takes for one key to one text: each rune to the least of its simple case folds, so
// that the Kelvin sign is a k and the long s an s.
func fold(key string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, key)
}
