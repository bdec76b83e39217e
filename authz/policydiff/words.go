package policydiff

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// union are the keys of two maps, sorted.
func union[V any](a, b map[string]V) []string {
	all := slices.Collect(maps.Keys(a))
	for name := range b {
		if _, both := a[name]; !both {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// without lists what is in a and not in b, in a's order.
func without[T comparable](a, b []T) []T {
	var rest []T
	for _, x := range a {
		if !slices.Contains(b, x) {
			rest = append(rest, x)
		}
	}
	return rest
}

// span writes a duration as the policy language does: 14d, 26h, 1h30m.
func span(d time.Duration) string {
	if d <= 0 || d%time.Millisecond != 0 {
		return d.String()
	}
	text := ""
	for _, unit := range [...]struct {
		name string
		of   time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}} {
		if n := d / unit.of; n > 0 && (unit.name != "d" || n > 1) {
			text += fmt.Sprintf("%d%s", n, unit.name)
			d %= unit.of
		}
	}
	return text
}

// spoken writes a difference of instants: 4 days, 1 day 2h.
func spoken(d time.Duration) string {
	days, rest := d/(24*time.Hour), d%(24*time.Hour)
	text := fmt.Sprintf("%d days", days)
	if days == 0 {
		return span(rest)
	}
	if days == 1 {
		text = "1 day"
	}
	if rest > 0 {
		text += " " + span(rest)
	}
	return text
}

// instants writes two times as people write dates, and as exactly as they differ.
func instants(a, b time.Time) (string, string) {
	form := time.RFC3339
	switch {
	case a.Nanosecond() != 0 || b.Nanosecond() != 0:
		form = time.RFC3339Nano
	case a.UTC().Format(time.TimeOnly) == b.UTC().Format(time.TimeOnly):
		form = time.DateOnly
	}
	return a.UTC().Format(form), b.UTC().Format(form)
}

func listed(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// quoted writes a text that people wrote, so that its end is seen.
func quoted(text string) string {
	if text == "" {
		return "nothing"
	}
	return fmt.Sprintf("%q", text)
}

// canonical writes a value so that equal texts are equal documents: the order of a list and an empty list do not count.
func canonical(value any) string { return canonicalOf(reflect.ValueOf(value)) }

func canonicalOf(v reflect.Value) string {
	if at, ok := v.Interface().(time.Time); ok {
		return at.UTC().Format(time.RFC3339Nano)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return "-"
		}
		return "&" + canonicalOf(v.Elem())
	case reflect.Slice:
		texts := make([]string, 0, v.Len())
		for i := range v.Len() {
			texts = append(texts, canonicalOf(v.Index(i)))
		}
		slices.Sort(texts)
		return fmt.Sprintf("%q", texts)
	case reflect.Map:
		texts := make([]string, 0, v.Len())
		for key, element := range v.Seq2() {
			texts = append(texts, fmt.Sprintf("%q: %s", key.String(), canonicalOf(element)))
		}
		slices.Sort(texts)
		return fmt.Sprintf("%q", texts)
	case reflect.Struct:
		texts := make([]string, 0, v.NumField())
		for i := range v.NumField() {
			texts = append(texts, canonicalOf(v.Field(i)))
		}
		return fmt.Sprintf("%q", texts)
	default:
		return fmt.Sprintf("%q", fmt.Sprint(v.Interface()))
	}
}
