package reach

import (
	"regexp"
	"strings"

	"github.com/tiergate/tiergate/xds/dump"
)

// wanted is what a route match demands of a request.
type wanted struct {
	request    string
	methods    []string
	conditions []string
}

// matchers of a path, in the words of RouteMatch and in ours.
var pathWords = []struct{ field, word string }{
	{"path", "path "}, {"prefix", "prefix "}, {"path_separated_prefix", "under "},
}

// methodList are methods as a regular expression that lists them: GET|POST.
var methodList = regexp.MustCompile(`^[A-Za-z\\-]+(\|[A-Za-z\\-]+)*$`)

func wantedBy(match dump.Value) wanted {
	w := wanted{request: "any"}
	for field, v := range match.Fields() {
		switch field {
		case "path", "prefix", "path_separated_prefix", "pathSeparatedPrefix":
			for _, p := range pathWords {
				if match.Get(p.field).Has() {
					w.request = p.word + match.Get(p.field).Text()
				}
			}
		case "safe_regex", "safeRegex":
			w.request = "regex " + v.Get("regex").Text()
		case "headers":
			for _, header := range v.List() {
				w.header(header)
			}
		case "case_sensitive", "caseSensitive":
			if !v.Bool() {
				w.conditions = append(w.conditions, "in any case of letters")
			}
		default: // a condition narrows: leaving it out would list no less
			w.conditions = append(w.conditions, field)
		}
	}
	return w
}

func (w *wanted) header(h dump.Value) {
	name, matcher := h.Get("name").Text(), h.Get("string_match")
	inverted := h.Get("invert_match").Bool() || h.Get("treat_missing_header_as_empty").Bool()
	if strings.EqualFold(name, ":method") && !inverted && !matcher.Get("ignore_case").Bool() && w.methods == nil {
		if exact := matcher.Get("exact"); exact.Has() {
			w.methods = []string{exact.Text()}
			return
		}
		if list := matcher.Get("safe_regex", "regex").Text(); methodList.MatchString(list) {
			for method := range strings.SplitSeq(list, "|") {
				w.methods = append(w.methods, strings.ReplaceAll(method, `\`, ""))
			}
			return
		}
	}
	text := "header " + name
	if matcher.Has() {
		text += " " + textMatch(matcher)
	}
	if h.Get("invert_match").Bool() {
		text = "not " + text
	}
	w.conditions = append(w.conditions, text)
}

// chainMatch writes what a filter chain demands of a connection in one line: the fields that are set.
func chainMatch(v dump.Value) string {
	var parts []string
	for field, value := range v.Fields() {
		var words []string
		for inner := range value.All() {
			if text := inner.Text(); text != "" {
				words = append(words, text)
			}
		}
		parts = append(parts, field+": "+strings.Join(words, ", "))
	}
	return strings.Join(parts, "; ")
}
