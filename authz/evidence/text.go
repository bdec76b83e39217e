package evidence

import (
	"bytes"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tiergate/tiergate/signals"
)

// mark begins the two hex digits of a byte.
const mark = "\uFFFD"

// hasMark tells whether some text of a line is, or has to be, escaped. encoding/json writes \ufffd where a text has a
// byte that is no UTF-8. A text that only looks like that is looked at for nothing.
func hasMark(text []byte) bool {
	return bytes.Contains(text, []byte(mark)) || bytes.Contains(text, []byte(`\ufffd`))
}

// escape turns any bytes into valid UTF-8. Most texts stay as they are.
func escape(s string) (string, error) {
	if utf8.ValidString(s) && !strings.Contains(s, mark) {
		return s, nil
	}
	const digits = "0123456789abcdef"
	var b strings.Builder
	for s != "" {
		r, size := utf8.DecodeRuneInString(s)
		if r != utf8.RuneError {
			b.WriteString(s[:size])
		} else {
			for _, c := range []byte(s[:size]) {
				b.WriteString(mark)
				b.WriteByte(digits[c>>4])
				b.WriteByte(digits[c&0xf])
			}
		}
		s = s[size:]
	}
	return b.String(), nil
}

// unescape undoes escape.
func unescape(s string) (string, error) {
	before, rest, escaped := strings.Cut(s, mark)
	if !escaped {
		return s, nil
	}
	var b strings.Builder
	for ; escaped; before, rest, escaped = strings.Cut(rest, mark) {
		b.WriteString(before)
		c, err := strconv.ParseUint(rest[:min(2, len(rest))], 16, 8)
		if err != nil || len(rest) < 2 {
			return "", errors.New("a text has U+FFFD without the two hex digits of a byte")
		}
		b.WriteByte(byte(c))
		rest = rest[2:]
	}
	b.WriteString(before)
	return b.String(), nil
}

// mapTexts copies a line with all of its texts changed. What the line shares with others is left alone.
func mapTexts(l line, change func(string) (string, error)) (line, error) {
	m := mapper{change: change}
	changed, _ := m.copyOf(reflect.ValueOf(l)).Interface().(line)
	return changed, m.err
}

type mapper struct {
	change func(string) (string, error)
	err    error
}

func (m *mapper) text(s string) string {
	changed, err := m.change(s)
	if err != nil {
		m.err = err
	}
	return changed
}

var valueType = reflect.TypeFor[signals.Value]()

// copyOf copies whatever encoding/json would write. Unexported fields, such as those of time.Time, are copied as they
// are.
func (m *mapper) copyOf(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.String:
		out.SetString(m.text(v.String()))
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(m.copyOf(v.Elem()))
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				out.Index(i).Set(m.copyOf(v.Index(i)))
			}
		}
	case reflect.Map:
		if !v.IsNil() {
			out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
			for key, element := range v.Seq2() {
				out.SetMapIndex(m.copyOf(key), m.copyOf(element))
			}
		}
	case reflect.Struct:
		if v.Type() == valueType {
			if text, ok := v.Interface().(signals.Value).AsText(); ok {
				out.Set(reflect.ValueOf(signals.Text(m.text(text))))
			}
			break
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(m.copyOf(v.Field(i)))
			}
		}
	default:
	}
	return out
}
