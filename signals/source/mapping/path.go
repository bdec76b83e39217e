package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Path is a way into a JSON value:
//
//	path   = "$" | [ "$" ] first *( "." member | "[" inside "]" )
//	first  = member | "[" inside "]"
//	member = 1*( letter | digit | "_" | "-" | "@" | "$" | ":" | "/" ) | JSON string
//	inside = index | "*" | member "=" word
//	word   = JSON string | 1*( letter | digit | "_" | "-" )
//
// "$" alone is the whole value; members are compared exactly; an index counts from 0; "[*]" is each element of an array;
// "[name=firewall]" each element that is an object whose member is that word (a text, or a number or truth in its JSON
// spelling). At most 16 steps and 200 bytes.
type Path struct {
	text  string
	steps []step
}

type step struct {
	kind   stepKind
	member string // of stepMember and stepFilter
	index  int
	word   string
}

type stepKind int

const (
	stepMember stepKind = iota
	stepIndex
	stepEach
	stepFilter
)

const (
	maxSteps     = 16
	maxPathBytes = 200
	// maxFound bounds what one path may yield in one body.
	maxFound = 100_000
)

func (p Path) String() string { return p.text }

func (p Path) none() bool { return p.text == "" }

// many reports whether the path can yield more than one value.
func (p Path) many() bool {
	for _, s := range p.steps {
		if s.kind == stepEach || s.kind == stepFilter {
			return true
		}
	}
	return false
}

// parent is the path of what the last step is taken from.
func (p Path) parent() Path {
	if len(p.steps) == 0 {
		return p
	}
	return Path{text: "what is around " + p.text, steps: p.steps[:len(p.steps)-1]}
}

// ParsePath reads a path. The error says where it ends to be one.
func ParsePath(text string) (Path, error) {
	if text == "" || len(text) > maxPathBytes {
		return Path{}, fmt.Errorf("a path has 1 to %d bytes", maxPathBytes)
	}
	p := Path{text: text}
	r := &pathReader{text: text}
	if text == "$" {
		return p, nil
	}
	if strings.HasPrefix(text, "$.") || strings.HasPrefix(text, "$[") {
		r.at = 1
	} else if text[0] != '[' {
		s, err := r.member()
		if err != nil {
			return Path{}, err
		}
		p.steps = append(p.steps, s)
	}
	for r.at < len(text) {
		s, err := r.next()
		if err != nil {
			return Path{}, err
		}
		if p.steps = append(p.steps, s); len(p.steps) > maxSteps {
			return Path{}, fmt.Errorf("the path has more than %d steps", maxSteps)
		}
	}
	return p, nil
}

type pathReader struct {
	text string
	at   int
}

func (r *pathReader) wrong(want string) error {
	return fmt.Errorf("%.60q is no path: at byte %d there should be %s", r.text, r.at, want)
}

func (r *pathReader) next() (step, error) {
	switch r.text[r.at] {
	case '.':
		r.at++
		return r.member()
	case '[':
		r.at++
		s, err := r.inside()
		if err != nil {
			return step{}, err
		}
		if r.at >= len(r.text) || r.text[r.at] != ']' {
			return step{}, r.wrong("a ]")
		}
		r.at++
		return s, nil
	}
	return step{}, r.wrong("a . or a [")
}

func (r *pathReader) inside() (step, error) {
	if strings.HasPrefix(r.text[r.at:], "*") {
		r.at++
		return step{kind: stepEach}, nil
	}
	end := strings.IndexAny(r.text[r.at:], "]=")
	if end > 0 && r.text[r.at+end] == ']' {
		digits := r.text[r.at : r.at+end]
		n, err := strconv.Atoi(digits)
		if err != nil || n < 0 || n >= maxFound || strconv.Itoa(n) != digits {
			return step{}, r.wrong("an index, a * or member=word")
		}
		r.at += end
		return step{kind: stepIndex, index: n}, nil
	}
	s, err := r.member()
	if err != nil {
		return step{}, err
	}
	if r.at >= len(r.text) || r.text[r.at] != '=' {
		return step{}, r.wrong("a = and a word")
	}
	r.at++
	word, err := r.word(false)
	if err != nil {
		return step{}, err
	}
	return step{kind: stepFilter, member: s.member, word: word}, nil
}

func (r *pathReader) member() (step, error) {
	name, err := r.word(true)
	return step{kind: stepMember, member: name}, err
}

// word reads a JSON string or a bare word.
func (r *pathReader) word(member bool) (string, error) {
	rest := r.text[r.at:]
	if strings.HasPrefix(rest, `"`) {
		decoder := json.NewDecoder(strings.NewReader(rest))
		var word string
		if err := decoder.Decode(&word); err != nil {
			return "", r.wrong("a JSON string")
		}
		r.at += int(decoder.InputOffset())
		return word, nil
	}
	end := strings.IndexFunc(rest, func(c rune) bool { return !bare(c, member) })
	if end < 0 {
		end = len(rest)
	}
	if end == 0 {
		return "", r.wrong("a name, in quotes if it has other characters than letters, digits, _ and -")
	}
	r.at += end
	return rest[:end], nil
}

func bare(c rune, member bool) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' ||
		member && strings.ContainsRune("@$:/", c)
}

// absent is what a path finds where an element of a list lacks what the others have.
type absent struct{}

// find returns what stands at the path, in the order of the body: nothing where it is not there or null. Behind [*] or a
// filter each element counts, and one that lacks the rest of the path (or has null there) yields absent. value is what
// json.Unmarshal makes of a body, with json.Number.
func (p Path) find(value any) ([]any, error) {
	found, spread := []any{value}, false
	for _, s := range p.steps {
		next := []any{}
		for _, v := range found {
			items, fits := s.from(v)
			switch {
			case !fits && !spread:
				return nil, nil
			case !fits:
				items = []any{absent{}}
			}
			if next = append(next, items...); len(next) > maxFound {
				return nil, errors.New("the path finds more than 100000 values")
			}
		}
		spread = spread || s.kind == stepEach || s.kind == stepFilter
		found = next
	}
	for i, v := range found {
		if v == nil {
			found[i] = absent{}
		}
	}
	if !spread && len(found) == 1 && found[0] == (absent{}) {
		return nil, nil
	}
	return found, nil
}

// from takes the step; fits is false where the value has no such thing.
func (s step) from(value any) (items []any, fits bool) {
	switch s.kind {
	case stepMember:
		if object, ok := value.(map[string]any); ok {
			if v, there := object[s.member]; there {
				return []any{v}, true
			}
		}
	case stepIndex:
		if list, ok := value.([]any); ok && s.index < len(list) {
			return []any{list[s.index]}, true
		}
	case stepEach:
		if list, ok := value.([]any); ok {
			return list, true
		}
	case stepFilter:
		list, ok := value.([]any)
		for _, item := range list {
			object, isObject := item.(map[string]any)
			if !isObject {
				continue
			}
			if word, said := wordOf(object[s.member]); said && word == s.word {
				items = append(items, item)
			}
		}
		return items, ok
	}
	return nil, false
}

// wordOf is a text, or a number or truth in its JSON spelling.
func wordOf(value any) (word string, said bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}
