package strictyaml_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/config/strictyaml"
)

type leaf struct {
	Text string `yaml:"text"`
	URL  string `yaml:"url,omitempty"`
}

// short may be written as its name alone.
type short struct {
	Signal    string `yaml:"signal"`
	OnUnknown string `yaml:"onUnknown,omitempty"`
}

func (s *short) UnmarshalText(text []byte) error {
	if string(text) == "refuse-me" {
		return errors.New("this name is taken")
	}
	*s = short{Signal: string(text)}
	return nil
}

type everything struct {
	Name   string                `yaml:"name"`
	On     bool                  `yaml:"on,omitempty"`
	Count  int                   `yaml:"count,omitempty"`
	Small  uint8                 `yaml:"small,omitempty"`
	Age    time.Duration         `yaml:"age,omitempty"`
	List   []string              `yaml:"list,omitempty"`
	Leaves map[string]leaf       `yaml:"leaves,omitempty"`
	Leaf   *leaf                 `yaml:"leaf,omitempty"`
	Shorts []short               `yaml:"shorts,omitempty"`
	Later  strictyaml.Deferred   `yaml:"later,omitempty"`
	Skip   string                `yaml:"-"`
	Nested map[string]everything `yaml:"nested,omitempty"`
}

// decodeAll parses and decodes every document of a text and returns all problems.
func decodeAll(text string) ([]everything, strictyaml.Problems) {
	documents, problems := strictyaml.Parse("f.yaml", []byte(text))
	var all []everything
	for _, d := range documents {
		d.Title = "the test"
		var v everything
		problems = append(problems, d.Decode("", &v)...)
		all = append(all, v)
	}
	return all, problems
}

func TestDecodeWhatIsRight(t *testing.T) {
	const text = "\uFEFF# a comment\r\nname: é\r\non: true\r\ncount: -3\r\nsmall: 255\r\nage: 1d12h\r\nlist: [a, &x b, *x]\r\n" +
		"leaves: {no: {text: no}, a.b: {text: x, url: u}}\r\nleaf:\r\n  text: |\r\n    two\r\n    lines\r\n" +
		"shorts: [one, {signal: two, onUnknown: note}]\r\nlater: {any: [thing, ~]}\r\n---\r\n---\r\n# nothing\r\n---\r\nname: b\r\n"
	got, problems := decodeAll(text)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := []everything{{
		Name: "é", On: true, Count: -3, Small: 255, Age: 36 * time.Hour, List: []string{"a", "b", "b"},
		Leaves: map[string]leaf{"no": {Text: "no"}, "a.b": {Text: "x", URL: "u"}},
		Leaf:   &leaf{Text: "two\nlines\n"},
		Shorts: []short{{Signal: "one"}, {Signal: "two", OnUnknown: "note"}},
	}, {Name: "b"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestProblemsVerbatim(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown field", "name: x\nlits: [a]\nzzzzzz: 1\n", `
f.yaml:2:1: unknown field "lits" in the test
    2 | lits: [a]
      | ^
   did you mean "list"?

f.yaml:3:1: unknown field "zzzzzz" in the test
    3 | zzzzzz: 1
      | ^
   known are name, on, count, small, age, list, leaves, leaf, shorts, later, nested`},
		{"unknown field inside", "name: x\nleaf: {txt: a}\n", `
f.yaml:2:1: field "text" is missing in leaf
    2 | leaf: {txt: a}
      | ^
   write text: TEXT

f.yaml:2:8: unknown field "txt" in leaf
    2 | leaf: {txt: a}
      |        ^
   did you mean "text"?`},
		{"missing", "on: true\n", `
f.yaml:1:1: field "name" is missing in the test
    1 | on: true
      | ^
   write name: TEXT`},
		{"duplicate", "name: x\nleaf:\n  text: a\n  text: b\nname: y\n", `
f.yaml:4:3: field "text" is written twice; first in line 3
    4 |   text: b
      |   ^
   keep one of them

f.yaml:5:1: field "name" is written twice; first in line 1
    5 | name: y
      | ^
   keep one of them`},
		{"wrong types", "name: [x]\non: 1\ncount: a\nage: {}\nlist: a\nleaves: [b]\nleaf: c\nshorts: {a: b}\n", `
f.yaml:1:7: name wants text, this is a list
    1 | name: [x]
      |       ^
   write one text in its place

f.yaml:2:5: on wants true or false, this is the number 1
    2 | on: 1
      |     ^
   write true or false

f.yaml:3:8: count wants a whole number, this is the text "a"
    3 | count: a
      |        ^
   write it in decimal digits, without quotes, a point or a leading zero

f.yaml:4:6: age wants a duration, this is a mapping
    4 | age: {}
      |      ^
   write a number and its unit, such as 15m, 26h or 14d

f.yaml:5:7: list wants a list, this is the text "a"
    5 | list: a
      |       ^
   write [a]

f.yaml:6:9: leaves wants a mapping of names, this is a list
    6 | leaves: [b]
      |         ^
   write name: value lines below it

f.yaml:7:7: leaf wants a mapping, this is the text "c"
    7 | leaf: c
      |       ^
   write its fields below it: text, url

f.yaml:8:9: shorts wants a list, this is a mapping
    8 | shorts: {a: b}
      |         ^
   begin each entry with "- "`},
		{"numbers", "name: 010\ncount: 010\nsmall: 256\n---\nname: x\ncount: 0x10\nsmall: -1\n---\nname: 'y'\ncount: 1_000\nsmall: 09\n", `
f.yaml:1:7: name wants text, this is the number 010
    1 | name: 010
      |       ^
   put it in quotes: "010"

f.yaml:2:8: count is written as 010, which readers take for different numbers
    2 | count: 010
      |        ^
   write 10 if you mean decimal, 8 if you mean octal

f.yaml:3:8: small is out of range
    3 | small: 256
      |        ^
   write a number from 0 on, at most 255

f.yaml:6:8: count is written as 0x10, which readers take for different numbers
    6 | count: 0x10
      |        ^
   write it in decimal digits alone

f.yaml:7:8: small is out of range
    7 | small: -1
      |        ^
   write a number from 0 on, at most 255

f.yaml:10:8: count is written as 1_000, which readers take for different numbers
   10 | count: 1_000
      |        ^
   write it in decimal digits alone

f.yaml:11:8: small wants a whole number, this is the number 09
   11 | small: 09
      |        ^
   write it in decimal digits, without quotes, a point or a leading zero`},
		{"old bools", "name: yes\non: no\n---\nname: x\non: 'true'\n---\nname: x\non: True\n", `
f.yaml:2:5: on wants true or false, this is the text "no"
    2 | on: no
      |     ^
   write false

f.yaml:5:5: on wants true or false, this is the text "true"
    5 | on: 'true'
      |     ^
   write true

f.yaml:8:5: on wants true or false, this is the bool True
    8 | on: True
      |     ^
   write true`},
		{"durations", "name: x\nage: 26\n---\nname: x\nage: -1h\n---\nname: x\nage: 1h1d\n---\nname: x\nage: 1.5h\n", `
f.yaml:2:6: age wants a duration, this is the number 26
    2 | age: 26
      |      ^
   write its unit, such as 26s or 26h

f.yaml:5:6: age: "-1h" is no duration
    5 | age: -1h
      |      ^
   write numbers with the units w, d, h, m, s, ms, the largest first, such as 15m, 26h or 1d12h

f.yaml:8:6: age: "1h1d" is no duration: d stands in the wrong place
    8 | age: 1h1d
      |      ^
   write numbers with the units w, d, h, m, s, ms, the largest first, such as 15m, 26h or 1d12h

f.yaml:11:6: age: "1.5h" is no duration
   11 | age: 1.5h
      |      ^
   write numbers with the units w, d, h, m, s, ms, the largest first, such as 15m, 26h or 1d12h`},
		{"nothing", "name:\non: ~\nlist: [null]\nleaf:\n", `
f.yaml:1:1: name has no value
    1 | name:
      | ^
   write a value or remove the field

f.yaml:2:1: on has no value
    2 | on: ~
      | ^
   write a value or remove the field

f.yaml:3:8: list[0] has no value
    3 | list: [null]
      |        ^
   write a value or remove the field

f.yaml:4:1: leaf has no value
    4 | leaf:
      | ^
   write a value or remove the field`},
		{"empty", "name: ''\nlist: [a, '  ']\nleaves: {'': {text: x}}\nshorts: ['']\n", `
f.yaml:1:7: name is empty
    1 | name: ''
      |       ^
   write a value or remove the field

f.yaml:2:11: list[1] is empty
    2 | list: [a, '  ']
      |           ^
   write a value or remove the field

f.yaml:3:10: the name is empty
    3 | leaves: {'': {text: x}}
      |          ^
   write a name

f.yaml:4:10: shorts[0] is empty
    4 | shorts: ['']
      |          ^
   write a value or remove the field`},
		{"text unmarshaler", "name: x\nshorts: [refuse-me, 7]\n", `
f.yaml:2:10: shorts[0]: this name is taken
    2 | shorts: [refuse-me, 7]
      |          ^

f.yaml:2:21: shorts[1] wants text, this is the number 7
    2 | shorts: [refuse-me, 7]
      |                     ^
   put it in quotes: "7"`},
		{"names that are numbers", "name: x\nleaves: {1: {text: a}, true: {text: b}}\n", `
f.yaml:2:10: a name is wanted, this is the number 1
    2 | leaves: {1: {text: a}, true: {text: b}}
      |          ^
   put it in quotes

f.yaml:2:24: a name is wanted, this is the bool true
    2 | leaves: {1: {text: a}, true: {text: b}}
      |                        ^
   put it in quotes`},
		{"merge, tags, odd keys", "name: &a !!str x\n<<: {on: true}\n? [k]\n: v\n", `
f.yaml:1:7: explicit tag !!str
    1 | name: &a !!str x
      |       ^
   remove the tag; put the value in quotes if it is text

f.yaml:2:1: merge keys (<<) are not read
    2 | <<: {on: true}
      | ^
   write the fields out

f.yaml:3:3: a list, mapping or alias where the name of a field is wanted
    3 | ? [k]
      |   ^
   write a plain name`},
		{"alias cycle", "name: x\nnested: &n {a: *n}\n", `
f.yaml:2:16: alias *n refers to a value that holds it
    2 | nested: &n {a: *n}
      |                ^
   write the value out`},
		{"unknown alias", "name: *x\n", `
f.yaml:1:7: not valid YAML: unknown anchor 'x' referenced
    1 | name: *x
      |       ^
   put text that begins with * in quotes`},
		{"tab", "leaf:\n\ttext: x\n", `
f.yaml:2:1: not valid YAML: found character that cannot start any token while scanning for the next token
    2 | 	text: x
      | ^
   indent with spaces, not with a tab`},
		{"unclosed", "name: 'x\nlist: [a,\n---\nname: y\non: no\n---\nlist: [a\n", `
f.yaml:1:7: not valid YAML: found unexpected end of stream while scanning a quoted scalar
    1 | name: 'x
      |       ^
   close the quote or bracket that is opened here

f.yaml:5:5: on wants true or false, this is the text "no"
    5 | on: no
      |     ^
   write false

f.yaml:7:7: not valid YAML: did not find expected ',' or ']' while parsing a flow sequence
    7 | list: [a
      |       ^
   close the quote or bracket that is opened here`},
		{"colon", "name: a: b\n", `
f.yaml:1:8: not valid YAML: mapping values are not allowed in this context
    1 | name: a: b
      |        ^
   put text that holds a colon and a blank in quotes, and check the indentation`},
		{"at sign", "name: @x\n", `
f.yaml:1:7: not valid YAML: found character that cannot start any token while scanning for the next token
    1 | name: @x
      |       ^
   put the text that begins with '@' in quotes`},
		{"directive", "%YAML 1.2\n---\nname: x\n", `
f.yaml:1:1: not valid YAML: found incompatible YAML document
    1 | %YAML 1.2
      | ^
   remove the directive; files are read without any`},
		{"invalid UTF-8", "name: é\nlist: [\xff]\n", `
f.yaml:2:8: byte 0xff is not UTF-8
    2 | list: [` + "\uFFFD" + `]
      |        ^
   save the file as UTF-8`},
		{"escape sequence", "name: \x1b[31m\n", `
f.yaml:1:7: control character U+001B
    1 | name: ` + "\uFFFD" + `[31m
      |       ^
   remove it`},
		{"line separator", "name: a\u2028b\n", `
f.yaml:1:8: U+2028 ends a line for some readers only
    1 | name: a` + "\uFFFD" + `b
      |        ^
   end lines with LF or CRLF`},
		{"mark inside", "name: a\uFEFFb\n", `
f.yaml:1:8: a byte order mark inside the text
    1 | name: a` + "\uFFFD" + `b
      |        ^
   remove it`},
		{"root is a list", "- a\n", `
f.yaml:1:1: the document wants a mapping, this is a list
    1 | - a
      | ^
   write its fields below it: name, on, count, small, age, list, leaves, leaf, shorts, later, nested`},
		{"through an alias", "name: x\nlist: &l {a: b}\nshorts: *l\n", `
f.yaml:2:7: list wants a list, this is a mapping
    2 | list: &l {a: b}
      |       ^
   begin each entry with "- "

f.yaml:3:9: shorts wants a list, this is a mapping
    3 | shorts: *l
      |         ^
   begin each entry with "- "`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := decodeAll(tt.text)
			if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), problems.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
