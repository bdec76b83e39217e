package source_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tiergate/tiergate/signals/source"
)

var ambiguous = map[string]string{
	"duplicate key":             `{"compliant":false,"compliant":true}`,
	"case":                      `{"compliant":false,"Compliant":true}`,
	"all capitals":              `{"compliant":false,"COMPLIANT":true}`,
	"escaped duplicate":         `{"compliant":false,"\u0063ompliant":true}`,
	"long s":                    `{"disk":1,"di\u017fk":2}`,
	"long s as it is":           `{"disk":1,"diſk":2}`,
	"Kelvin sign":               `{"disk":1,"dis\u212a":2}`,
	"final sigma":               `{"σ":1,"ς":2}`,
	"deep inside":               `{"a":[{"b":{"c":[1,{"x":1,"X":2}]}}]}`,
	"after a nested object":     `{"a":{"b":1},"c":2,"a":3}`,
	"after an array":            `{"a":["a","b"],"A":3}`,
	"the empty key twice":       `{"":1,"":2}`,
	"high surrogate":            `{"a":"\ud800"}`,
	"low surrogate":             `{"a":"\udc00"}`,
	"two high surrogates":       `{"a":"\ud800\ud800"}`,
	"swapped pair":              `{"a":"\udc00\ud800"}`,
	"high and a letter":         `{"a":"\ud800A"}`,
	"high and another escape":   `{"a":"\ud800\n12345"}`,
	"surrogate in a key":        `{"\uD83D":1}`,
	"behind a good pair":        `{"a":"\ud83d\ude00\ud83d"}`,
	"too large":                 `{"a":1e999}`,
	"too small a negative":      `[-1e999]`,
	"too deep":                  strings.Repeat("[", 33) + strings.Repeat("]", 33),
	"too deep, mixed":           strings.Repeat(`{"a":[`, 17) + strings.Repeat(`]}`, 17),
	"trailing value":            `{} {}`,
	"trailing bracket":          `{}]`,
	"trailing NUL":              "{}\x00",
	"trailing comma":            `{"a":1,}`,
	"byte order mark":           "\ufeff{}",
	"not UTF-8":                 "{\"a\":\"\xff\"}",
	"not UTF-8 in a key":        "{\"\xc3\x28\":1}",
	"overlong":                  "{\"a\":\"\xc0\x80\"}",
	"surrogate encoded as such": "{\"a\":\"\xed\xa0\x80\"}",
	"empty":                     ``,
	"blank":                     " \n",
	"NaN":                       `{"a":NaN}`,
	"Infinity":                  `[Infinity]`,
	"hex":                       `[0x10]`,
	"leading zero":              `[01]`,
	"plus":                      `[+1]`,
	"comment":                   `{} // x`,
	"single quotes":             `{'a':1}`,
	"no quotes":                 `{a:1}`,
	"raw newline":               "[\"\n\"]",
	"cut":                       `{"a":"b`,
}

var plain = []string{
	`{}`, `[]`, `null`, `true`, `"x"`, `-0`, `1e308`, `1e-999`, ` {"a" : [ 1 , { "b" : null } ] } `, "\t[]\r\n",
	`{"a":{"a":{"a":1}}}`, `[{"a":1},{"a":2}]`, `{"a":"\ud83d\ude00"}`, `{"a":"\\ud800"}`, `{"a":"\\\\ud800"}`, `{"a":"😀"}`,
	`{"a":"{\"a\":1,\"a\":2}"}`, `{"a":"\"","b":"\\"}`, `{"":1}`, `{"ss":1,"ß":2}`, `{"a":"a","b":"a"}`, `["a","a"]`,
	`{"a":1,"b":{"c":2},"d":[3]}`, `{"a\u0000":1,"a":2}`,
	strings.Repeat("[", 32) + strings.Repeat("]", 32),
}

func TestCheckJSON(t *testing.T) {
	for name, raw := range ambiguous {
		if source.CheckJSON([]byte(raw)) == nil {
			t.Errorf("%s: %q was taken", name, raw)
		}
	}
	for _, raw := range plain {
		if err := source.CheckJSON([]byte(raw)); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	}
	err := source.CheckJSON([]byte(`{"` + strings.Repeat("k", 500) + `":1,"` + strings.Repeat("K", 500) + `":1}`))
	if err == nil || len(err.Error()) > 250 {
		t.Errorf("a long key makes a long error: %v", err)
	}
}

// shape is what the fuzz target decodes into; its names have letters with odd cases.
type shape struct {
	Disk      any            `json:"disk"`
	Compliant *bool          `json:"compliant"`
	Inner     *shape         `json:"inner"`
	Map       map[string]any `json:"map"`
	Items     []shape        `json:"items"`
}

func TestDecode(t *testing.T) {
	var got shape
	raw := `{"disk":1,"compliant":true,"inner":{"map":{"Any":{"Key":1}}},"items":[{"disk":null},{}]}`
	if err := source.Decode([]byte(raw), &got); err != nil {
		t.Fatal(err)
	}
	if got.Disk != 1.0 || !*got.Compliant || len(got.Items) != 2 || got.Inner.Map["Any"] == nil {
		t.Errorf("read %+v", got)
	}
	for name, raw := range map[string]string{
		"another case":             `{"Compliant":true}`,
		"long s":                   `{"diſk":true}`,
		"another case, inside":     `{"inner":{"Disk":1}}`,
		"another case, in a list":  `{"items":[{},{"DISK":1}]}`,
		"unknown":                  `{"disc":true}`,
		"unknown, inside":          `{"inner":{"inner":{"x":1}}}`,
		"wrong type":               `{"compliant":"true"}`,
		"wrong type of a list":     `{"items":{"disk":1}}`,
		"wrong type of an object":  `{"inner":[1]}`,
		"wrong type of a map":      `{"map":[]}`,
		"not the object":           `[]`,
		"duplicate":                `{"disk":1,"disk":1}`,
		"trailing":                 `{}{}`,
		"wrong type inside a list": `{"items":[7]}`,
	} {
		if err := source.Decode([]byte(raw), &shape{}); err == nil {
			t.Errorf("%s: %s was taken", name, raw)
		}
	}
	first := source.Decode([]byte(`{"z":1,"y":2,"x":3}`), &shape{}).Error()
	for range 20 {
		if again := source.Decode([]byte(`{"z":1,"y":2,"x":3}`), &shape{}).Error(); again != first {
			t.Fatalf("one body, two errors: %q and %q", first, again)
		}
	}
}

// FuzzStrictJSONHasOneReading: what passes reads the same for a reader that takes the first of equal keys, for one
// that takes the last, for one that minds case and one that does not, and for encoding/json; and it passes exactly
// if the reference, written from RFC 8259 alone, finds no fault in it.
func FuzzStrictJSONHasOneReading(f *testing.F) {
	for _, raw := range ambiguous {
		f.Add([]byte(raw))
	}
	for _, raw := range plain {
		f.Add([]byte(raw))
	}
	f.Add([]byte(`{"disk":1,"compliant":true,"inner":{"map":{"a":{}}},"items":[{"disk":null},{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if source.CheckJSON(raw) != nil {
			if source.Decode(raw, new(any)) == nil {
				t.Fatal("Decode takes what CheckJSON refuses")
			}
			if _, faults := readJSON(raw, true); len(faults) == 0 {
				t.Fatalf("%q was refused without a fault", raw)
			}
			return
		}
		first, faults := readJSON(raw, true)
		last, _ := readJSON(raw, false)
		if len(faults) > 0 {
			t.Fatalf("%q passed with %q", raw, faults)
		}
		var std any
		if err := json.Unmarshal(raw, &std); err != nil {
			t.Fatalf("%q passed and encoding/json says %v", raw, err)
		}
		if !reflect.DeepEqual(first, std) || !reflect.DeepEqual(last, std) {
			t.Fatalf("%q reads as %v, as %v and as %v", raw, first, last, std)
		}
		var exact shape
		if source.Decode(raw, &exact) != nil {
			return
		}
		if object, ok := std.(map[string]any); ok && !reflect.DeepEqual(exact.Disk, object["disk"]) {
			t.Fatalf("%q: the field is %v, the member %v", raw, exact.Disk, object["disk"])
		}
	})
}

// reference is a naive reader of RFC 8259. It panics on what is not JSON.
type reference struct {
	in     string
	first  bool // of equal keys the first counts
	depth  int
	faults []string
}

func readJSON(raw []byte, first bool) (value any, faults []string) {
	r := &reference{in: string(raw), first: first}
	defer func() {
		if fault := recover(); fault != nil {
			faults = append(r.faults, fmt.Sprint("not JSON: ", fault))
		}
	}()
	if !utf8.Valid(raw) {
		r.faults = append(r.faults, "not UTF-8")
	}
	value = r.value()
	if r.blank(); r.in != "" {
		r.faults = append(r.faults, "trailing data")
	}
	return value, r.faults
}

func (r *reference) blank() { r.in = strings.TrimLeft(r.in, " \t\r\n") }

func (r *reference) take(s string) bool {
	r.blank()
	rest, found := strings.CutPrefix(r.in, s)
	if found {
		r.in = rest
	}
	return found
}

func (r *reference) must(s string) {
	if !r.take(s) {
		panic(fmt.Sprintf("no %q before %q", s, r.in))
	}
}

func (r *reference) value() any {
	switch {
	case r.take("null"):
		return nil
	case r.take("true"):
		return true
	case r.take("false"):
		return false
	case r.take("{"):
		return r.nested(r.object)
	case r.take("["):
		return r.nested(r.list)
	case strings.HasPrefix(r.in, `"`):
		return r.text()
	}
	return r.number()
}

func (r *reference) nested(read func() any) any {
	if r.depth++; r.depth > 32 {
		panic("too deep")
	}
	defer func() { r.depth-- }()
	return read()
}

func (r *reference) list() any {
	list := []any{}
	for more := !r.take("]"); more; more = !r.take("]") {
		if len(list) > 0 {
			r.must(",")
		}
		list = append(list, r.value())
	}
	return list
}

func (r *reference) object() any {
	object := map[string]any{}
	for more, next := !r.take("}"), false; more; more, next = !r.take("}"), true {
		if next {
			r.must(",")
		}
		r.blank()
		key := r.text()
		r.must(":")
		value := r.value()
		for other := range object {
			if strings.EqualFold(other, key) {
				r.faults = append(r.faults, fmt.Sprintf("%q and %q are one key", other, key))
			}
		}
		if _, there := object[key]; !there || !r.first {
			object[key] = value
		}
	}
	return object
}

var grammarOfNumbers = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`)

func (r *reference) number() any {
	number := grammarOfNumbers.FindString(r.in)
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		panic(err)
	}
	r.in = r.in[len(number):]
	return f
}

func (r *reference) text() string {
	r.must(`"`)
	var units []uint16
	for {
		c, size := utf8.DecodeRuneInString(r.in)
		if size == 0 {
			panic("the text does not end")
		}
		r.in = r.in[size:]
		switch {
		case c == '"':
			for i := 0; i < len(units); i++ {
				high := units[i] >= 0xd800 && units[i] < 0xdc00
				if high && i+1 < len(units) && units[i+1] >= 0xdc00 && units[i+1] < 0xe000 {
					i++
				} else if units[i] >= 0xd800 && units[i] < 0xe000 {
					r.faults = append(r.faults, "half of a surrogate pair")
				}
			}
			return string(utf16.Decode(units))
		case c < 0x20:
			panic("a control character")
		case c == '\\':
			units = append(units, r.escape())
		default:
			units = utf16.AppendRune(units, c)
		}
	}
}

func (r *reference) escape() uint16 {
	c := r.in[0]
	r.in = r.in[1:]
	if c == 'u' {
		unit, err := strconv.ParseUint(r.in[:4], 16, 16)
		if err != nil {
			panic(err)
		}
		r.in = r.in[4:]
		return uint16(unit)
	}
	return uint16("\"\\/\b\f\n\r\t"[strings.IndexByte(`"\/bfnrt`, c)])
}
