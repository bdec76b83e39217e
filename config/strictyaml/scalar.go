package strictyaml

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// oldBools are words that YAML 1.1 read as bools and other readers of our files still may.
var oldBools = map[string]string{
	"yes": "true", "y": "true", "on": "true", "no": "false", "n": "false", "off": "false",
	"true": "true", "false": "false",
}

// decimal is the only way to write a whole number.
var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

func (c *decoding) scalar(path string, written *yaml.Node, into reflect.Value) {
	n := followed(written)
	isText := n.Kind == yaml.ScalarNode && isTextTag(n)
	switch kind := into.Kind(); {
	case into.Type() == durationType:
		c.duration(path, written, into)
	case kind == reflect.String && isText:
		if text, ok := c.notEmpty(path, written); ok {
			into.SetString(text)
		}
	case kind == reflect.String:
		c.wrong(path, written, "text", textHelp(n))
	case kind == reflect.Bool && n.Kind == yaml.ScalarNode && (n.Value == "true" || n.Value == "false") && !isText:
		into.SetBool(n.Value == "true")
	case kind == reflect.Bool:
		help := "write true or false"
		if word := oldBools[strings.ToLower(n.Value)]; n.Kind == yaml.ScalarNode && word != "" {
			help = "write " + word
		}
		c.wrong(path, written, "true or false", help)
	case into.CanInt() || into.CanUint():
		c.number(path, written, into)
	default:
		panic(fmt.Sprintf("strictyaml: cannot decode into %s", into.Type()))
	}
}

// isTextTag counts dates as text: nothing of ours is a date without saying so.
func isTextTag(n *yaml.Node) bool { return n.Tag == "!!str" || n.Tag == "!!timestamp" }

func textHelp(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		return "write one text in its place"
	}
	return fmt.Sprintf("put it in quotes: %q", shorten(n.Value))
}

// notEmpty refuses text of nothing but blanks: an empty field would be taken for one that is not written, and that may
// mean "any".
func (c *decoding) notEmpty(path string, written *yaml.Node) (string, bool) {
	text := followed(written).Value
	if strings.TrimSpace(text) == "" {
		c.faultAt(path, written, fmt.Sprintf("%s is empty", name(path)), "write a value or remove the field")
		return "", false
	}
	return text, true
}

func (c *decoding) text(path string, written *yaml.Node, into encoding.TextUnmarshaler) {
	n := followed(written)
	_, instant := into.(*time.Time)
	if !isTextTag(n) {
		help := textHelp(n)
		if instant {
			help = instantHelp
		}
		c.wrong(path, written, "text", help)
		return
	}
	text, ok := c.notEmpty(path, written)
	if !ok {
		return
	}
	err := into.UnmarshalText([]byte(text))
	helped, _ := errors.AsType[interface {
		error
		Help() string
	}](err)
	switch {
	case err == nil:
	case instant:
		c.faultAt(path, written, fmt.Sprintf("%s: %q is no instant", name(path), shorten(text)), instantHelp)
	case helped != nil:
		c.faultAt(path, written, err.Error(), helped.Help())
	default:
		c.faultAt(path, written, fmt.Sprintf("%s: %v", name(path), err), "")
	}
}

const instantHelp = "write day, time and zone, RFC 3339: 2026-11-20T08:00:00Z"

func (c *decoding) number(path string, written *yaml.Node, into reflect.Value) {
	n := followed(written)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" {
		c.wrong(path, written, "a whole number", "write it in decimal digits, without quotes, a point or a leading zero")
		return
	}
	if !decimal.MatchString(n.Value) {
		c.faultAt(path, written, fmt.Sprintf("%s is written as %s, which readers take for different numbers",
			name(path), shorten(n.Value)), numberHelp(n.Value))
		return
	}
	if into.CanUint() {
		v, err := strconv.ParseUint(n.Value, 10, 64)
		if err != nil || into.OverflowUint(v) {
			c.faultAt(path, written, fmt.Sprintf("%s is out of range", name(path)),
				fmt.Sprintf("write a number from 0 on, at most %d", uint64(1)<<into.Type().Bits()-1))
			return
		}
		into.SetUint(v)
		return
	}
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil || into.OverflowInt(v) {
		c.faultAt(path, written, fmt.Sprintf("%s is out of range", name(path)), "write a smaller number")
		return
	}
	into.SetInt(v)
}

// numberHelp offers the readings of an octal-looking number.
func numberHelp(text string) string {
	octal, errOctal := strconv.ParseInt(text, 8, 64)
	plain, errPlain := strconv.ParseInt(text, 10, 64)
	if errOctal == nil && errPlain == nil {
		return fmt.Sprintf("write %d if you mean decimal, %d if you mean octal", plain, octal)
	}
	if errPlain == nil {
		return fmt.Sprintf("write %d", plain)
	}
	return "write it in decimal digits alone"
}

func (c *decoding) duration(path string, written *yaml.Node, into reflect.Value) {
	n := followed(written)
	if n.Kind != yaml.ScalarNode || !isTextTag(n) {
		help := "write a number and its unit, such as 15m, 26h or 14d"
		if n.Kind == yaml.ScalarNode && decimal.MatchString(n.Value) {
			help = fmt.Sprintf("write its unit, such as %ss or %sh", n.Value, n.Value)
		}
		c.wrong(path, written, "a duration", help)
		return
	}
	d, err := ParseDuration(n.Value)
	if err != nil {
		c.faultAt(path, written, fmt.Sprintf("%s: %v", name(path), err),
			"write numbers with the units w, d, h, m, s, ms, the largest first, such as 15m, 26h or 1d12h")
		return
	}
	into.SetInt(int64(d))
}

// units of a duration, the largest first. A day has 24 hours.
var units = []struct {
	name string
	of   time.Duration
}{
	{"w", 7 * 24 * time.Hour},
	{"d", 24 * time.Hour},
	{"h", time.Hour},
	{"m", time.Minute},
	{"s", time.Second},
	{"ms", time.Millisecond},
}

var durationPart = regexp.MustCompile(`^([0-9]{1,9})(ms|w|d|h|m|s)`)

// maxDuration keeps sums far from an overflow; nobody means more than a hundred years.
const maxDuration = 100 * 365 * 24 * time.Hour

// ParseDuration reads a duration as people write it in our files: 15m, 26h, 14d, 1d12h. Units are w, d, h, m, s and ms,
// each at most once, the largest first; no fractions, no sign, no blanks. The limit is a hundred years.
func ParseDuration(text string) (time.Duration, error) {
	var total time.Duration
	rest, next := text, 0
	for rest != "" {
		part := durationPart.FindStringSubmatch(rest)
		if part == nil {
			return 0, fmt.Errorf("%q is no duration", shorten(text))
		}
		for next < len(units) && units[next].name != part[2] {
			next++
		}
		if next == len(units) {
			return 0, fmt.Errorf("%q is no duration: %s stands in the wrong place", shorten(text), part[2])
		}
		count, err := strconv.ParseInt(part[1], 10, 64)
		if err != nil || count > int64(maxDuration/units[next].of) {
			return 0, fmt.Errorf("%q is longer than a hundred years", shorten(text))
		}
		total += time.Duration(count) * units[next].of
		rest, next = rest[len(part[0]):], next+1
	}
	switch {
	case text == "":
		return 0, fmt.Errorf("%q is no duration", text)
	case total > maxDuration:
		return 0, fmt.Errorf("%q is longer than a hundred years", shorten(text))
	}
	return total, nil
}
